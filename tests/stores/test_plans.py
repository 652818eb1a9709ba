"""The statements that run while work is done look at what they need, however many jobs have ended.

The plans are made without statistics, as in a file in which nobody ran ANALYZE, and with them.
"""

import re

import apsw
import pytest

from headrace.core.job import WAITED_ON
from headrace.core.states import State
from headrace.stores.sqlite.rows import placement_columns
from headrace.stores.sqlite.statements import integers, queries, texts, with_rows
from tests.builders import a_pending
from tests.stores import big as sizes

pytestmark = pytest.mark.slow_plan

NOW = 2_000_000
HERE = {"namespace": "default", "queue": "queue-0"}
LEVEL = {**HERE, "priority": 0, "now": NOW, "inline": 1, "limit": 100}
LOOK = {
    "namespace": "default", "states": None, "types": None, "queues": None, "batch_id": "batch-50",
    "unique_key": "key-50", "tag": "tag-1", "before": 2**62, "look": 200, "limit": 50,
}  # fmt: skip
LANES = {"namespace": "default", "lanes": texts(["a"]), "now": NOW, "limit": 9}
LANE = {"namespace": "default", "lane": "a", "queue": "queue-0", "limit": 9}
ORDER = {"now": NOW, "of_batches": "batch:%", "passing": "pass"}
ALIKE = {"type": "y", "wished": None, "spared": integers([0]), "ahead": 9}
MARKS = {"state": "x", "lease_until": 1, "worker": "w", "now": 1}
OF_TYPE = {"namespace": "default", "state": "x", "type": "y"}
RECORDS = {"namespace": "d", "kind": "k", "at": 1, "key": "", "limit": 9}
MEMBERS = {"namespace": "default", "batch": "batch-50"}
TYPES = {"types": texts(["type-1", "type-2"])}
SEQS = {"seqs": integers([1, 2, 3])}
MARK = {"waited_on": WAITED_ON}
IDS = {"ids": texts(["a", "b"])}

WHOLE_TABLE = re.compile(
    r"SCAN (job|body|edge|waiting|lane|slot|note|line|trail|step|signal|tag|record|receipt|register)"
    r"\b(?! VIRTUAL)"
)

