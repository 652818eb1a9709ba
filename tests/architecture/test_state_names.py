"""States have one home: outside core/states.py and the migrations nobody spells their names."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.architecture import sources

WORDS = frozenset({"blocked", "pending", "processing", "completed", "failed", "cancelled"})
QUOTED = re.compile(r"""['"](""" + "|".join(sorted(WORDS)) + r""")['"]""")
HOME = sources.CORE / "states.py"


def is_exempt(path: Path) -> bool:
    return path == HOME or any(part.startswith("migrations") for part in path.parts)


def spelled_in_python(module: ast.Module) -> Iterator[tuple[int, str]]:
    docstrings = {
        id(node.value)
        for node in ast.walk(module)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(module):
        if isinstance(node, ast.Constant) and node.value in WORDS and id(node) not in docstrings:
            yield node.lineno, str(node.value)


def spelled_in_query(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), start=1):
        code = line.partition("--")[0]
        yield from ((number, match[1]) for match in QUOTED.finditer(code))


def test_python_takes_state_names_from_core_states():
    spelled = [
        f"{sources.name(path)}:{line} spells {word!r}: use core.states"
        for path in sources.files(sources.PACKAGE)
        if not is_exempt(path)
        for line, word in spelled_in_python(sources.tree(path))
    ]

    assert spelled == []


def test_queries_name_no_state():
    spelled = [
        f"{sources.name(path)}:{line} spells {word!r}: ask for a column that core fills"
        for path in sources.files(sources.PACKAGE, suffixes=(".sql", ".lua"))
        if not is_exempt(path)
        for line, word in spelled_in_query(sources.text(path))
    ]

    assert spelled == []


def test_spelled_states_are_found():
    module = ast.parse(
        '"""failed"""\ndef f(x):\n    "pending"\n    return x == "failed" or x in {"cancelled": 1}\n'
    )

    assert sorted(word for _, word in spelled_in_python(module)) == ["cancelled", "failed"]
    assert list(spelled_in_query("select 1\nwhere state = 'failed' -- not 'pending'")) == [(2, "failed")]
