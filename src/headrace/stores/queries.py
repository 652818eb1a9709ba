"""Queries from ``.sql`` files beside a store's code."""

import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Final

_NAMED: Final = re.compile(r"^-- :(\w+)(?: .*)?$", re.MULTILINE)
_PART: Final = re.compile(r"\{(\w+)\}")


def queries(package: str, name: str) -> Mapping[str, str]:
    """The queries of one file of a package's ``queries`` folder, by name.

    Each begins with a line ``-- :name what it promises``; ``{name}`` stands for another one's text.
    """
    text = files(package).joinpath("queries", f"{name}.sql").read_text(encoding="utf-8")
    split = _NAMED.split(text)
    found = {key: query.strip().rstrip(";") for key, query in zip(split[1::2], split[2::2], strict=True)}
    return {key: _composed(query, found) for key, query in found.items()}


def _composed(query: str, parts: Mapping[str, str]) -> str:
    return _PART.sub(lambda part: _composed(parts[part[1]], parts), query)
