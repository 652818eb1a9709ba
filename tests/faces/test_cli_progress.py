"""How far a long command is: a bar for people, lines for whatever else reads stderr."""

import sys

import pytest

from headrace.cli.progress import telling


def test_a_line_is_written_for_each_step_and_each_tenth(capsys):
    with telling() as tell:
        tell("waiting", 0, 0)
        tell("waiting", 0, 0)
        for done in range(0, 101, 5):
            tell("copying", done, 100)

    tenths = [f"copying {done} of 100" for done in range(0, 101, 10)]
    assert capsys.readouterr().err.splitlines() == ["waiting", *tenths]


def test_total_grows_when_more_is_done_than_was_expected(capsys):
    with telling() as tell:
        tell("taking in", 7, 5)

    assert capsys.readouterr().err == "taking in 7 of 7\n"


def test_what_is_told_cannot_command_the_terminal(capsys):
    with telling() as tell:
        tell("\x1b[31mred", 0, 0)

    assert capsys.readouterr().err == "\\x1b[31mred\n"


def test_a_terminal_shows_a_bar(capsys, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")

    with telling() as tell:
        tell("copying", 3, 12)
        tell("waiting", 0, 0)
        tell("[b]comparing", 7, 5)

    shown = capsys.readouterr().err
    assert "[b]comparing" in shown
    assert "7/7" in shown
    assert "━" in shown
