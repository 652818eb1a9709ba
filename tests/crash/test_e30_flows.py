import pytest

from tests.crash.smoke import ON_ALL, smoke

pytestmark = pytest.mark.crash


@ON_ALL
async def test_c38a_children_run_once_after_their_parents_whoever_dies(store):
    report = await smoke("E30", store)

    assert (report.did["flows"], report.did["kills"]) == (12, 4)
    assert report.did["waits"] > 100
    assert report.did["completed"] > 50
