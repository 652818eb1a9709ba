import pytest

from tests.crash.smoke import ON_ALL, smoke

pytestmark = pytest.mark.crash


@ON_ALL
async def test_c36_c37_batches_count_right_and_call_back_once_whoever_is_killed(store):
    report = await smoke("E15", store)

    assert report.did["batches"] == report.did["additions refused"] == 5
    assert report.did["kills of workers"] >= 2
    assert report.did["members"] >= 12 + 3 + 12 + 12
    assert report.did["generations"] > report.did["batches"]
    assert report.did["callbacks"] == 2 * report.did["generations"]
    assert report.did["views"] > 100
