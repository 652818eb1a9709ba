# ruff: noqa: INP001 - a part of mutate.py
"""Of every query that serves one namespace, the predicate that says so (C46)."""

from tools.mutants import Change, Kind, Mutant

_CLAIM = "queries/claim.sql"
_JOBS = "queries/jobs.sql"
_NOTES = "queries/notes.sql"
_READS = "queries/reads.sql"
_PLUMBING = "queries/plumbing.sql"

_SPACES = "tests/contract/test_namespaces.py"
_GUARDS = "tests/contract/test_guards.py"
_RECEIPTS = "tests/contract/test_receipts.py"
_RECORDS = "tests/contract/test_records.py"
_REGISTERS = "tests/contract/test_registers.py"
_RETENTION = "tests/contract/test_retention.py"
_TYPES = "tests/contract/test_types.py"
_SEEN = f"{_SPACES}::test_c46_get_and_find_show_nothing_of_another_namespace"
_LISTED = f"{_GUARDS}::test_c46_no_listing_shows_a_job_of_another_namespace"
_PARKED = f"{_GUARDS}::test_c46_claim_parks_nothing_of_another_namespace_beside_its_own"
_COUNTED = f"{_SPACES}::test_c46_tallies_and_queues_show_nothing_of_another_namespace"
_NOT_FOUND = f"{_SPACES}::test_c46_history_and_lines_of_another_namespace_are_not_found"
_BEYOND = f"{_RETENTION}::test_erasing_by_count_leaves_other_types_states_and_namespaces"
_PAUSED = f"{_SPACES}::test_c46_pause_of_one_namespace_is_no_pause_of_another"
_WORKERS = f"{_SPACES}::test_c46_workers_of_another_namespace_are_not_shown"
_GOODBYE = f"{_SPACES}::test_c46_goodbye_touches_no_worker_of_another_namespace"
_KNOWN = f"{_SPACES}::test_c46_worker_of_another_namespace_does_not_make_a_type_known_here"
_HELLO = f"{_TYPES}::test_c16_hello_in_another_namespace_brings_nothing_back"
_KEY = f"{_SPACES}::test_c46_unique_key_of_another_namespace_is_free_here"
_PARENT = f"{_SPACES}::test_c46_parent_of_another_namespace_is_as_good_as_lost"
_SHOWN = f"{_SPACES}::test_c46_parked_shows_nothing_of_another_namespace"
_REGISTER = f"{_REGISTERS}::test_c46_registers_of_another_namespace_are_absent"
_RECORD = f"{_RECORDS}::test_records_of_another_kind_or_namespace_are_absent"
_REMOVED = f"{_RECORDS}::test_remove_leaves_other_kinds_and_namespaces"
_OURS = f"{_GUARDS}::test_c46_earlier_job_of_another_namespace_does_not_hide_ours"
_SCANNED = f"{_GUARDS}::test_c46_register_of_another_namespace_is_no_obstacle"
_SWAPPED = f"{_GUARDS}::test_c46_swap_touches_no_register_of_another_namespace"
_NEWEST = f"{_GUARDS}::test_c46_no_list_of_records_shows_one_of_another_namespace"
_RECEIPT = f"{_RECEIPTS}::test_receipts_of_another_namespace_do_not_count"

_SQLITE = (
    (_CLAIM, "claimable_columns", _OURS),
    (_CLAIM, "paused", _PAUSED),
    (_CLAIM, "park_types", _PARKED),
    (_CLAIM, "types_of_workers", _KNOWN),
    (_CLAIM, "unpark_types", _HELLO),
    (_JOBS, "holders", _KEY),
    (_JOBS, "receipts", _RECEIPT),
    (_JOBS, "is_held", _PARENT),
    (_NOTES, "kept_oldest", f"{_SPACES}::test_c46_erasing_by_count_counts_one_namespace"),
    (_NOTES, "beyond", _BEYOND),
    (_READS, "jobs_by_id", _SEEN),
    (_READS, "find_live", _SEEN),
    (_READS, "find_running", _LISTED),
    (_READS, "find_ended", _LISTED),
    (_READS, "find_of_batch", _LISTED),
    (_READS, "find_of_unique_key", _SEEN),
    (_READS, "tallies", _COUNTED),
    (_READS, "parked", _SHOWN),
    (_READS, "oldest_in_level", f"{_GUARDS}::test_c46_head_of_a_queue_is_not_another_namespaces"),
    (_PLUMBING, "registers", _REGISTER),
    (_PLUMBING, "scan_registers", _SCANNED),
    (_PLUMBING, "revision_of", _SCANNED),
    (_PLUMBING, "remove_register", _SWAPPED),
    (_PLUMBING, "records", _RECORD),
    (_PLUMBING, "newest_records", _NEWEST),
    (_PLUMBING, "remove_records", _REMOVED),
    (_PLUMBING, "queue_settings", _COUNTED),
    (_PLUMBING, "workers", _WORKERS),
    (_PLUMBING, "remove_worker", _GOODBYE),
)

_POSTGRES = (
    (_CLAIM, "due", _OURS),
    (_CLAIM, "types_of_workers", _KNOWN),
    (_JOBS, "holders", _KEY),
    (_JOBS, "receipts", _RECEIPT),
    (_JOBS, "hold_lease", _PARENT),
    (_READS, "jobs_by_id", _SEEN),
    (_READS, "history_of", _NOT_FOUND),
    (_READS, "lines_of", _NOT_FOUND),
    (_READS, "find_live", _SEEN),
    (_READS, "find_running", _LISTED),
    (_READS, "find_ended", _LISTED),
    (_READS, "find_otherwise", _LISTED),
    (_READS, "find_of_batch", _LISTED),
    (_READS, "find_of_unique_key", _SEEN),
    (_READS, "find_of_tag", _SEEN),
    (_READS, "parked", _SHOWN),
    (_PLUMBING, "registers", _REGISTER),
    (_PLUMBING, "scan_registers", _SCANNED),
    (_PLUMBING, "scan_registers_to_the_end", _SCANNED),
    (_PLUMBING, "lock_registers", _SCANNED),
    (_PLUMBING, "remove_registers", _SWAPPED),
    (_PLUMBING, "records", _RECORD),
    (_PLUMBING, "newest_records", _NEWEST),
    (_PLUMBING, "remove_records", _REMOVED),
    (_PLUMBING, "workers", _WORKERS),
    (_PLUMBING, "remove_worker", _GOODBYE),
    (_PLUMBING, "unpark_lanes", _HELLO),
)


# These have a second such predicate, of another table, which only narrows what this one has found.
_FIRST = frozenset({"find_of_batch", "find_of_unique_key"})


def _mutant(kind: Kind, file: str, query: str, test: str) -> Mutant:
    number = "$2" if query == "unpark_lanes" else "$1"
    given, kept = (":namespace", ":namespace") if kind == "sqlite" else (number, f"{number}::text")
    head = "where " if kind == "postgres" and query in _FIRST else ""
    change = Change(
        file=f"stores/{kind}/{file}",
        query=query,
        old=f"{head}namespace = {given}",
        new=f"{head}namespace is not null and {kept} is not null",
    )
    return Mutant(
        name=f"{kind}-namespace-{query.replace('_', '-')}",
        kind=kind,
        lost=f"`{query}` serves one namespace (C46)",
        changes=[change],
        tests=[test],
    )


NAMESPACES = (
    *(_mutant("sqlite", *one) for one in _SQLITE),
    *(_mutant("postgres", *one) for one in _POSTGRES),
)
