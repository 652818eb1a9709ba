-- One row a job: what decides and what is filtered. It is rewritten at every claim and settle, so it
-- stays narrow; what is fixed at the insert and never filtered lies in `body`.
-- A due job has due_at, a running one lease_until, an ended one ended_at; core fills these columns.
-- seq is given in the order of insertion and never again: see `next_seq`.
create table job (
  seq integer primary key,
  id text not null,
  namespace text not null,
  queue text not null,
  type text not null,
  unique_key text,
  lock_after_claim text,
  batch_id text,
  fence integer not null default 0,
  revision integer not null default 0,
  state text not null,
  priority integer not null,
  rank integer not null,
  due_at integer,
  lease_until integer,
  unique_lock text,
  slot_key text,
  parked_on text,
  erase_at integer,
  cancel_asked_at integer,
  timeout_ms integer,
  isolation integer not null,
  generation integer not null,
  starts integer not null,
  failures integer not null,
  crashes integer not null,
  releases integer not null,
  snoozes integer not null,
  worker text,
  started_at integer,
  ended_at integer,
  outcome text,
  error text,
  result text
) strict;

create unique index job_id on job (id);

-- The claim's order; seq, the rowid, comes last by itself.
create index job_due on job (namespace, queue, priority desc, rank) where due_at is not null;

create index job_lease on job (lease_until) where lease_until is not null;

create unique index job_lock on job (namespace, unique_lock) where unique_lock is not null;

create index job_erase on job (erase_at) where erase_at is not null;

create index job_parked on job (namespace, parked_on, queue) where parked_on is not null;

-- Listings, newest first.
create index job_live on job (namespace) where ended_at is null;

create index job_ended on job (namespace, state) where ended_at is not null;

create index job_batch on job (namespace, batch_id) where batch_id is not null;

create index job_unique_key on job (namespace, unique_key) where unique_key is not null;

create table body (
  seq integer primary key,
  payload text not null,
  created_at integer not null,
  version integer not null,
  max_attempts integer not null,
  max_crashes integer not null,
  timeout_ms integer,
  backoff text,
  lane text,
  parent_id text,
  tags text
) strict;

create table tag (
  namespace text not null,
  tag text not null,
  seq integer not null,
  primary key (namespace, tag, seq)
) strict, without rowid;

-- What holders noted; most jobs have no row here, nor in `line` and `trail`.
create table note (
  seq integer primary key,
  progress text,
  checkpoint text,
  timed_out_fence integer,
  timed_out_at integer
) strict;

create table line (
  seq integer not null,
  number integer not null,
  at integer not null,
  level text not null,
  message text not null,
  data text,
  primary key (seq, number)
) strict, without rowid;

-- Earlier attempts, as core.history writes them.
create table trail (
  seq integer primary key,
  attempts text not null
) strict;

-- How many jobs there are, for people. Written with every move; no decision reads it.
create table tally (
  namespace text not null,
  queue text not null,
  type text not null,
  state text not null,
  count integer not null,
  primary key (namespace, queue, type, state)
) strict, without rowid;

create table queue (
  namespace text not null,
  name text not null,
  paused integer not null,
  primary key (namespace, name)
) strict, without rowid;

create table worker (
  namespace text not null,
  name text not null,
  host text not null,
  pid integer not null,
  queues text,
  types text not null,
  started_at integer not null,
  seen_at integer not null,
  running integer not null,
  details text not null,
  primary key (namespace, name)
) strict, without rowid;

create table register (
  namespace text not null,
  key text not null,
  value text not null,
  revision integer not null,
  due_at integer,
  primary key (namespace, key)
) strict, without rowid;

create table record (
  namespace text not null,
  kind text not null,
  key text not null,
  at integer not null,
  body text not null,
  until integer,
  primary key (namespace, kind, key)
) strict;

create index record_newest on record (namespace, kind, at desc, key desc);

create index record_until on record (until) where until is not null;

-- Idempotency keys and keys for a period: they outlive their jobs.
create table receipt (
  namespace text not null,
  key text not null,
  job_id text not null,
  body text,
  until integer not null,
  primary key (namespace, key)
) strict;

create index receipt_until on receipt (until);

-- `clock`: the latest store time seen. `seq`: the highest seq of an erased job.
-- `register`: the highest revision of a removed register.
create table meta (
  name text primary key,
  value integer not null
) strict, without rowid;
