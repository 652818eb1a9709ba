"""What the contract's tests ask that queues spread over partitions do not promise, and why.

docs/decisions/0025-redis-partitions.md says what is promised instead, tests/stores/redis/test_partitions*.py
show it.
"""

from collections.abc import Mapping
from typing import Final

ORDER = "a claim takes the first of one partition, then of the next: C39 holds within each"
SHARES = "limits that no key belongs to are shared: which partition has a slot, or its turn, is chance"
CHUNKS = "a chunk is of one partition, and its messages are counted there"
FAIR = "one line for all partitions, but a claim takes the first of each: shares are near, not exact"
EVENTS = "changes of one instant in different partitions come in any order, and each partition counts its own"
ROOM = "waiting jobs are counted over partitions that nothing holds meanwhile"

NOT_PROMISED: Final[Mapping[str, str]] = {
    # whole files
    "test_order.py": ORDER,
    "test_chunks.py": CHUNKS,
    "test_fairness.py": FAIR,
    "test_c41_lanes.py": SHARES,
    "test_c41_slots.py": SHARES,
    "test_c42_rates.py": SHARES,
    # single tests
    "test_c20_release_charges_nothing_and_keeps_the_place": ORDER,
    "test_c44_labelled_jobs_and_jobs_beside_an_open_batch_are_erased": ORDER,
    "test_c38_job_that_is_no_member_cannot_add_to_a_sealed_batch": ORDER,
    "test_waiting_children_are_noted_until_somebody_ends_it": ORDER,
    "test_ready_child_tells_of_its_failed_parents_one_of_each_kind": ORDER,
    "test_c40_job_that_a_limit_refuses_keeps_its_place_under_its_key": SHARES,
    "test_c40_keys_are_independent_and_plain_jobs_pass_by": ORDER,
    "test_c33_fires_missed_in_an_outage_follow_the_policy": ORDER,
    "test_c8_whatever_waits_counts_and_nothing_else": ORDER,
    "test_c8_producers_at_once_do_not_pass_the_bound": ROOM,
    "test_producers_at_once_that_drop_do_not_pass_the_bound": ROOM,
    "test_changes_of_one_op_come_in_the_order_of_the_jobs": EVENTS,
    "test_only_what_is_asked_for_is_read": EVENTS,
    "test_reading_goes_on_after_a_cursor": EVENTS,
    "test_cursor_moves_on_over_what_is_not_asked_for": EVENTS,
    "test_c48_reader_beside_two_programs_that_write_gets_each_change_once_and_in_order": EVENTS,
    "test_c44_only_the_newest_are_kept": EVENTS,
    "test_c44_trimming_is_bounded": EVENTS,
    "test_c44_changes_are_trimmed_by_age": EVENTS,
}


def applies(file: str, test: str) -> bool:
    """Whether a test asks for something that is promised."""
    return file not in NOT_PROMISED and test not in NOT_PROMISED
