"""The Lua scripts of this package, with the parts that they use."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from headrace.core.states import TERMINAL, State

_PACKAGE: Final = "headrace.stores.redis"
_EVERYWHERE: Final = "core"
_USE: Final = re.compile(r"^--# use ([a-z_* ]+)$", re.MULTILINE)
_COMMENT: Final = re.compile(r"^[ \t]*--.*\n|^[ \t]+|\n(?=\n)", re.MULTILINE)
_STATES: Final = ", ".join(f"{state.name} = '{state.value}'" for state in State)
_ENDED: Final = ", ".join(f"{state.value} = true" for state in sorted(TERMINAL))
_HEAD: Final = f"""\
local R = KEYS[1]
local US = '\\31'
local State, ENDED = {{{_STATES}}}, {{{_ENDED}}}
local DO, CHECK, ON = {{}}, {{}}, {{changed = {{}}, noted = {{}}}}
"""


@dataclass(frozen=True, slots=True)
class Script:
    """A script as it is sent."""

    text: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        digest = hashlib.sha1(self.text.encode(), usedforsecurity=False)  # as the server names scripts
        object.__setattr__(self, "sha", digest.hexdigest())


@cache
def script(name: str) -> Script:
    """The script of that name."""
    own = (_folder() / f"{name}.lua").read_text("utf-8")
    parts = [_part(part) for part in _used(own)]
    return Script(_COMMENT.sub("", "".join([_HEAD, _tables(), *parts, own])))


def _tables() -> str:
    """A table for every part there is: so each may call any other, whatever stands first."""
    names = _parts()
    return f"local {', '.join(names)} = {', '.join('{}' for _ in names)}\n"


def _part(name: str) -> str:
    return f"do\n{_text_of(name)}\nend\n"


def _used(text: str) -> list[str]:
    """The parts that a script uses, also by way of others, each once."""
    found: list[str] = []
    waiting = [_EVERYWHERE, *_named(text)]
    while waiting:
        name = waiting.pop(0)
        if name not in found:
            found.append(name)
            waiting += _named(_text_of(name))
    return found


def _named(text: str) -> Sequence[str]:
    names = [name for line in _USE.findall(text) for name in line.split()]
    return _parts() if "*" in names else names


@cache
def _text_of(part: str) -> str:
    return (_folder() / "parts" / f"{part}.lua").read_text("utf-8")


@cache
def _parts() -> Sequence[str]:
    names = [one.name for one in (_folder() / "parts").iterdir()]
    return tuple(sorted(name.removesuffix(".lua") for name in names if name.endswith(".lua")))


def _folder() -> Traversable:
    return files(_PACKAGE) / "lua"
