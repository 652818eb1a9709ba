import pytest

from tests.crash.smoke import ON_POSTGRES, smoke

pytestmark = pytest.mark.crash


@ON_POSTGRES
async def test_everything_holds_through_a_pooler(store):
    report = await smoke("E09", store)

    assert report.did["migrated at once"] == 9
    assert report.did["kills of the pooler"] == 2
    assert report.did["looks at the locks"] > 0
    assert report.did["fires"] > 0
    assert report.did["claims"] > 0
