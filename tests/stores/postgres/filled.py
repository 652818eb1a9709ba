"""Tables with 20,000 jobs: 15,000 have ended, 100 run, 3,900 are parked and 1,000 are due."""

FILL = """
insert into headrace.job (
  seq, created_at, version, max_attempts, max_crashes, id, namespace, queue, type, payload, unique_key,
  batch_id, tags
)
select
  n, 1, 1, 3, 3, 'id-' || n, 'default', 'queue-' || n % 4, 'type-' || n % 10, '{}', 'key-' || n,
  'batch-' || n % 100, '["tag"]'
from generate_series(1, 20000) n;

insert into headrace.ended (
  seq, rank, erase_at, ended_at, priority, fence, revision, isolation, generation, starts, failures, crashes,
  releases, snoozes, namespace, state
)
select
  n, n, n, n, 0, 1, 2, 0, 1, 1, 0, 0,
  0, 0, 'default', case when n % 100 = 0 then 'failed' else 'completed' end
from generate_series(1, 15000) n;

insert into headrace.live (
  seq, rank, due_at, lease_until, parked_on,
  priority, isolation, generation, starts, failures, crashes, releases, snoozes,
  namespace, queue, type, batch_id, state, unique_lock,
  gate, order_lane, slot_key
)
select
  n, n, case when n > 19000 then n end, case when n <= 15100 then n end,
  case when n > 15100 and n <= 19000 then 'lane-' || n % 1000 end,
  0, 0, 1, 0, 0, 0, 0, 0,
  'default', 'queue-' || n % 4, 'type-' || n % 10, 'batch-' || n % 100,
  case when n > 15100 then 'pending' else 'processing' end, 'key-' || n,
  case when n % 2 = 0 then '{"order":"order:a/' || n % 500 || '","on_retry":"hold"}' end,
  case when n % 2 = 0 then 'order:a/' || n % 500 end, case when n <= 15100 then '["limit:a/1"]' end
from generate_series(15001, 20000) n;

insert into headrace.lane (namespace, key)
select 'default', 'lane-' || n
from generate_series(1, 2000) n;

insert into headrace.slot
select 'default', 'lane-' || n % 1000, n
from generate_series(15001, 15100) n;

insert into headrace.edge (child, parent, number, on_parent_failure)
select n, n - 1, 0, 'cancel'
from generate_series(2, 20000) n;

insert into headrace.waiting
select n
from generate_series(15001, 20000) n;

insert into headrace.tag
select 'default', 'tag', n
from generate_series(1, 20000) n;

insert into headrace.note (seq, progress)
select n, '1'
from generate_series(1, 20000) n;

insert into headrace.line (seq, number, at, level, message)
select n, 1, 1, 'info', 'x'
from generate_series(1, 20000) n;

insert into headrace.step (seq, number, kind, name, occurrence, at)
select n, 1, 'step', 'charge', 1, 1
from generate_series(1, 20000) n;

insert into headrace.signal (seq, id, name, at, payload)
select n, 'one', 'approved', 1, 'true'
from generate_series(1, 20000) n;

insert into headrace.trail (seq, attempts)
select n, '{}'
from generate_series(1, 20000) n;

insert into headrace.logged_namespace (namespace, epoch, since_transaction, since_number, keep_ms, keep_count)
values ('default', 1, 0, 0, 1000, 1000);

insert into headrace.logged_change (
  transaction, at, generation, charged, namespace, job_id, queue, type, state
)
select n / 10, n, 1, 0, 'default', 'id-' || n, 'queue-' || n % 4, 'type-' || n % 10, 'pending'
from generate_series(1, 20000) n;

insert into headrace.record
select 'n', 'k', 'key-' || n, n, '{}', n
from generate_series(1, 20000) n;

insert into headrace.receipt
select 'n', 'key-' || n, 'id', null, n
from generate_series(1, 20000) n;

insert into headrace.register (namespace, key, value)
select 'n', 'key-' || n, '1'
from generate_series(1, 20000) n;

insert into headrace.register (namespace, key, value, due_at)
select 'n', case when n % 2 = 0 then 'schedule:' else 'other:' end || n, '1', n
from generate_series(1, 20000) n;

insert into headrace.tally
values ('default', 'queue-1', 'type-1', 'completed', 1500), ('default', 'queue-0', 'type-0', 'failed', 150);

analyze;
"""
