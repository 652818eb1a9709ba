"""What is printed can never be taken by a terminal as a command."""

import json

import pytest

from headrace.cli import show
from headrace.cli.exits import shown

HOSTILE = [
    "\x1b[31mred",
    "\x1b]0;title\x07",
    "a\rb",
    "a\nb",
    "a\tb",
    "\x9b31m",
    "\u202eevil",
    "\ud800",
    "\x00",
    "\u2028",
]


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_control_characters_are_spelled_out(text):
    assert shown(text).isprintable()
    assert shown(text) != text


@pytest.mark.parametrize("text", ["plain", "é 𝄞 日本", "[bold]no markup[/bold]", ""])
def test_ordinary_text_is_left_alone(text):
    assert shown(text) == text


@pytest.mark.parametrize("text", HOSTILE[:-3], ids=ascii)
def test_json_is_safe_and_still_the_same(capsys, text):
    show.print_json({"message": text})

    printed = capsys.readouterr().out
    assert printed.replace("\n", "").isprintable()
    assert json.loads(printed) == {"message": text}


@pytest.mark.parametrize("terminal", [True, False])
def test_table_cells_are_safe(capsys, monkeypatch, terminal):
    monkeypatch.setattr(show, "on_terminal", lambda: terminal)
    monkeypatch.setenv("TERM", "dumb")

    show.print_table(("name", "value"), [("x\x1b[2J", "[red]y[/red]"), (None, True)])

    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "x\\x1b[2J" in printed
    assert "[red]y[/red]" in printed


def test_empty_table_says_so_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(show, "on_terminal", lambda: True)

    show.print_table(("name",), [], empty="no jobs")

    assert capsys.readouterr().out == "no jobs\n"


def test_ids_stay_in_one_piece_on_a_narrow_terminal(capsys, monkeypatch):
    monkeypatch.setattr(show, "on_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    job_id = "01a20422-3348-7044-bb5c-1ca208592955"

    show.print_table(
        ("id", "type", "queue", "error"), [(job_id, "send-email", "email", "words " * 20)], spare=("queue",)
    )

    printed = capsys.readouterr().out
    assert job_id in printed
    assert "queue" not in printed