PLANS = [
    ("claim", "next_level", {**HERE, "above": 100}, "job_due"),
    ("claim", "claimable_in_level", LEVEL, "job_due"),
    ("claim", "known_in_level", LEVEL | TYPES, "job_due"),
    ("claim", "claimable_below", LEVEL, "job_due"),
    ("claim", "known_below", LEVEL | TYPES, "job_due"),
    ("claim", "park_types", LEVEL | TYPES | {"lowest": 0, "lane_prefix": "type:"}, "job_due"),
    ("claim", "unpark_types", LANES, "job_parked"),
    ("claim", "unpark_known", {"since": 0, "lane_prefix": "type:", "now": NOW, "limit": 9}, "job_parked"),
    ("chunks", "due_messages_in_level", LEVEL | {"type": "type-1"}, "job_due"),
    ("chunks", "due_messages_below", LEVEL | {"type": "type-1"}, "job_due"),
    ("standing", "ahead", LEVEL | {"rank": 5, "seq": 5}, "job_due"),
    ("claim", "mark_claimed", SEQS | MARKS, "PRIMARY KEY"),
    ("jobs", "is_held", {"id": "a", "namespace": "default", "fence": 1}, "job_id"),
    ("jobs", "holders", {"namespace": "default", "locks": texts(["a", "b"])}, "job_lock"),
    ("jobs", "lock_holder", {"namespace": "default", "lock": "a"}, "job_lock"),
    ("jobs", "renewable", IDS, "job_id"),
    ("jobs", "renew", SEQS | {"lease_until": 1}, "PRIMARY KEY"),
    ("jobs", "trails", SEQS, "PRIMARY KEY"),
    ("reads", "jobs_by_id", IDS | {"namespace": "default"}, "job_id"),
    ("reads", "jobs_by_seq", SEQS, "PRIMARY KEY"),
    ("reads", "expired", {"now": NOW, "limit": 100}, "job_lease"),
    ("reads", "find_live", LOOK, "job_live"),
    ("reads", "find_running", LOOK, "job_lease"),
    ("reads", "find_ended", LOOK | {"state": State.FAILED}, "job_ended"),
    ("reads", "find_of_batch", LOOK, "job_batch"),
    ("reads", "find_of_unique_key", LOOK, "job_unique_key"),
    ("reads", "find_of_tag", LOOK, "tag USING PRIMARY KEY"),
    ("reads", "parked", {"namespace": "default"}, "job_parked"),
    ("reads", "oldest_in_level", LEVEL, "job_due"),
    ("notes", "erasable", {"now": NOW, "limit": 100} | MARK, "job_erase"),
    ("notes", "kept_oldest", OF_TYPE | {"keep": 9}, "job_ended"),
    ("notes", "beyond", OF_TYPE | {"before": 9, "limit": 9} | MARK, "job_ended"),
    ("notes", "delete_job", SEQS, "PRIMARY KEY"),
    ("notes", "delete_line", SEQS, "PRIMARY KEY"),
    ("batches", "batch_counts", MEMBERS, "job_batch_state"),
    ("batches", "has_member_in", MEMBERS | {"states": texts(["x", "y"])}, "job_batch_state"),
    ("batches", "first_in_state", MEMBERS | {"state": "x"}, "job_batch_state"),
    ("batches", "first_in_lane", {"namespace": "default", "lane": "a"}, "job_parked"),
    ("batches", "has_ended_since", MEMBERS | {"at": 1}, "job_batch"),
    ("dead", "dead_walk", LOOK | {"at": NOW, "since": 0}, "job_died"),
    ("dead", "dead_counts", {"namespace": "default", "permanent": "x", "limit": 9}, "job_died"),
    ("dead", "deaths_since", {"namespace": "default", "since": 1, "permanent": "x", "limit": 9}, "job_died"),
    ("batches", "newest_batches", {"namespace": "d", "before": "batch;", "limit": 9}, "PRIMARY KEY"),
    ("notes", "delete_step", SEQS, "sqlite_autoindex_step_1"),
    ("notes", "delete_signal", SEQS, "sqlite_autoindex_signal_1"),
    ("steps", "seq_of", {"id": "a", "namespace": "default"}, "job_id"),
    ("steps", "ended_seq_of", {"id": "a", "namespace": "default", "revision": 1}, "job_id"),
    ("steps", "forget_steps", {"seq": 1}, "sqlite_autoindex_step_1"),
    ("steps", "steps_of", {"seq": 1}, "step USING INDEX sqlite_autoindex_step_1"),
    ("steps", "signals_of", {"seq": 1}, "signal USING INDEX sqlite_autoindex_signal_1"),
    ("lines", "head", {**HERE, "priority": 0, "lanes": texts(["a"])}, "job_due"),
    ("lines", "out_of_line_in_level", LEVEL | {"tags_below": 1}, "job_due"),
    ("lines", "parked_out_of_line", {**HERE, "tags_below": 1, "now": NOW, "limit": 9}, "job_parked"),
    ("lines", "count_waiting", {**HERE, "limit": 9}, "job_due"),
    ("lines", "oldest_waiting", {**HERE, "limit": 9}, "job_parked"),
    ("lanes", "count_holders", LANE, "SEARCH job USING INTEGER PRIMARY KEY"),
    ("lanes", "first_holders", LANE, "SEARCH job USING INTEGER PRIMARY KEY"),
    ("lanes", "look_at_order", LANE | ORDER, "job_order (namespace=? AND order_lane=? AND <expr>=?)"),
    ("lanes", "holder_of_key", LANE | ORDER, "job_order (namespace=? AND order_lane=? AND <expr>=?)"),
    ("lanes", "best_parked", LANE | HERE, "job_parked (namespace=? AND parked_on=? AND queue=?)"),
    ("lanes", "is_waited_for", LANE, "job_parked"),
    ("lanes", "count_parked", LANE, "job_parked"),
    ("lanes", "first_parked", LANE, "job_parked"),
    ("lanes", "first_parked_in_turn", LANE, "job_parked"),
    ("lanes", "queues_of_lane", LANE, "job_parked"),
    ("lanes", "next_lane", LANE, "job_parked"),
    ("lanes", "park_alike", LANE | LEVEL | ALIKE, "job_due"),
    ("lanes", "bring_back", LANE | LEVEL, "job_parked (namespace=? AND parked_on=? AND queue=?)"),
    ("lanes", "bring_back_turn", LANE | {"now": NOW, "seq": 1}, "PRIMARY KEY"),
    ("lanes", "drop_slots", LANE, "SEARCH job USING INTEGER PRIMARY KEY"),
    ("lanes", "forget_lane", LANE | {"tat": 1}, "job_parked"),
    ("lanes", "lanes", {"namespace": "default", "keys": texts(["a"])}, "PRIMARY KEY"),
    ("lanes", "lanes_after", {"namespace": "", "key": "", "limit": 9}, "PRIMARY KEY"),
    ("notes", "delete_edge", SEQS, "SEARCH edge USING PRIMARY KEY"),
    ("flows", "seqs_of", IDS | {"namespace": "default"}, "job_id"),
    ("flows", "mark_waited_on", SEQS | {"mark": 1}, "PRIMARY KEY"),
    ("flows", "children_of", {"parents": integers([1, 2]), "after": 0, "limit": 9}, "edge_parent"),
    ("flows", "ready", SEQS | {"state": "x"}, "SEARCH edge USING PRIMARY KEY"),
    ("flows", "policies_of", SEQS, "SEARCH edge USING PRIMARY KEY"),
    ("flows", "failed_parents", SEQS | {"state": "x"}, "SEARCH edge USING PRIMARY KEY"),
    ("flows", "waiting", {"after": 0, "limit": 9, "state": "x"}, "SEARCH waiting USING INTEGER PRIM"),
    ("flows", "end_waiting", SEQS, "SEARCH waiting USING INTEGER PRIMARY KEY"),
    ("flows", "parents_of", {"namespace": "d", "id": "a", "after": 0, "limit": 9}, "job_id"),
    ("flows", "edges_of", SEQS | {"limit": 9}, "edge_parent"),
    ("plumbing", "newest_records", RECORDS, "record_newest"),
    ("plumbing", "trim_records", {"now": NOW, "limit": 9}, "record_until"),
    ("plumbing", "trim_receipts", {"now": NOW, "limit": 9}, "receipt_until"),
    ("plumbing", "due_registers", {"kind": "schedule", "now": NOW, "limit": 9}, "register_due"),
    ("plumbing", "scan_registers", {"namespace": "d", "prefix": "a", "end": "b"}, "PRIMARY KEY"),
]  # fmt: skip
LOOKED_AT = (
    "batches", "chunks", "claim", "flows", "jobs", "lanes", "lines", "notes", "plumbing", "reads", "standing",
    "steps",
)  # fmt: skip
SORTED_BY_INDEX = {
    "claimable_in_level", "claimable_below", "due_messages_in_level", "due_messages_below",
    "out_of_line_in_level", "find_live", "find_ended", "expired", "erasable", "due_registers",
    "dead_walk",
}  # fmt: skip


