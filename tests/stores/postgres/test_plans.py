"""No statement reads a whole table of jobs, with the plans that are made once and kept.

A plan that does not know the values is made when a connection first needs it, which may be while the
tables are still empty; it must serve when they have grown. So all statements are looked at on empty
tables and on filled ones, with the settings of the store's own connections.
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from headrace.core.job import WAITED_ON
from headrace.stores.postgres.connecting import open_for
from headrace.stores.postgres.location import parse
from headrace.stores.postgres.statements import Statements
from tests.stores.postgres.filled import FILL
from tests.stores.postgres.plans import blocks_read, faults, plan, whole_statements

LOOK = ("default", 2**62, 200, 10, None, None, None)
LOOK_CLOSELY = ("default", 2**62, 200, 10, ["no state"], ["no type"], None)
IDS = [f"id-{n}" for n in range(15_001, 15_011)]
TEN = list(range(1, 11))
RUNNING = list(range(15_001, 15_011))
NOTHING = [None] * 10
LANES = ["lane-1", "lane-2", "no such lane"]
KEYS = ["order:a/2", "order:a/4", "no such key"]
REFUSED = (["queue-1"], ["type-1"], [None], ["lane-1"])
ITEMS = 10
BLOCKS = 60
"""So many blocks of tables and indexes may be read for one thing that is asked for."""

# Name, what it is given, and how many things are asked for.
ASKED = [
    ("jobs_by_id", ("default", [*IDS, "no such job"]), ITEMS),
    ("jobs_by_seq", (TEN,), ITEMS),
    ("expired", (15_100, ITEMS), ITEMS),
    ("history_of", ("default", "id-7"), 1),
    ("lines_of", ("default", "id-7"), 1),
    ("queue_states", ("default", 64), 1),
    ("write_notes", (IDS, [0] * 10, "processing", ["1"] * 10, NOTHING, NOTHING, 1), ITEMS),
    ("write_lines", (TEN, TEN, TEN, ["info"] * 10, [b"x"] * 10, NOTHING), ITEMS),
    ("drop_lines", (TEN, TEN), ITEMS),
    ("renew", (IDS, [0] * 10, "processing", 20_000), ITEMS),
    ("erase", (15_000, ITEMS, WAITED_ON), ITEMS),
    ("erase_these", ("default", TEN, "completed", WAITED_ON), ITEMS),
    ("lock_erasable_parents", (15_000, ITEMS, 2), ITEMS),
    ("lock_surplus_parents", ("default", TEN, "completed", 2), ITEMS),
    ("erase_parents", (["default"] * 10, TEN), 2 * ITEMS),
    ("flow_seqs", ("default", IDS), ITEMS),
    ("lock_kin", ("default", IDS), ITEMS),
    ("mark_live", ("default", RUNNING, WAITED_ON), ITEMS),
    ("mark_ended", ("default", TEN, WAITED_ON), ITEMS),
    ("count_marked", ("default", TEN, 2), ITEMS),
    ("write_edges", ([30_001], [0], [1], ["cancel"]), 1),
    ("note_waiting", ([30_001],), 1),
    ("children_of", (TEN, 0, ITEMS), ITEMS),
    ("flow_ready", ("default", RUNNING, "processing"), ITEMS),
    ("policies_of", (RUNNING,), ITEMS),
    ("failed_parents", ("default", [101, 201, 301], "completed"), 3),
    ("flow_waiting", ("pending", 0, ITEMS), ITEMS),
    ("end_waiting", (RUNNING,), ITEMS),
    ("parents_of", ("default", "id-7", -1, ITEMS), 1),
    ("edges_of", (TEN, 100), 2 * ITEMS),
    ("surplus_of_ended", ("default", "type-1", "completed", 10, 10), 2 * ITEMS),
    ("surplus_of_otherwise", ("default", "type-0", "failed", 10, 10), 2 * ITEMS),
    ("registers", ("n", ["key-1", "key-2", "no such key"]), 3),
    ("scan_registers", ("n", "key-1999", "key-199:"), 11),
    ("due_registers", ("schedule", 20_000, ITEMS), ITEMS),
    ("lock_registers", ("n", ["key-1", "key-2"]), 2),
    ("make_registers", ("n", ["new-1", "new-2"], ["1", "2"], [None, None]), 2),
    ("write_registers", ("n", ["key-1", "key-2"], ["1", "2"], [None, None]), 2),
    ("remove_registers", ("n", ["key-1", "key-2"]), 2),
    ("write_records", ("n", "k", ["key-1", "new"], [1, 2], ["{}", "{}"], [None, None]), 2),
    ("records", ("n", "k", ["key-1", "no such key"]), 2),
    ("newest_records", ("n", "k", 10_000, "", ITEMS), ITEMS),
    ("remove_records", ("n", "k", ["key-1"]), 1),
    ("trim", (20_000, ITEMS), ITEMS),
    ("unpark_lanes", (1, "default", ["lane-1", "lane-2"], 10_000), ITEMS),
    ("waiting_messages", ("default", ["queue-1", "queue-2"], "type-1", 30_000, ITEMS), 2 * ITEMS),
    ("due_messages", ("default", "queue-1", "type-1", 30_000, ITEMS), ITEMS),
    ("ahead", ("default", "queue-1", 0, 30_000, 19_900, 30_000, ITEMS), 2 * ITEMS),
    ("gate_picks", ("default", ["queue-1"], list(range(19_001, 19_011)), 30_000), ITEMS),
    ("lanes", ("default", LANES), 3),
    ("lock_lanes", ("default", LANES), 3),
    ("make_lanes", ("default", ["new-1", "new-2"]), 2),
    ("set_lane", ("default", "lane-1", 1, 1), 1),
    ("look_at_lanes", ("default", LANES, "processing", [True] * 3, ["queue-1", "queue-2"]), ITEMS),
    ("look_for_room", ("default", LANES, "processing", 0), ITEMS),
    ("limits", ("default",), 1),
    ("look_at_orders", ("default", KEYS, "processing", "pass", 30_000, "batch:%"), ITEMS),
    ("park_picked", ("default", [19_001, 19_002], ["lane-1"] * 2), ITEMS),
    ("park_alike", ("default", 30_000, *REFUSED, [19_006], 100, 50), 100),
    ("bring_back", ("default", 30_000, LANES, [2] * 3), ITEMS),
    ("bring_back_turns", ("default", 30_000, [15_201], ["lane-201"]), 1),
    ("give_slots", ("default", LANES[:2], [15_001, 15_002], LANES), ITEMS),
    ("queues_of_lanes", ("default", LANES), ITEMS),
    ("lanes_waited_for", ("default", "lane-20", ITEMS), ITEMS),
    ("lane_figures", ("default", LANES, "processing", [False] * 3, 10), ITEMS),
    ("holders_of_keys", ("default", KEYS, "processing", "pass"), ITEMS),
    ("lanes_after", ("default", "lane-1", ITEMS), ITEMS),
    ("lock_idle_lanes", (["default"] * 3, LANES, 1), 3),
    ("drop_slots", (["default"] * 3, LANES, "processing"), ITEMS),
    ("forget_lanes", (["default"] * 2, ["lane-1500", "lane-1501"]), 2),
    ("find_live", LOOK, 200),
    ("find_live", LOOK_CLOSELY, 200),
    ("find_running", LOOK, 200),
    ("find_ended", LOOK, 200),
    ("find_ended", LOOK_CLOSELY, 200),
    ("find_otherwise", (*LOOK, "failed"), 200),
    ("find_otherwise", (*LOOK_CLOSELY, "failed"), 200),
    ("find_of_batch", (*LOOK_CLOSELY, "batch-7", "key", "tag"), 200),
    ("batch_counts", ("default", ["batch-7", "batch-8"]), 400),
    ("seqs_of", ("default", IDS), ITEMS),
    ("write_steps", (TEN, TEN, ["step"] * 10, ["a"] * 10, *([[1] * 10] * 5), NOTHING, ["1"] * 10), ITEMS),
    ("write_signal", ("default", "id-7", "new", "approved", 1, "true"), 1),
    ("steps_of", ("default", "id-7"), 1),
    ("events_after", ("default", 500, 1, 900, ITEMS, None, None, None), ITEMS),
    ("events_after", ("default", 0, 1, 900, ITEMS, "id-7", "queue-1", "type-1"), ITEMS),
    ("event_log_of", ("default",), 1),
    ("trim_events", ("default", 0, 0, 1, 19_990, ITEMS), 5 * ITEMS),
    ("lines_after", ("default", "id-7", None, ITEMS), ITEMS),
    ("signals_of", (7,), 1),
    ("forget_steps", ("default", "id-7", 2), 1),
    ("live_batches", ("default", ["batch-7", "batch-8", "no such batch"]), 3),
    ("first_in_line", ("default", "batch-7", "pending", "lane-1"), ITEMS),
    ("has_ended_since", ("default", "batch-7", 1), 1),
    ("dead_walk", ("default", 2**62, 0, 0, 200, 10, None, None, None), 150),
    ("dead_walk", ("default", 14_000, 0, 0, 200, 10, ["type-0"], ["no queue"], "batch-7"), 140),
    ("dead_counts", ("default", "permanent", 1_000), 150),
    ("deaths_since", ("default", "permanent", 1_000, 14_001), ITEMS),
    ("dismiss_jobs", (["default"] * 10, [n * 100 for n in TEN], [1] * 10, [2] * 10, [9] * 10), ITEMS),
    ("newest_batches", ("n", "batch;", ITEMS), ITEMS),
    ("find_of_unique_key", (*LOOK_CLOSELY, "key-7", "tag"), 200),
    ("find_of_tag", (*LOOK_CLOSELY, "tag"), 200),
    ("heads", ("default", ["queue-1", "queue-2"], [0, 0], ["lane-1", "lane-2"]), 4),
    ("out_of_line", ("default", "queue-1", 20_000, 1, ITEMS, 64), ITEMS),
    ("parked_out_of_line", ("default", "queue-1", 20_000, 1, ITEMS), ITEMS),
    ("count_waiting", ("default", "queue-1", 50), ITEMS),
    ("oldest_waiting", ("default", "queue-1", ITEMS), 2 * ITEMS),  # looks at all that wait there
    ("lock_kept", ("n", ["key-1", "key-2"]), 2),
    ("lock_unchanged", ("n", "key-1", 1), 1),
]


@pytest.fixture
async def connection(url: str) -> AsyncIterator[Any]:
    async with open_for(parse(url)) as connection:
        yield connection


async def test_plans_made_on_empty_tables_look_at_what_they_need(connection):
    found = [fault for name in whole_statements() for fault in faults(name, await plan(connection, name))]

    assert found == []


async def test_plans_made_on_filled_tables_look_at_what_they_need(connection, url, run_script):
    run_script(url, FILL)

    found = [fault for name in whole_statements() for fault in faults(name, await plan(connection, name))]

    assert found == []


async def test_statements_read_a_few_blocks_for_each_thing_they_are_asked_for(connection, url, run_script):
    run_script(url, FILL)

    found = [
        f"{name} read {blocks} blocks for {count}"
        for name, values, count in ASKED
        if (blocks := await blocks_read(connection, Statements()[name], values)) > count * BLOCKS
    ]

    assert found == []


async def test_greedy_statement_is_found(connection, url, run_script):
    run_script(url, FILL)
    greedy = "select from headrace.job where seq + 0 = any($1::bigint[])"

    assert await blocks_read(connection, greedy, (TEN,)) > BLOCKS


@pytest.mark.parametrize(
    "query",
    [
        "select * from headrace.job where payload = ''",
        "select * from headrace.job join headrace.live on live.queue = job.queue",
        "select * from headrace.live where queue = 'x' order by namespace, seq",
    ],
)
async def test_bad_plans_are_found(connection, query):
    await connection.execute("set enable_nestloop = off; set enable_hashjoin = on")
    rows = await connection.fetch(f"explain (costs off) {query}")

    assert faults("query", "\n".join(row[0] for row in rows)) != []
