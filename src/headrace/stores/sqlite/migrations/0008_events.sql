-- Which namespaces keep a log of what happens to their jobs: for how long, and how many changes. Where keep_count
-- is 0 the log is off. Up to `since` nothing is kept any more. An epoch
-- begins whenever the log is switched on.
create table logged_namespace (
  namespace text primary key,
  epoch integer not null,
  since integer not null,
  keep_ms integer not null,
  keep_count integer not null
) strict, without rowid;

-- Changes of jobs. Triggers write them, and there are none while no namespace keeps a log. A number is never given
-- twice, so that a cursor stays where it is.
create table logged_change (
  number integer primary key autoincrement,
  namespace text not null,
  at integer not null,
  job_id text not null,
  queue text not null,
  type text not null,
  batch_id text,
  state text not null,
  generation integer not null,
  charged integer not null,
  ended_generation integer,
  due_at integer,
  worker text,
  outcome text,
  error text,
  progress text
) strict;

-- The number, which is the rowid, comes last by itself.
create index logged_change_of on logged_change (namespace);

-- When the holder noted it.
alter table note add column noted_at integer;
