"""A file with 1,000,000 ended, 100,000 scheduled and 100,000 due jobs, made by one statement a table."""

from pathlib import Path

import apsw

from headrace.stores.sqlite.store import open_sqlite

ENDED, SCHEDULED, DUE = 1_000_000, 100_000, 100_000
FAR_FUTURE = 9_000_000_000_000

_JOBS = """
insert into job (
  id, namespace, queue, type, state, priority, rank, due_at, isolation, generation, starts, failures, crashes,
  releases, snoozes, worker, started_at, ended_at, outcome, erase_at, unique_key, batch_id
)
with recursive counted(n) as (select 1 union all select n + 1 from counted where n < :all)
select
  printf('%08x-0000-7000-8000-000000000000', n), 'default', 'queue-' || (n % 4), 'type-' || (n % 10),
  case when n > :ended then 'pending' when n % 100 = 0 then 'failed' else 'completed' end,
  iif(n between :ended and :ended + :scheduled, 50, 0),
  case when n > :ended + :scheduled then n when n > :ended then :future + n else n end,
  case when n > :ended + :scheduled then n when n > :ended then :future + n end,
  0, 1, n <= :ended, 0, 0, 0, 0,
  iif(n <= :ended, 'worker', null), iif(n <= :ended, n, null), iif(n <= :ended, n, null),
  iif(n <= :ended, 'succeeded', null), iif(n <= :ended and n % 100 <> 0, :future + n, null),
  iif(n % 50 = 0, 'key-' || n, null), iif(n % 50 = 0, 'batch-' || (n % 1000), null)
from counted
"""
_BODIES = """
insert into body (seq, payload, created_at, version, max_attempts, max_crashes)
select seq, '{"n":1}', 1, 1, 3, 3
from job
"""
_TAGS = """
insert into tag (namespace, tag, seq)
select 'default', 'tag-' || (seq % 7), seq
from job
where seq % 50 = 0
"""


async def make_big(path: Path) -> None:
    store = await open_sqlite(f"sqlite:///{path}")
    await store.close()
    db = apsw.Connection(str(path))
    db.pragma("synchronous", "off")
    db.pragma("cache_size", -400_000)
    sizes = {"all": ENDED + SCHEDULED + DUE, "ended": ENDED, "scheduled": SCHEDULED, "future": FAR_FUTURE}
    with db:
        for query, values in ((_JOBS, sizes), (_BODIES, {}), (_TAGS, {})):
            db.execute(query, values)
    db.close()
