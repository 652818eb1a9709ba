-- What this schema says of itself: `program`, whose it is; `schema`, its number; and `oldest`, where it is not
-- the number itself: the number of the oldest schema whose programs can still work with this one.
create table headrace.meta (
  name text collate "C" primary key,
  value text not null
);

-- What is fixed when a job is inserted. Written once, except for `replace`, and read by seq.
-- seq is the order of insertion, as far as a sequence can give it: it is not the order of commits.
create sequence headrace.job_seq;

create table headrace.job (
  seq bigint primary key,
  created_at bigint not null,
  timeout_ms bigint,
  version integer not null,
  max_attempts integer not null,
  max_crashes integer not null,
  id text collate "C" not null,
  namespace text collate "C" not null,
  queue text collate "C" not null,
  type text collate "C" not null,
  payload text not null,
  unique_key text collate "C",
  lock_after_claim text collate "C",
  batch_id text collate "C",
  parent_id text collate "C",
  lane text collate "C",
  backoff text,
  tags text
);

create unique index job_id on headrace.job (id);

create index job_batch on headrace.job (namespace, batch_id, seq) where batch_id is not null;

create index job_unique_key on headrace.job (namespace, unique_key, seq) where unique_key is not null;

-- A job that waits or runs: what decides. Rewritten at every claim, deleted at the end, so it stays narrow.
-- A due job has due_at, a running one lease_until; core fills these columns.
create table headrace.live (
  seq bigint primary key,
  rank bigint not null,
  due_at bigint,
  lease_until bigint,
  cancel_asked_at bigint,
  started_at bigint,
  timeout_ms bigint,
  priority integer not null,
  fence integer not null default 0,
  revision integer not null default 0,
  isolation integer not null,
  generation integer not null,
  starts integer not null,
  failures integer not null,
  crashes integer not null,
  releases integer not null,
  snoozes integer not null,
  namespace text collate "C" not null,
  queue text collate "C" not null,
  type text collate "C" not null,
  state text collate "C" not null,
  worker text collate "C",
  unique_lock text collate "C",
  lock_after_claim text collate "C",
  slot_key text collate "C",
  parked_on text collate "C",
  outcome text collate "C",
  error text
) with (
  -- Each claim leaves a dead row, and the claim must not walk over many of them.
  autovacuum_vacuum_scale_factor = 0,
  autovacuum_vacuum_threshold = 20000,
  autovacuum_analyze_scale_factor = 0.2,
  autovacuum_vacuum_cost_delay = 0
);

-- The claim's order.
create index live_due on headrace.live (namespace, queue, priority desc, rank, seq) where due_at is not null;

create index live_lease on headrace.live (lease_until) where lease_until is not null;

create unique index live_lock on headrace.live (namespace, unique_lock) where unique_lock is not null;

create index live_parked on headrace.live (namespace, parked_on, queue) where parked_on is not null;

-- A job that has ended. Inserted once.
create table headrace.ended (
  seq bigint not null,
  rank bigint not null,
  erase_at bigint,
  cancel_asked_at bigint,
  started_at bigint,
  ended_at bigint not null,
  timeout_ms bigint,
  priority integer not null,
  fence integer not null,
  revision integer not null,
  isolation integer not null,
  generation integer not null,
  starts integer not null,
  failures integer not null,
  crashes integer not null,
  releases integer not null,
  snoozes integer not null,
  namespace text collate "C" not null,
  state text collate "C" not null,
  worker text collate "C",
  outcome text collate "C",
  error text,
  result text,
  primary key (namespace, seq)
) with (autovacuum_vacuum_scale_factor = 0.05);

create index ended_erase on headrace.ended (erase_at) where erase_at is not null;

-- Most jobs end well and are found by the primary key; only the others pay for an index of their own.
create index ended_otherwise on headrace.ended (namespace, state, seq) where state <> 'completed';

create view headrace.otherwise as
select *
from headrace.ended
where state <> 'completed';

-- Live and ended jobs with the same columns.
create view headrace.placement as
select
  namespace, seq, fence, revision,
  state, priority, rank, due_at, lease_until, unique_lock, slot_key, parked_on,
  null::bigint as erase_at, cancel_asked_at, timeout_ms, isolation, generation,
  starts, failures, crashes, releases, snoozes, worker, started_at, null::bigint as ended_at,
  outcome, error, null::text as result
