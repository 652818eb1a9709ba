from itertools import product

import pytest

from headrace.core.states import LIVE, MOVES, TERMINAL, Move, State, after, diagram, four_words

LEGAL = {
    (State.BLOCKED, State.PENDING): {Move.UNBLOCK},
    (State.BLOCKED, State.CANCELLED): {Move.CANCEL},
    (State.PENDING, State.PROCESSING): {Move.CLAIM},
    (State.PENDING, State.CANCELLED): {Move.CANCEL},
    (State.PROCESSING, State.COMPLETED): {Move.COMPLETE},
    (State.PROCESSING, State.FAILED): {Move.FAIL},
    (State.PROCESSING, State.CANCELLED): {Move.CANCEL},
    (State.PROCESSING, State.PENDING): {Move.RETRY, Move.RELEASE, Move.RESCUE},
    (State.FAILED, State.PENDING): {Move.REOPEN},
    (State.CANCELLED, State.PENDING): {Move.REOPEN},
}


@pytest.mark.parametrize(("origin", "move"), list(product(State, Move)))
def test_c2_move_leads_where_the_contract_says_and_nowhere_else(origin, move):
    expected = {target for (state, target), moves in LEGAL.items() if state is origin and move in moves}

    found = after(origin, move)

    assert ({found} - {None}) == expected


def test_c1_six_states_are_live_or_terminal_and_never_both():
    assert set(State) == LIVE | TERMINAL
    assert not LIVE & TERMINAL
    assert len(State) == 6


def test_c2_ended_jobs_leave_by_reopen_only():
    assert {move for state, move in MOVES if state in TERMINAL} == {Move.REOPEN}


def test_c2_completed_is_for_ever():
    assert [move for state, move in MOVES if state is State.COMPLETED] == []


@pytest.mark.parametrize(
    ("state", "word"),
    [
        (State.BLOCKED, "pending"),
        (State.PENDING, "pending"),
        (State.PROCESSING, "processing"),
        (State.COMPLETED, "completed"),
        (State.FAILED, "failed"),
        (State.CANCELLED, "failed"),
    ],
)
def test_x_7_six_states_show_as_four_words(state, word):
    assert four_words(state).value == word


def test_diagram_draws_every_move():
    drawing = diagram()

    arrows = {line.strip() for line in drawing.splitlines() if "-->" in line and ":" in line}
    assert {arrow.partition(":")[0] for arrow in arrows} == {f"{a} --> {b}" for a, b in LEGAL}
    assert all(move.value in drawing for move in Move)
