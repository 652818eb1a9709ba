import pytest

from tests.crash.smoke import ON_FILES, ON_REDIS, smoke

pytestmark = pytest.mark.crash


@ON_FILES
async def test_operation_killed_before_any_system_call_is_done_whole_or_not_at_all(store):
    report = await smoke("E04", store)

    assert report.did["points"] >= 12
    assert report.did["found before"] >= 6
    assert report.did["found after"] >= 1


@ON_REDIS
async def test_operation_whose_client_is_killed_before_it_sends_or_reads_is_done_whole_or_not_at_all(store):
    report = await smoke("E04", store)

    assert report.did["points"] >= 4
    assert report.did["found before"] >= 2
