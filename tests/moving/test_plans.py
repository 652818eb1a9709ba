"""The statements of a move look at what they need, however many jobs there are."""

import re
from pathlib import Path

import apsw
import pytest

from headrace.stores.postgres.connecting import open_for
from headrace.stores.postgres.location import parse
from headrace.stores.postgres.statements import PACKAGE, Statements
from headrace.stores.queries import queries as queries_of
from headrace.stores.sqlite.statements import integers, queries, texts
from tests.moving.scene import opened
from tests.servers.shared import SHARED
from tests.stores.postgres.conftest import database_of
from tests.stores.postgres.filled import FILL
from tests.stores.postgres.plans import blocks_read, faults, plan

ITEMS = 10
BLOCKS = 60
TEN = list(range(1, 11))
IDS = [f"id-{n}" for n in TEN]
ASKED = [
    ("ids_there", (IDS,)),
    ("all_steps_of", (TEN,)),
    ("all_signals_of", (TEN,)),
    ("all_lines_of", (TEN,)),
    ("edges_up_from", (TEN,)),
    ("trails", (TEN,)),
    ("receipts_after", ("default", "", ITEMS)),
    ("kept_lanes_after", ("default", "lane-5", ITEMS)),
]

SEQS = {"seqs": integers([1, 2])}
AFTER = {"namespace": "n", "after": "a", "limit": 9}
OF_SQLITE = [
    ("locks_held", {"namespace": "n", "locks": texts(["a"])}, "job_lock"),
    ("ids_there", {"ids": texts(["a"])}, "job_id"),
    ("trails_of", SEQS, "PRIMARY KEY"),
    ("all_steps_of", SEQS, "sqlite_autoindex_step"),
    ("all_signals_of", SEQS, "sqlite_autoindex_signal"),
    ("all_lines_of", SEQS, "PRIMARY KEY"),
    ("edges_up_from", SEQS, "PRIMARY KEY"),
    ("receipts_after", AFTER, "sqlite_autoindex_receipt"),
    ("kept_lanes_after", AFTER, "PRIMARY KEY"),
]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return SHARED.url(tmp_path)


@pytest.mark.parametrize("full", [False, True], ids=["empty", "full"])
async def test_plans_on_a_server_read_no_whole_table(url, full):
    if full:
        SHARED.databases.run_script(database_of(url), FILL)
    async with open_for(parse(url)) as connection:
        names = queries_of(PACKAGE, "adopting")
        assert [fault for name in names for fault in faults(name, await plan(connection, name))] == []


async def test_statements_on_a_server_read_a_few_blocks_for_each_job(url):
    SHARED.databases.run_script(database_of(url), FILL)
    async with open_for(parse(url)) as connection:
        found = [
            f"{name} read {blocks} blocks"
            for name, values in ASKED
            if (blocks := await blocks_read(connection, Statements()[name], values)) > ITEMS * BLOCKS
        ]

    assert found == []


@pytest.mark.parametrize(
    ("name", "values", "index"), OF_SQLITE, ids=lambda one: one if isinstance(one, str) else ""
)
async def test_statement_of_a_file_uses_its_index(tmp_path, name, values, index):
    store = await opened(f"sqlite:///{tmp_path / 'jobs.db'}")
    await store.close()
    db = apsw.Connection(str(tmp_path / "jobs.db"))
    query = queries("adopting")[name]

    steps = [row[3] for row in db.execute(f"explain query plan {query}", values)]
    db.close()

    assert not [one for one in steps if re.search(r"SCAN (?!carray)", one)], steps
    assert any(index in one for one in steps), steps
