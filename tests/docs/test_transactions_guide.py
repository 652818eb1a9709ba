"""Runs the blocks for PostgreSQL of the page about transactions, on a server."""

import ast
import inspect
import re
import sys
import types
from pathlib import Path

import pytest

from headrace.stores.open import open_store
from tests.servers.shared import SHARED

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "transactions.md"
BLOCK = re.compile(r"^```python postgres\n(.*?)^```", re.MULTILINE | re.DOTALL)
SHOP = "://localhost/shop"


async def test_the_examples_for_postgres_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    url = SHARED.url(tmp_path)
    module = types.ModuleType("example")
    monkeypatch.setitem(sys.modules, "example", module)
    text = PAGE.read_text()

    ran = 0
    for found in BLOCK.finditer(text):
        source = found.group(1).replace(SHOP, url.removeprefix("postgresql"))
        padded = "\n" * text.count("\n", 0, found.start(1)) + source
        outcome = eval(
            compile(padded, str(PAGE), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), module.__dict__
        )
        if inspect.isawaitable(outcome):
            await outcome
        ran += 1
    store = await open_store(url)
    states = await store.tallies("default")
    await store.close()
    module.app.portal.close()

    assert ran >= 6
    assert sum(one.count for one in states) == 6
