import os
from collections.abc import AsyncIterator, Iterator

import pytest
from redis.asyncio.cluster import ClusterNode, RedisCluster

from tests.servers.shared_valkey import ELSEWHERE
from tests.servers.valkey_cluster import ValkeyCluster

if os.environ.get(ELSEWHERE):
    pytest.skip(f"{ELSEWHERE} names the server to test with", allow_module_level=True)

KEYS = [f"{{{n}}}:kept" for n in range(60)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[ValkeyCluster]:
    """One for all tests here: each leaves it serving, with all nodes up."""
    with ValkeyCluster.start(primaries=3, replicas=1) as cluster:
        yield cluster


@pytest.fixture
async def client(cluster) -> AsyncIterator[RedisCluster]:
    nodes = [ClusterNode(host, port) for host, port in cluster.hosts()]
    async with RedisCluster(startup_nodes=nodes) as client:
        yield client


async def test_slots_are_spread_over_the_primaries(cluster, client):
    for key in KEYS:
        await client.set(key, "1")

    counts = [shard[0].run("DBSIZE") for shard in cluster.shards]

    assert sum(counts) == len(KEYS)
    assert min(counts) > 0
    assert [cluster.primary(shard).port for shard in range(3)] == [port for _, port in cluster.hosts()][:3]


async def test_script_with_one_hash_tag_runs_on_the_shard_of_the_tag(client):
    script = client.register_script("return redis.call('incrby', KEYS[1], ARGV[1])")

    assert [await script(keys=["{a}:n"], args=[n]) for n in (1, 2)] == [1, 3]


async def test_replica_takes_over_and_the_killed_primary_follows_it(cluster, client):
    for key in KEYS:
        await client.set(key, "1")
    cluster.wait_until_replicated()

    old = cluster.kill_primary(0)
    with pytest.raises(LookupError):
        cluster.primary(0)
    cluster.wait_until_serving()

    assert [await client.incr(key) for key in KEYS] == [2] * len(KEYS)
    assert cluster.primary(0) is not old
    old.restart()
    cluster.wait_until_replicated()
    cluster.wait_until_serving()
    assert cluster.primary(0) is not old
    assert old.run("DBSIZE") == cluster.primary(0).run("DBSIZE")


def test_shard_changes_places_again_and_again(cluster):
    first = cluster.primary(1)

    cluster.change_places(1)
    second = cluster.primary(1)
    cluster.change_places(1)

    assert second is not first
    assert cluster.primary(1) is first
    assert second.running


def test_closed_cluster_leaves_nothing():
    cluster = ValkeyCluster.start(primaries=1, replicas=0)
    (server,) = cluster.servers

    cluster.close()

    assert not server.running
    assert not server.folder.exists()
