"""The store on PostgreSQL 14 and newer."""

from headrace.stores.postgres.store import PostgresStore, open_postgres

__all__ = ["PostgresStore", "open_postgres"]
