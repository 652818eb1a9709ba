"""The words and the JSON of explanations."""

import json

import pytest

from headrace.core.explain import explain
from headrace.core.findings import counted, explanation_to_json, moment, named, span
from headrace.core.situation import Situation
from tests.builders import (
    NOW,
    a_pending,
)


@pytest.mark.parametrize(
    ("ms", "told"),
    [
        (0, "1 s"),
        (1, "1 s"),
        (1_500, "2 s"),
        (60_000, "1 min"),
        (3_661_000, "1 h 1 min"),
        (90_000_000, "1 d 1 h"),
        (86_401_000, "1 d 1 s"),
    ],
)
def test_span_names_its_largest_units(ms: int, told: str):
    assert span(ms) == told


def test_words_of_findings():
    assert moment(NOW, NOW) == "2026-01-01T00:00:00Z (1 s ago)"
    assert (counted(1, "job", "jobs"), counted(0, "job", "jobs")) == ("1 job", "0 jobs")
    assert named(("a", "b", "c", "d", "e")) == "a, b, c and 2 more"


def test_explanation_is_shown_as_json():
    shown = explanation_to_json(explain(Situation(job=a_pending(), now=NOW, paused=True)))

    assert json.loads(json.dumps(shown))["findings"][0] == {
        "code": "queue_paused",
        "sentence": "Queue default is paused.",
        "advice": "`headrace queues --resume default` lets its jobs start again.",
        "since": None,
        "until": None,
        "jobs": [],
    }
