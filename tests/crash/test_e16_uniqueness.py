import pytest

from headrace.stores.protocol import InsertKind
from tests.crash.kit.keyed import OTHER_BODY, REFUSED
from tests.crash.smoke import ON_ALL, smoke

pytestmark = pytest.mark.crash


@ON_ALL
async def test_c28_c31_keys_mean_one_job_whoever_is_killed(store):
    report = await smoke("E16", store)

    assert all(report.did[told] > 0 for told in (*InsertKind, REFUSED, OTHER_BODY))
    assert report.did["keys free after the end"] > 0
    assert report.did["keys free after the start"] > 0
    assert report.did["keys asked after their job was erased"] > 0
    assert report.did["looks"] > 0