from headrace.live
union all
select
  namespace, seq, fence, revision,
  state, priority, rank, null, null, null, null, null,
  erase_at, cancel_asked_at, timeout_ms, isolation, generation,
  starts, failures, crashes, releases, snoozes, worker, started_at, ended_at,
  outcome, error, result
from headrace.ended;

create table headrace.tag (
  namespace text collate "C" not null,
  tag text collate "C" not null,
  seq bigint not null,
  primary key (namespace, tag, seq)
);

-- What holders noted; most jobs have no row here, nor in `line` and `trail`.
create table headrace.note (
  seq bigint primary key,
  timed_out_at bigint,
  timed_out_fence integer,
  progress text,
  checkpoint text
);

create table headrace.line (
  seq bigint not null,
  number integer not null,
  at bigint not null,
  level text not null,
  message bytea not null, -- a text cannot hold every character that a handler may log
  data text,
  primary key (seq, number)
);

-- Earlier attempts, as core.history writes them.
create table headrace.trail (
  seq bigint primary key,
  attempts text not null
);

-- How many jobs there are, for people; no decision reads it. Every move adds a row to `move`, so that
-- no two writers meet on one row; upkeep folds the rows into `tally`. The truth is the sum of both.
create table headrace.tally (
  namespace text collate "C" not null,
  queue text collate "C" not null,
  type text collate "C" not null,
  state text collate "C" not null,
  count bigint not null,
  primary key (namespace, queue, type, state)
) with (fillfactor = 50);

create table headrace.move (
  count integer not null,
  namespace text collate "C" not null,
  queue text collate "C" not null,
  type text collate "C" not null,
  state text collate "C" not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);

create table headrace.queue (
  namespace text collate "C" not null,
  name text collate "C" not null,
  paused boolean not null,
  primary key (namespace, name)
);

create table headrace.worker (
  namespace text collate "C" not null,
  name text collate "C" not null,
  host text not null,
  pid integer not null,
  queues text[],
  types text[] not null,
  started_at bigint not null,
  seen_at bigint not null,
  running integer not null,
  details text not null,
  primary key (namespace, name)
);

-- No two writes of registers have the same revision, so a swap of somebody who read a register that was
-- removed cannot hit the one that was made after it.
create sequence headrace.register_revision;

create table headrace.register (
  namespace text collate "C" not null,
  key text collate "C" not null,
  value text not null,
  revision bigint not null default nextval('headrace.register_revision'),
  due_at bigint,
  primary key (namespace, key)
);

create table headrace.record (
  namespace text collate "C" not null,
  kind text collate "C" not null,
  key text collate "C" not null,
  at bigint not null,
  body text not null,
  until bigint,
  primary key (namespace, kind, key)
);

create index record_newest on headrace.record (namespace, kind, at desc, key desc);

create index record_until on headrace.record (until) where until is not null;

-- Idempotency keys and keys for a period: they outlive their jobs.
create table headrace.receipt (
  namespace text collate "C" not null,
  key text collate "C" not null,
  job_id text collate "C" not null,
  body text,
  until bigint not null,
  primary key (namespace, key)
);

create index receipt_until on headrace.receipt (until);

-- The advisory lock of a queue.
create function headrace.queue_lock(namespace text, name text) returns bigint
language sql immutable as $$
select hashtextextended('headrace.' || namespace || e'\n' || name, 7426310)
$$;

-- A claim holds this shared until it commits, a pause exclusively until it is acknowledged; and the
-- claim reads the pauses in a snapshot taken after it holds the lock, because a statement's own snapshot
-- is older. Returns the queues that are open (C43).
create function headrace.open_queues(namespace text, names text[]) returns setof text
language plpgsql volatile rows 10 as $$
begin
  perform pg_advisory_xact_lock_shared(headrace.queue_lock(open_queues.namespace, name))
  from (select name from unnest(names) name order by name) sorted;
  return query
  select asked.name
  from unnest(names) asked (name)
  where not exists (
    select 1
    from headrace.queue
    where queue.namespace = open_queues.namespace
      and queue.name = asked.name
      and queue.paused
  );
end
$$;
