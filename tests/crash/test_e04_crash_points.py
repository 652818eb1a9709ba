import pytest

from tests.crash.smoke import ON_FILES, smoke

pytestmark = pytest.mark.crash


@ON_FILES
async def test_operation_killed_before_any_system_call_is_done_whole_or_not_at_all(store):
    report = await smoke("E04", store)

    assert report.did["points"] >= 12
    assert report.did["found before"] >= 6
    assert report.did["found after"] >= 1
