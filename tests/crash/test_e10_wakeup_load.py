import pytest

from tests.crash.smoke import ON_SERVERS, smoke

pytestmark = pytest.mark.crash


@ON_SERVERS
async def test_notices_are_few_and_a_sleeping_listener_stops_nobody(store):
    report = await smoke("E10", store)

    assert report.did["jobs"] == 1_200
    assert report.did["notices"] >= 1
