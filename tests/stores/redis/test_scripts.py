"""The Lua scripts as they are sent: each can be loaded, and says what it needs."""

import re
from importlib.resources import files

import pytest
import redis

from headrace.core.states import TERMINAL, State
from headrace.stores.redis.scripts import script

FOLDER = files("headrace.stores.redis") / "lua"
SCRIPTS = sorted(one.name.removesuffix(".lua") for one in FOLDER.iterdir() if one.name.endswith(".lua"))
PARTS = sorted(one.name.removesuffix(".lua") for one in (FOLDER / "parts").iterdir())
FILES = [*SCRIPTS, *(f"parts/{part}" for part in PARTS)]
MOST_LINES = 60
HEADER = re.compile(r"(?:-- .*\n)+")
WRITES = re.compile(r"^(?:DO|CHECK)\.([a-z_]+)", re.MULTILINE)
TOLD = """
local found = {}
for n, state in ipairs(ARGV) do found[n] = ENDED[state] and 1 or 0 end
return found
"""
CALLS = re.compile(r"\b(([a-z_]+)\.[a-z_]+)\(")


def source(name: str) -> str:
    return (FOLDER / f"{name}.lua").read_text("utf-8")


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_is_one_that_the_server_takes(name, client):
    wanted = script(name)

    assert client.script_load(wanted.text) == wanted.sha


@pytest.mark.parametrize("name", FILES)
def test_file_is_of_a_size_that_can_be_read(name):
    assert len(source(name).splitlines()) <= MOST_LINES


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_says_what_it_does_is_given_and_replies(name):
    text = source(name)
    header = HEADER.match(text)

    assert header is not None
    assert "Reply: " in header[0] or "Reply:\n" in header[0]
    assert ("ARGV" in header[0]) == ("ARGV" in text.removeprefix(header[0]))


@pytest.mark.parametrize("name", PARTS)
def test_part_says_what_it_does_and_what_its_writes_are_given(name):
    text = source(f"parts/{name}")
    told = "\n".join(line for line in text.splitlines() if line.startswith("-- "))

    assert HEADER.match(text)
    assert {write for write in WRITES.findall(text) if f"{{'{write}'" not in told} == set()


@pytest.mark.parametrize("name", FILES)
def test_key_that_scripts_are_given_is_taken_in_one_place(name):
    assert not re.search(r"\bKEYS\[", source(name))


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_has_every_function_that_it_calls(name):
    """All parts have a table in every script, so one that is missing would be found out only by a call."""
    text = script(name).text
    code = "\n".join(line.partition("--")[0] for line in source(name).splitlines())

    called = {function for function, part in CALLS.findall(code) if part in PARTS}

    assert {function for function in called if f"function {function}(" not in text} == set()


def test_states_are_those_of_core(client):
    head = script("jobs").text.partition("local DO")[0]

    told = client.eval(f"{head}\nreturn {{State.PENDING, State.FAILED, #KEYS}}", 1, "root")
    ended = client.eval(head + TOLD, 1, "root", *(state.value for state in State))

    assert told == [State.PENDING, State.FAILED, 1]
    assert ended == [int(state in TERMINAL) for state in State]


def test_script_that_refuses_leaves_nothing(client: redis.Redis):
    wanted = script("commit")
    inserts = '["insert",1,[]]'

    said = client.eval(wanted.text, 1, "headrace:{x}", f'[{inserts},["unchanged","nobody",1]]')

    assert said == ["again"]
    assert client.dbsize() == 0
