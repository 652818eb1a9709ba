"""The checklist names tests and files that are there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "checklist.md").read_text()
NAMED = re.compile(r"`(test_\w+)`")
PATH = re.compile(r"`((?:tests|tools|docs|examples|bench)/[\w./-]+)`")
DEFINED = re.compile(r"^\s*(?:async )?def (test_\w+)", re.MULTILINE)


def defined() -> set[str]:
    return {
        name for path in (ROOT / "tests").rglob("test_*.py") for name in DEFINED.findall(path.read_text())
    }


def test_every_named_test_is_there() -> None:
    named = set(NAMED.findall(PAGE))

    assert named
    assert named - defined() == set()


def test_every_named_path_is_there() -> None:
    assert [path for path in PATH.findall(PAGE) if not (ROOT / path).exists()] == []


def test_every_id_stands_once() -> None:
    ids = re.findall(r"^\| ((?:S[0-4]|X)-\d+) \|", PAGE, re.MULTILINE)

    assert len(ids) == len(set(ids))
