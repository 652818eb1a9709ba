import pytest

from tests.crash.smoke import ON_SERVERS, smoke

pytestmark = pytest.mark.crash


@ON_SERVERS
async def test_worker_survives_every_way_in_which_a_store_can_be_away(store):
    report = await smoke("E08", store)

    ways = ("refused", "swallowed", "server killed")
    assert [report.did[f"outages ({way})"] for way in ways] == [1, 1, 1]
    assert report.did["calls without an answer"] >= 1
