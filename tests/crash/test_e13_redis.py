import pytest

from tests.crash.smoke import ON_REDIS, smoke

pytestmark = pytest.mark.crash


@ON_REDIS
async def test_redis_that_evicts_forgets_restarts_or_changes_places_loses_nothing(store):
    report = await smoke("E13", store)

    assert report.did["evicting servers refused"] == 1
    assert report.did["tiers told"] == 6
    assert report.did["refused for want of memory"] == 20
    assert report.did["times a full server was worked off"] == 1
    assert (report.did["restarts"], report.did["changes of places"]) == (1, 1)
    assert report.did["refused, read-only"] >= 1
    assert report.did["refused by a replica"] == 2
    assert report.did["commands in scripts"] > 1_000
