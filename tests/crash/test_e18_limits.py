import pytest

from tests.crash.smoke import ON_ALL, smoke

pytestmark = pytest.mark.crash


@ON_ALL
async def test_limits_hold_while_workers_are_killed(store):
    report = await smoke("E18", store)

    assert report.did["kills"] >= 2
    assert report.did["pauses"] >= 1
    assert report.did["looks at holders"] >= 10
    assert report.did["starts with a rate"] >= 45
    assert report.did["turns"] == 3 * 5
