import pytest

from tests.crash.smoke import ON_ALL, smoke

pytestmark = pytest.mark.crash


@ON_ALL
async def test_c44_only_what_nobody_needs_is_erased_whoever_is_killed(store):
    report = await smoke("E19", store)

    assert report.did["jobs that come and go"] == 2_000
    assert report.did["erased"] >= 1_980
    assert report.did["jobs that must stay"] == 25
    assert report.did["receipts that outlived their job"] == 4
    assert report.did["chunks"] > 0
