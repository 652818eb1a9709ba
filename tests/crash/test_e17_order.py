import pytest

from tests.crash.smoke import ON_ALL, smoke

pytestmark = pytest.mark.crash


@ON_ALL
async def test_claims_follow_the_order_of_each_queue(store):
    report = await smoke("E17", store)

    assert report.did["finished before"] == 3_000
    assert report.did["claims of one consumer"] >= 25
    assert report.did["their claims"] >= 45
