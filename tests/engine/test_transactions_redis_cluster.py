"""``app.transaction`` and ``ctx.transaction`` on a cluster of Redis."""

from typing import Any

import pytest
import redis.asyncio
from redis.exceptions import RedisError

from headrace import App, Context, Settings
from headrace.errors import MisuseError, StoreUnavailable
from tests.engine.scenes import PATIENCE, settings
from tests.servers.valkey_cluster import ValkeyCluster


async def test_c7_transactions_in_a_cluster_are_where_the_jobs_are():
    with ValkeyCluster.start(replicas=0) as cluster:
        hosts = ",".join(f"{host}:{port}" for host, port in cluster.hosts())
        async with App(f"redis+cluster://{hosts}", settings=Settings()) as app:

            @app.job()
            async def add(a: int) -> int:
                return a

            @app.job()
            async def book(ctx: Context) -> int:
                async def work(pipe: Any) -> int:
                    pipe.set("order:{default}:1", "booked")
                    await add.using(tx=pipe, unique_key="sum").enqueue(3)
                    return 7

                return await ctx.transaction(work)

            async def elsewhere(pipe: Any) -> None:
                pipe.set("order:{other}:1", "booked")  # of another node
                await add.using(tx=pipe).enqueue(4)

            async def look(pipe: Any) -> str | None:
                await pipe.watch("order:{default}:1")
                return await pipe.get("order:{default}:1")

            booked = await book.enqueue()
            async with app.running_worker(settings()):
                assert await booked.result(timeout=PATIENCE) == 7
            with pytest.raises((RedisError, StoreUnavailable)):
                await app.transaction(elsewhere)
            async with redis.asyncio.from_url(cluster.primary(0).url()) as client:
                with pytest.raises(MisuseError, match=r"app\.transaction"):
                    await add.using(tx=client.pipeline()).enqueue(5)

            assert await app.transaction(look) == "booked"
            assert (await (await app.operations()).stats()).count() == 2
