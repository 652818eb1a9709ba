"""From a URL to an open store."""

from headrace.errors import InvalidInput
from headrace.stores.protocol import Store


async def open_store(url: str) -> Store:
    """Opens the store a URL names. Raises InvalidInput for a URL of no known kind, StoreError else.

    A SQLite database is made and brought up to date if need be.
    """
    scheme = url.partition(":")[0]
    match scheme:
        case "sqlite":
            from headrace.stores.sqlite import open_sqlite

            return await open_sqlite(url)
        case _:
            msg = f"no store for {scheme!r} URLs; use sqlite:///jobs.db, sqlite:////path/jobs.db or sqlite://"
            raise InvalidInput(msg, field="url")
