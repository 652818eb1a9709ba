import pytest

from tests.crash.smoke import ON_ALL, smoke

pytestmark = pytest.mark.crash


@ON_ALL
async def test_worker_that_is_told_to_stop_gives_its_jobs_back_uncharged(store):
    report = await smoke("E07", store)

    assert report.did["stops"] == 5
    assert report.did["jobs"] == 45
    assert report.did["random call orders"] == 20
