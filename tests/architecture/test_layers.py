"""The arrows of docs/architecture.md: the contracts in pyproject.toml, and who imports a database driver."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture import sources

DRIVERS = {
    "aiosqlite": "sqlite",
    "apsw": "sqlite",
    "sqlite3": "sqlite",
    "asyncpg": "postgres",
    "psycopg": "postgres",
    "hiredis": "redis",
    "redis": "redis",
    "valkey": "redis",
}
STORES = sources.PACKAGE / "stores"


def concrete_stores() -> list[str]:
    return sorted(folder.name for folder in STORES.iterdir() if (folder / "__init__.py").is_file())


def test_layers_keep_their_contracts():
    lint_imports = Path(sys.executable).with_name("lint-imports")

    result = subprocess.run(
        [lint_imports, "--no-cache"], cwd=sources.ROOT, capture_output=True, text=True, check=False
    )

    assert result.returncode == 0, result.stdout + result.stderr


def test_a_driver_is_imported_only_by_its_store():
    strangers = [
        f"{sources.name(path)}:{line} imports {imported}"
        for path in sources.files(sources.PACKAGE)
        for line, imported in sources.imports(sources.tree(path))
        if (store := DRIVERS.get(imported.partition(".")[0])) and not path.is_relative_to(STORES / store)
    ]

    assert strangers == []


@pytest.mark.parametrize("store", concrete_stores())
def test_concrete_stores_never_import_each_other(store: str):
    others = tuple(f"headrace.stores.{other}" for other in concrete_stores() if other != store)

    strangers = [
        f"{sources.name(path)}:{line} imports {imported}"
        for path in sources.files(STORES / store)
        for line, imported in sources.imports(sources.tree(path))
        if others and imported.startswith(others)
    ]

    assert strangers == []
