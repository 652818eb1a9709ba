"""Alert rules: what is told, and that it is told once."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core import alerts
from headrace.core.alert_wire import alert_of, dumps, loads, mail_of, message_to_json, rule_to_json
from headrace.core.alerts import (
    MAX_SUBJECTS,
    OTHERS,
    Active,
    AlertRule,
    AlertState,
    Condition,
    Notice,
    Reading,
    Status,
    Stillness,
    Target,
    To,
    When,
    looked,
    silenced,
)
from headrace.errors import InvalidInput
from tests.builders import HOUR, MINUTE, NOW, SECOND

DEAD = Condition(when=When.DEAD)


def a_rule(**fields) -> AlertRule:
    return AlertRule(**({"name": "rule", "condition": DEAD} | fields))


def a_state(**fields) -> AlertState:
    return AlertState(rule=a_rule(**fields), created_at=NOW)


def seen(*subjects: str, count: int = 1) -> list[Reading]:
    return [Reading(subject=one, message=f"{one} died", count=count) for one in subjects]


def told(notices: Sequence[Notice]) -> list[tuple[str, str]]:
    return [(one.status.value, one.subject) for one in notices]


def run(state: AlertState, *looks: tuple[int, list[Reading]]) -> list[list[tuple[str, str]]]:
    """What each look tells."""
    answers = []
    for at, readings in looks:
        state, notices = looked(state, readings, at)
        answers.append(told(notices))
    return answers


def test_subject_is_told_of_once_while_it_stays_so():
    looks = [(NOW + n * 10 * SECOND, seen("echo", count=n)) for n in range(1, 20)]

    assert run(a_state(), *looks) == [[("raised", "echo")], *([[]] * 18)]


def test_subject_that_stays_so_is_told_of_again_after_a_while():
    state = a_state(again_after_ms=HOUR)

    answers = run(state, (NOW, seen("a")), (NOW + HOUR - 1, seen("a")), (NOW + HOUR, seen("a")))

    assert answers == [[("raised", "a")], [], [("again", "a")]]


def test_subject_is_told_of_only_once_where_the_rule_says_so():
    state = a_state(again_after_ms=None)

    assert run(state, (NOW, seen("a")), (NOW + 1000 * HOUR, seen("a"))) == [[("raised", "a")], []]


def test_subject_is_resolved_once_it_has_not_been_so_for_a_while():
    answers = run(
        a_state(clear_after_ms=MINUTE),
        (NOW, seen("a")),
        (NOW + MINUTE - 1, []),
        (NOW + MINUTE, []),
        (NOW + 2 * MINUTE, []),
        (NOW + 3 * MINUTE, seen("a")),
    )

    assert answers == [[("raised", "a")], [], [("resolved", "a")], [], [("raised", "a")]]


def test_subject_that_comes_and_goes_within_the_while_is_told_of_once():
    state = a_state(clear_after_ms=MINUTE)
    looks = [(NOW + n * 30 * SECOND, seen("a") if n % 2 else []) for n in range(1, 30)]

    assert sum(map(len, run(state, *looks))) == 1


def test_each_subject_is_told_of_by_itself():
    answers = run(a_state(), (NOW, seen("a")), (NOW + SECOND, seen("a", "b")))

    assert answers == [[("raised", "a")], [("raised", "b")]]


def test_silence_tells_nothing_and_afterwards_what_is_still_so():
    state = silenced(a_state(clear_after_ms=0), NOW + HOUR)

    answers = run(
        state,
        (NOW, seen("a", "b")),
        (NOW + HOUR - 1, seen("a")),
        (NOW + HOUR, seen("a")),
        (NOW + 2 * HOUR, []),
    )

    assert answers == [[], [], [("raised", "a")], [("resolved", "a")]]


def test_what_was_told_before_a_silence_and_cleared_within_it_is_resolved_afterwards():
    state, _ = looked(a_state(clear_after_ms=0), seen("a"), NOW)
    state = silenced(state, NOW + HOUR)

    assert run(state, (NOW + MINUTE, []), (NOW + HOUR, [])) == [[], [("resolved", "a")]]


def test_notice_carries_the_latest_count_and_when_it_began():
    state, _ = looked(a_state(again_after_ms=MINUTE), seen("a", count=3), NOW)

    _, (notice,) = looked(state, seen("a", count=9), NOW + MINUTE)

    assert (notice.active.count, notice.active.since, notice.active.told_at) == (9, NOW, NOW + MINUTE)


def test_burst_of_subjects_is_bounded_and_those_known_keep_their_place():
    state, first = looked(a_state(), seen("zz-known"), NOW)
    burst = [Reading(subject=f"s{n:04}", message="died", count=2) for n in range(500)]

    after, notices = looked(state, [*burst, *seen("zz-known")], NOW + SECOND)

    assert told(first) == [("raised", "zz-known")]
    assert len(notices) == MAX_SUBJECTS
    assert "zz-known" in after.active
    assert len(after.active) == MAX_SUBJECTS + 1
    assert after.active[OTHERS].count == 2 * (501 - MAX_SUBJECTS)


def test_rule_put_with_the_same_condition_goes_on_where_it_was():
    state, _ = looked(a_state(), seen("a"), NOW)
    changed = replace(state.rule, to=(Target(to=To.MAIL, address="a@example.com"),))

    assert alerts.put(state, changed, NOW) == replace(state, rule=changed)


def test_rule_put_with_another_condition_begins_anew():
    state, _ = looked(a_state(), seen("a"), NOW)
    changed = replace(state.rule, condition=replace(DEAD, count=5))

    assert alerts.put(state, changed, NOW).active == {}


LOOKS = st.lists(
    st.tuples(
        st.integers(min_value=0, max_value=5 * MINUTE),  # how long after the last look
        st.sets(st.sampled_from("abc")),  # what is so
        st.sampled_from([None, None, None, 0, MINUTE, 10 * MINUTE]),  # a silence that begins now
    ),
    max_size=60,
)


@given(
    looks=LOOKS,
    again_after=st.none() | st.integers(min_value=10 * SECOND, max_value=10 * MINUTE),
    clear_after=st.integers(min_value=0, max_value=3 * MINUTE),
)
def test_nothing_is_told_twice_whatever_happens(looks, again_after, clear_after):
    state = a_state(again_after_ms=again_after, clear_after_ms=clear_after)
    open_since: dict[str, int] = {}
    now = NOW
    for pause, subjects, silence in looks:
        now += pause
        if silence is not None:
            state = silenced(state, now + silence)
        state, notices = looked(state, seen(*sorted(subjects)), now)
        assert not (notices and state.is_silent(now))
        assert len({one.subject for one in notices}) == len(notices)
        for one in notices:
            match one.status:
                case Status.RAISED:
                    assert one.subject not in open_since
                    assert one.subject in subjects
                    open_since[one.subject] = now
                case Status.AGAIN:
                    assert again_after is not None
                    assert now - open_since[one.subject] >= again_after
                    open_since[one.subject] = now
                case Status.RESOLVED:
                    assert one.subject not in subjects
                    del open_since[one.subject]
        if not state.is_silent(now):
            assert subjects <= open_since.keys()
        assert {subject for subject, one in state.active.items() if one.told_at is not None} == set(
            open_since
        )
        state = loads(dumps(state))


def test_state_is_read_back_with_all_it_remembers():
    state, _ = looked(
        a_state(
            condition=Condition(when=When.DEAD, count=3, types=("a", "b"), queues=("q",)),
            to=(Target(to=To.LOG), Target(to=To.WEBHOOK, address="https://example.com/hook?key=1")),
            again_after_ms=None,
            with_payload=True,
        ),
        [Reading(subject="a", message="died", count=2, job_id="id")],
        NOW,
    )
    state = replace(
        state,
        still={"q": Stillness(since=NOW, oldest_due_at=None, ended=1, running=2)},
        silenced_until=NOW + 1,
        error="no",
    )

    assert loads(dumps(state)) == state


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("log", Target(to=To.LOG)),
        ("function", Target(to=To.FUNCTION)),
        ("webhook:https://example.com/a", Target(to=To.WEBHOOK, address="https://example.com/a")),
        ("mail:ops@example.com", Target(to=To.MAIL, address="ops@example.com")),
        ("job:page-someone", Target(to=To.JOB, address="page-someone")),
    ],
)
def test_target_is_written_as_it_is_read(text, expected):
    assert Target.parse(text) == expected
    assert expected.text == text


@pytest.mark.parametrize("text", ["", "sms:1", "log:", "log:x", "webhook", "webhook:", "mail:", "job"])
def test_what_is_no_target_is_refused(text):
    with pytest.raises(InvalidInput):
        Target.parse(text)


def test_secrets_in_a_url_are_not_shown():
    shown = Target.parse("webhook:https://user:pass@hooks.example.com/T0/SECRET?key=SECRET").shown

    assert shown == "webhook:https://hooks.example.com/…"


@pytest.mark.parametrize(
    "fields",
    [
        {"count": 0},
        {"within_ms": SECOND},
        {"within_ms": 8 * 24 * HOUR},
        {"longer_than_ms": SECOND},
        {"types": ("no spaces",)},
        {"types": tuple(f"t{n}" for n in range(101))},
        {"schedules": ("s",)},
        {"when": When.WAITING, "types": ("t",)},
        {"when": When.MISSED, "queues": ("q",)},
    ],
)
def test_condition_that_makes_no_sense_is_refused(fields):
    with pytest.raises(InvalidInput):
        Condition(**({"when": When.DEAD} | fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "no spaces"},
        {"to": ()},
        {"to": (Target(to=To.LOG),) * 21},
        {"again_after_ms": SECOND},
        {"clear_after_ms": -1},
    ],
)
def test_rule_that_makes_no_sense_is_refused(fields):
    with pytest.raises(InvalidInput):
        a_rule(**fields)


def an_active(**fields) -> Active:
    return Active(
        **(
            {"since": NOW, "seen_at": NOW, "told_at": NOW, "count": 1, "message": "Job x permanently failed"}
            | fields
        )
    )


def test_s1_46_alert_of_a_failed_job_has_type_message_and_details():
    notice = Notice(status=Status.RAISED, subject="echo", active=an_active(job_id="x"))
    details = {"queue": "q", "jobData": {"n": 1}, "error": "ValueError: boom"}

    (told_of,) = message_to_json([alert_of(a_rule(), notice, details, NOW)])["alerts"]

    assert told_of["type"] == "job-failure"
    assert told_of["message"] == "Job x permanently failed"
    assert told_of["details"] == details
    assert (told_of["status"], told_of["since"]) == ("raised", "2026-01-01T00:00:00Z")


def test_mail_says_all_on_lines_without_control_characters():
    notices = [
        Notice(status=Status.RAISED, subject="a", active=an_active(message="it\nbroke\x1b[31m")),
        Notice(status=Status.RESOLVED, subject="b", active=an_active()),
    ]
    told_of = [alert_of(a_rule(), one, {"error": "x\r\nBcc: y"}, NOW) for one in notices]

    one_subject, _ = mail_of(told_of[:1])
    subject, body = mail_of(told_of)

    assert one_subject == "Alert: it?broke?[31m"
    assert subject == "Alert: 2 alerts of rule rule"
    assert "    error: x  Bcc: y" in body.splitlines()
    assert "resolved: Resolved: Job x permanently failed (since 2026-01-01T00:00:00Z)" in body


def test_rule_is_shown_with_what_it_tells_of():
    state, _ = looked(a_state(again_after_ms=None), seen("a"), NOW)

    shown = rule_to_json(state)

    assert (shown["name"], shown["when"], shown["to"], shown["againAfter"]) == ("rule", "dead", ["log"], None)
    assert [one["subject"] for one in shown["active"]] == ["a"]
