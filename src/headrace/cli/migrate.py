"""``headrace migrate``: brings the store's tables to this version."""

from typing import Annotated

from cyclopts import Parameter

from headrace.cli.opening import settings_for, sqlite_file, wait_for
from headrace.cli.options import Url
from headrace.cli.show import print_line
from headrace.errors import NotFound
from headrace.stores.open import open_store
from headrace.stores.protocol import Store


def migrate(
    *,
    plan: Annotated[
        bool, Parameter(negative="", help="Print the SQL that would run, for psql, and change nothing.")
    ] = False,
    url: Url = None,
) -> None:
    """Make the store's tables, or bring them up to date. Two at once are safe, and so is a second try."""
    settings = settings_for(url)
    file = sqlite_file(settings.url)
    if plan and file is not None and not file.is_file():
        raise NotFound(f"there is no store at {settings.url} yet")

    async def run() -> None:
        store = await open_store(settings.url)
        try:
            print_line(await (_planned(store) if plan else _migrated(store)))
        finally:
            await store.close()

    wait_for(run)


async def _planned(store: Store) -> str:
    return (await store.migration_plan()).rstrip("\n") or "-- The schema is up to date."


async def _migrated(store: Store) -> str:
    was_missing = bool(await store.migration_plan())
    number = await store.migrate()
    return f"The schema has number {number} now." if was_missing else f"The schema is up to date: {number}."
