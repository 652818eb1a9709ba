"""From a URL to an open store."""

from headrace.errors import InvalidInput, StoreUnusable
from headrace.settings import redis_environment
from headrace.stores.protocol import Store


async def open_store(url: str) -> Store:
    """Opens the store a URL names. Raises InvalidInput for a URL of no known kind, StoreError else.

    A SQLite database is made and brought up to date if need be. A PostgreSQL database is left as it is, and
    refuses to work until ``migrate`` has made its tables. Nothing is sent to it, or to a Redis server, before
    the first call.
    """
    scheme = url.partition(":")[0]
    match scheme:
        case "sqlite":
            from headrace.stores.sqlite import open_sqlite

            return await open_sqlite(url)
        case "postgresql" | "postgres":
            try:
                from headrace.stores.postgres import open_postgres
            except ModuleNotFoundError as error:
                if error.name != "asyncpg":
                    raise
                msg = "PostgreSQL needs its driver: pip install 'headrace[postgres]'"
                raise StoreUnusable(msg) from error
            return await open_postgres(url)
        case "redis" | "rediss" | "valkey" | "valkeys" | "unix" | "redis+unix":
            return await _open_redis(url)
        case "redis+sentinel" | "rediss+sentinel" | "redis+cluster" | "rediss+cluster":
            return await _open_redis(url)
        case _:
            msg = (
                f"no store for {scheme!r} URLs; use sqlite:///jobs.db, sqlite:////path/jobs.db, sqlite://,"
                " postgresql://user:password@host/database or redis://host:6379/0"
            )
            raise InvalidInput(msg, field="url")


async def _open_redis(url: str) -> Store:
    try:
        from headrace.stores.redis import open_redis
    except ModuleNotFoundError as error:
        if error.name != "redis":
            raise
        raise StoreUnusable("Redis needs its driver: pip install 'headrace[redis]'") from error
    return await open_redis(url, redis_environment())
