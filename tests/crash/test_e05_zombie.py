import pytest

from tests.crash.smoke import ON_ALL, smoke

pytestmark = pytest.mark.crash


@ON_ALL
async def test_zombie_changes_nothing_and_stops(store):
    report = await smoke("E05", store)

    assert report.did["zombies"] == 1
    assert report.did["late writes refused"] == 18
