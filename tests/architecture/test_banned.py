"""What the code never does, found in its syntax tree."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.architecture import sources

FORBIDDEN = {
    "asyncio.wait_for": "use `async with asyncio.timeout(...)`",
    "os.fork": "spawn a process instead",
    "NotImplementedError": "leave out what is not there",
}
IMPURE_IN_CORE = re.compile(
    r"(datetime\.)?(datetime|date)\.(now|utcnow|today)"
    r"|time\.(time|monotonic|perf_counter|process_time|sleep|localtime|gmtime)(_ns)?"
    r"|random\.[a-z]\w*"
    r"|(uuid|uuid_utils)\.uuid\w+|secrets\.\w+|os\.(urandom|getrandom)|open"
)
ENVIRONMENT = re.compile(r"os\.(getenv|environb?(\.\w+)?)")
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
BOUNDARY = re.compile(r"# boundary: \S+")
BROAD = {"Exception", "BaseException"}

Found = Iterator[tuple[int, str]]


def forbidden_names(module: ast.Module, _source: str) -> Found:
    yield from (
        (line, f"{used}: {FORBIDDEN[used]}") for line, used in sources.uses(module) if used in FORBIDDEN
    )
    for line, imported in sources.imports(module):
        if imported.partition(".")[0] == "pickle":
            yield line, "pickle: only JSON is stored or sent"
        elif imported in FORBIDDEN:
            yield line, f"{imported}: {FORBIDDEN[imported]}"


def impurities(module: ast.Module, _source: str) -> Found:
    for line, used in sources.uses(module):
        if IMPURE_IN_CORE.fullmatch(used):
            yield line, f"{used}: core takes time and chance as arguments and does no input or output"


def environment_reads(module: ast.Module, _source: str) -> Found:
    for line, used in sources.uses(module):
        if ENVIRONMENT.fullmatch(used):
            yield line, f"{used}: only settings.py reads the environment"


def broad_handlers(module: ast.Module, source: str) -> Found:
    lines = source.splitlines()
    for node in ast.walk(module):
        if not isinstance(node, ast.ExceptHandler) or not _is_broad(node) or _raises_again(node):
            continue
        if not BOUNDARY.search(lines[node.lineno - 1]):
            yield node.lineno, "a broad except needs `# boundary: <reason>` on its line"


def _is_broad(handler: ast.ExceptHandler) -> bool:
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(kind is None or (isinstance(kind, ast.Name) and kind.id in BROAD) for kind in caught)


def _raises_again(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def composed_queries(module: ast.Module, _source: str) -> Found:
    for node in ast.walk(module):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in {"execute", "executemany", "executescript"}
            and any(isinstance(argument, ast.JoinedStr) for argument in node.args)
        ):
            yield node.lineno, "an f-string as a query: use parameters"


def unfinished_comments(_module: ast.Module, source: str) -> Found:
    for line, comment in sources.comments(source).items():
        if UNFINISHED.search(comment):
            yield line, f"unfinished: {comment}"


EVERYWHERE = [forbidden_names, broad_handlers, composed_queries, unfinished_comments]


@pytest.mark.parametrize("rule", EVERYWHERE, ids=lambda rule: rule.__name__)
def test_package_keeps_rule(rule):
    assert _broken(rule, sources.files(sources.PACKAGE)) == []


def test_core_is_pure():
    assert _broken(impurities, sources.files(sources.CORE)) == []


def test_only_settings_read_the_environment():
    others = [path for path in sources.files(sources.PACKAGE) if path.name != "settings.py"]

    assert _broken(environment_reads, others) == []


def test_tests_leave_nothing_unfinished():
    assert _broken(unfinished_comments, sources.files(sources.ROOT / "tests")) == []


def _broken(rule, paths) -> list[str]:
    return [
        f"{sources.name(path)}:{line} {message}"
        for path in paths
        for line, message in rule(sources.tree(path), sources.text(path))
    ]


@pytest.mark.parametrize(
    ("rule", "source"),
    [
        (forbidden_names, "from asyncio import wait_for as w\nw(x, 1)"),
        (forbidden_names, "import asyncio\nasyncio.wait_for(x, 1)"),
        (forbidden_names, "import pickle"),
        (forbidden_names, "import os\nos.fork()"),
        (forbidden_names, "raise NotImplementedError"),
        (impurities, "import time as t\nt.monotonic()"),
        (impurities, "from datetime import datetime\ndatetime.now(UTC)"),
        (impurities, "import random\nrandom.random()"),
        (impurities, "from random import choice\nchoice(x)"),
        (environment_reads, "import os\nos.environ['X']"),
        (environment_reads, "from os import environ\nenviron.get('X')"),
        (broad_handlers, "try:\n    x\nexcept Exception:\n    pass"),
        (broad_handlers, "try:\n    x\nexcept (OSError, BaseException) as e:\n    raise Other from e"),
        (broad_handlers, "try:\n    x\nexcept:  # boundary:\n    pass"),
        (composed_queries, "db.execute(f'select {x}')"),
        (unfinished_comments, "x = 1  # TO" + "DO later"),
    ],
)
def test_broken_rule_is_found(rule, source):
    assert list(rule(ast.parse(source), source))


@pytest.mark.parametrize(
    ("rule", "source"),
    [
        (impurities, "import random\ndef f(rng: random.Random): return rng.random()"),
        (
            broad_handlers,
            "try:\n    x\nexcept Exception:  # boundary: a handler may raise anything\n    pass",
        ),
        (broad_handlers, "try:\n    x\nexcept BaseException:\n    undo()\n    raise"),
        (composed_queries, "db.execute('select :x', {'x': f'{y}'})"),
    ],
)
def test_kept_rule_is_not_reported(rule, source):
    assert list(rule(ast.parse(source), source)) == []
