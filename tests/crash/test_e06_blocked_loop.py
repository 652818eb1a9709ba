import pytest

from tests.crash.smoke import ON_ALL, smoke

pytestmark = pytest.mark.crash


@ON_ALL
async def test_handler_that_blocks_keeps_its_lease_unless_it_holds_the_interpreter(store):
    report = await smoke("E06", store)

    assert report.did["jobs"] == 44
    assert report.did["leases lost inside C"] + report.did.get("leases nobody took", 0) == 1
