"""The store on Redis 6.2 and newer, and on Valkey."""

from headrace.stores.redis.opening import RedisStore, open_redis

__all__ = ["RedisStore", "open_redis"]
