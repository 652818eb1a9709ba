"""From a URL to the store that it asks for."""

from collections.abc import Mapping

from headrace.stores.protocol import Store
from headrace.stores.redis.database import Database
from headrace.stores.redis.location import NOTHING, parse
from headrace.stores.redis.partitions.store import PartitionedStore
from headrace.stores.redis.store import RedisStore


async def open_redis(url: str, environment: Mapping[str, str] = NOTHING) -> Store:
    """Opens the server of a URL, or of the environment. Nothing is sent before the first call."""
    location = parse(url, environment)
    if location.partitions is None:
        return RedisStore(Database(location))
    return PartitionedStore(Database(location), location.partitions)
