import pytest

from tests.crash.smoke import ON_FILES, ON_SERVERS, smoke

pytestmark = pytest.mark.crash


@ON_FILES
async def test_disk_that_is_full_or_fails_or_loses_power_costs_nothing_acknowledged(store):
    report = await smoke("E12", store)

    if report.left_out:
        pytest.skip("; ".join(report.left_out))
    assert report.did["disk errors"] == 3
    assert report.did["times full"] == 1
    assert report.did["power cuts"] == 3
    assert report.did["acknowledged before them"] >= 60


@ON_SERVERS
async def test_server_that_loses_power_or_space_keeps_all_that_was_acknowledged(store):
    report = await smoke("E12", store)

    if report.left_out:
        pytest.skip("; ".join(report.left_out))
    assert report.did["refused as full"] == 20
    assert report.did["power cuts"] == 1
    assert report.did["acknowledged before them"] >= 20
