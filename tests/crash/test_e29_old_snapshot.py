import pytest

from tests.crash.smoke import ON_POSTGRES, smoke

pytestmark = pytest.mark.crash


@ON_POSTGRES
async def test_claims_keep_their_order_beside_an_old_snapshot(store):
    report = await smoke("E29", store)

    assert report.did["jobs"] == report.did["claims"] * 5 >= 1_000
    assert int(report.figures["dead rows at the end"].replace(",", "")) >= 1_000
