"""Runs the blocks for PostgreSQL and Redis of the page about transactions, on a server."""

import ast
import inspect
import re
import sys
import types
from pathlib import Path

import pytest

from headrace.stores.open import open_store
from tests.servers.shared import SHARED
from tests.servers.shared_valkey import SHARED_VALKEY

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "transactions.md"
BLOCKS = r"^```python {}\n(.*?)^```"
POSTGRES_SHOP = "://localhost/shop"
REDIS_SHOP = "redis://localhost/0"


async def test_the_examples_for_postgres_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    url = SHARED.url(tmp_path)

    ran = await run_blocks("postgres", POSTGRES_SHOP, url.removeprefix("postgresql"), monkeypatch)

    assert ran >= 6
    assert await count(url) == 6


async def test_the_examples_for_redis_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    url = SHARED_VALKEY.fresh_url()

    ran = await run_blocks("redis", REDIS_SHOP, url, monkeypatch)

    assert ran == 4
    assert await count(url) == 4


async def count(url: str) -> int:
    """How many jobs there are."""
    store = await open_store(url)
    tallies = await store.tallies("default")
    await store.close()
    return sum(one.count for one in tallies)


async def run_blocks(name: str, shop: str, here: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Runs the blocks of that name, with another server than theirs; returns how many there were."""
    module = types.ModuleType("example")
    monkeypatch.setitem(sys.modules, "example", module)
    text = PAGE.read_text()

    ran = 0
    for found in re.finditer(BLOCKS.format(name), text, re.MULTILINE | re.DOTALL):
        source = found.group(1).replace(shop, here)
        padded = "\n" * text.count("\n", 0, found.start(1)) + source
        outcome = eval(
            compile(padded, str(PAGE), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), module.__dict__
        )
        if inspect.isawaitable(outcome):
            await outcome
        ran += 1
    module.app.portal.close()
    return ran
