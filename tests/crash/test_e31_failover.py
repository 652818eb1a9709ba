import pytest

from tests.crash.smoke import ON_REDIS, smoke

pytestmark = pytest.mark.crash


@ON_REDIS
async def test_killed_primary_costs_at_most_what_it_had_just_acknowledged(store):
    report = await smoke("E31", store)

    assert report.did["kills"] == 1
    assert report.did["jobs"] > 100
