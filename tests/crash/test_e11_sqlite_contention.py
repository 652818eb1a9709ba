import pytest

from tests.crash.smoke import ON_FILES, smoke

pytestmark = pytest.mark.crash


@ON_FILES
async def test_many_processes_share_a_file_without_an_error(store):
    report = await smoke("E11", store)

    assert report.did["processes"] == 7
    assert report.did["jobs"] >= 50
    assert report.did["forks"] == 1
