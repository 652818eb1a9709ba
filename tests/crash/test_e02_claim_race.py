import pytest

from tests.crash.smoke import ON_ALL, smoke

pytestmark = pytest.mark.crash


@ON_ALL
async def test_job_that_processes_race_for_is_claimed_once(store):
    report = await smoke("E02", store)

    assert report.did["jobs"] == 2_400
    assert report.did["claims"] >= 600 + 60 + 2 * 12
