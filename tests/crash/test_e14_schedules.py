import pytest

from tests.crash.smoke import ON_ALL, smoke

pytestmark = pytest.mark.crash


@ON_ALL
async def test_c32_fire_is_made_once_whoever_of_the_schedulers_dies(store):
    report = await smoke("E14", store)

    assert report.did["schedules"] == 40
    assert (report.did["kills"], report.did["freezes"]) == (4, 2)
    assert report.did["times none was there"] == 2
    assert report.did["fires"] > 100
