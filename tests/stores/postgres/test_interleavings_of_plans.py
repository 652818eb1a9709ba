"""A write by id finds its row by the primary key, even where the statistics make another way look short.

Statistics are often taken when a table is nearly empty, or when no job runs; a plan made then is kept.
A guard that follows from the condition of a partial index invites the planner to walk that index.
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from headrace.stores.postgres.connecting import open_for
from headrace.stores.postgres.location import parse
from headrace.stores.postgres.statements import Statements
from tests.stores.postgres.test_plans import plan

BY_ID = ("end_jobs", "end_alike", "move_jobs", "write_notes", "renew", "hold_lease", "replace_job")

WAITING = """
insert into headrace.live (
  seq, rank, due_at, priority, isolation, generation, starts, failures, crashes, releases, snoozes,
  namespace, queue, type, state
)
select n, n, n, 0, 0, 1, 0, 0, 0, 0, 0, 'default', 'default', 'echo', 'pending'
from generate_series(1, 5000) n
"""


@pytest.fixture
async def connection(url: str) -> AsyncIterator[Any]:
    async with open_for(parse(url)) as connection:
        yield connection


@pytest.mark.parametrize("name", BY_ID)
@pytest.mark.parametrize("moment", ["nothing is there", "nothing runs"])
async def test_write_by_id_goes_by_primary_key_whatever_the_statistics_say(
    connection, url, run_script, moment, name
):
    run_script(url, "vacuum analyze headrace.live" if moment == "nothing is there" else WAITING)
    run_script(url, "vacuum analyze headrace.live")

    found = await plan(connection, name)

    assert "using live_pkey on live" in found
    assert not [index for index in partial_indexes() if f"using {index} on live" in found]


def partial_indexes() -> list[str]:
    return ["live_due", "live_lease", "live_lock", "live_parked"]


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("plan_cache_mode", "force_generic_plan"),
        ("enable_seqscan", "off"),
        ("enable_hashjoin", "off"),
        ("enable_mergejoin", "off"),
        ("idle_in_transaction_session_timeout", "30s"),
    ],
)
async def test_connections_plan_as_the_statements_are_written(connection, setting, value):
    assert await connection.fetchval("select current_setting($1)", setting) == value


def test_every_write_by_id_is_a_statement():
    assert set(BY_ID) <= set(Statements().all())