@pytest.fixture(scope="module", params=["without statistics", "analysed"])
def db(request, big_file, tmp_path_factory):
    """The big file; analysed on a copy of its schema and statistics only."""
    db = apsw.Connection(str(big_file))
    if request.param == "analysed":
        db.pragma("analysis_limit", 1_000)
        db.execute("begin")
        db.execute("analyze")
    yield db
    db.close()


@pytest.mark.parametrize(
    ("file", "name", "values", "index"), PLANS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_statement_uses_its_index(db, file, name, values, index):
    plan = plan_of(db, queries(file)[name], values)

    assert not [step for step in plan if WHOLE_TABLE.search(step)], plan
    assert any(index in step for step in plan), plan
    if name in SORTED_BY_INDEX:
        assert not [step for step in plan if "TEMP B-TREE FOR ORDER BY" in step], plan


def test_placements_are_written_by_primary_key(db):
    row = (1, 1, 1, None, *placement_columns(a_pending().placement))
    query = with_rows(queries("jobs")["write_placement"], len(row), 16)

    plan = plan_of(db, query, row * 16)

    assert not [step for step in plan if WHOLE_TABLE.search(step)], plan
    assert any("SEARCH job USING INTEGER PRIMARY KEY" in step for step in plan), plan


def test_every_query_of_jobs_is_looked_at():
    reads_jobs = re.compile(r"\b(from|update|join) job\b")

    asked = {name for file in LOOKED_AT for name, query in queries(file).items() if reads_jobs.search(query)}

    parts = {
        "last_live_parent",
        "not_needed_by_child",
        "claimable_columns",
        "due_messages",
        "begun_of_key",
        "live_of_key",
        "parked_on_lane",
    }
    by_seq = {
        "next_seq", "replace_job", "write_placement", "write_slot_key", "write_order_lane", "park_picked",
    }  # fmt: skip
    assert asked == {name for _, name, _, _ in PLANS if name in asked} | parts | by_seq


def plan_of(db, query, values):
    return [row[3] for row in db.execute(f"explain query plan {query}", values)]


def test_file_is_as_big_as_it_says(big):
    counts = dict(big.execute("select state, count(*) from job group by state"))

    assert sum(counts.values()) == sizes.ENDED + sizes.SCHEDULED + sizes.DUE
