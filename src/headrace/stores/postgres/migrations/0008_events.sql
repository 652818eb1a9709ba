-- Which namespaces keep a log of what happens to their jobs: for how long, and how many changes. Where keep_count
-- is 0 the log is off. Up to `since` nothing is kept any more. An epoch
-- begins whenever the log is switched on.
create table headrace.logged_namespace (
  since_transaction bigint not null,
  since_number bigint not null,
  keep_ms bigint not null,
  keep_count bigint not null,
  epoch integer not null,
  namespace text collate "C" primary key
);

-- Changes of jobs. Triggers write them, and there are none while no namespace keeps a log. Numbers are given
-- before transactions commit, in any order; so whoever reads goes by the transaction, and only up to the
-- oldest one that has not ended: what lies before that is final.
create table headrace.logged_change (
  transaction bigint not null default (pg_current_xact_id()::text::bigint),
  number bigint generated always as identity,
  at bigint not null,
  due_at bigint,
  generation integer not null,
  charged integer not null,
  ended_generation integer,
  namespace text collate "C" not null,
  job_id text collate "C" not null,
  queue text collate "C" not null,
  type text collate "C" not null,
  batch_id text collate "C",
  state text collate "C" not null,
  worker text collate "C",
  outcome text collate "C",
  error text,
  progress text,
  primary key (namespace, transaction, number)
) with (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_threshold = 100000);

-- When the holder noted it.
alter table headrace.note add column noted_at bigint;

-- The trigger functions belong to the owner of the tables, so that who may write jobs need no right on logs.

-- Type and message of a kept error as a JSON array, without its traceback. A NUL, which the operators refuse, is
-- exchanged; what cannot be read for another reason must not stop the job from being settled.
create function headrace.event_error(error text) returns text
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  error := replace(error, '\u0000', '\ufffd');
  return '[' || (error::json -> 'type')::text || ',' || (error::json -> 'message')::text || ']';
exception
  when others then
    return null;
end
$$;

create function headrace.log_inserted() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
begin
  insert into headrace.logged_change (
    namespace, at, job_id, queue, type, batch_id, state, generation, charged, due_at
  )
  select
    added.namespace, case when added.generation > 1 then added.rank else job.created_at end,
    job.id, added.queue, added.type, job.batch_id, added.state, added.generation,
    added.failures + added.crashes, added.due_at
  from added
  cross join lateral (
    select id, batch_id, created_at
    from headrace.job
    where job.seq = added.seq
    offset 0
  ) job
  where added.namespace in (select namespace from headrace.logged_namespace where keep_count > 0)
  order by added.seq;
  return null;
end
$$;

-- A claim is what gives a job a lease that had none. The two tables are large when many jobs are claimed, and
-- have no index, so they are joined by a hash.
create function headrace.log_claimed() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_hashjoin = on
set enable_nestloop = off
set enable_mergejoin = off
set enable_seqscan = off
as $$
begin
  insert into headrace.logged_change (
    namespace, at, job_id, queue, type, batch_id, state, generation, charged, worker
  )
  select
    after.namespace, after.started_at, job.id, after.queue, after.type, job.batch_id, after.state,
    after.generation, after.failures + after.crashes, after.worker
  from after
  join before on before.seq = after.seq
  cross join lateral (
    select id, batch_id
    from headrace.job
    where job.seq = after.seq
    offset 0
  ) job
  where before.lease_until is null
    and after.lease_until is not null
    and after.namespace in (select namespace from headrace.logged_namespace where keep_count > 0)
  order by after.seq;
  return null;
end
$$;

create function headrace.log_ended() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
begin
  insert into headrace.logged_change (
    namespace, at, job_id, queue, type, batch_id, state, generation, charged, worker, outcome, error
  )
  select
    added.namespace, added.ended_at, job.id, job.queue, job.type, job.batch_id, added.state, added.generation,
    added.failures + added.crashes, added.worker, added.outcome,
    case when added.error is not null then headrace.event_error(added.error) end
  from added
  cross join lateral (
    select id, queue, type, batch_id
    from headrace.job
    where job.seq = added.seq
    offset 0
  ) job
  where added.namespace in (select namespace from headrace.logged_namespace where keep_count > 0)
  order by added.seq;
  return null;
end
$$;

-- The attempt that was added to a job's earlier ones.
create function headrace.log_attempt() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
declare
  ended json := new.attempts::json -> 'a' -> -1;
begin
  insert into headrace.logged_change (
    namespace, at, job_id, queue, type, batch_id, state, generation, charged, ended_generation, due_at, worker,
    outcome, error
  )
  select
    live.namespace, coalesce((ended ->> 'e')::bigint, (ended ->> 's')::bigint), job.id, live.queue, live.type,
    job.batch_id, live.state, live.generation, live.failures + live.crashes, (ended ->> 'g')::integer,
    live.due_at, ended ->> 'w', ended ->> 'o',
    case when ended ->> 'x' is not null then headrace.event_error(ended ->> 'x') end
  from headrace.job
  cross join lateral (
    select *
    from headrace.live
    where live.seq = job.seq
    offset 0
  ) live
  where job.seq = new.seq
    and live.namespace in (select namespace from headrace.logged_namespace where keep_count > 0);
  return null;
end
$$;

create function headrace.log_progress() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
begin
  insert into headrace.logged_change (
    namespace, at, job_id, queue, type, batch_id, state, generation, charged, worker, progress
  )
  select
    live.namespace, coalesce(new.noted_at, live.started_at, 0), job.id, live.queue, live.type, job.batch_id,
    live.state, live.generation, live.failures + live.crashes, live.worker, new.progress
  from headrace.job
  cross join lateral (
    select *
    from headrace.live
    where live.seq = job.seq
    offset 0
  ) live
  where job.seq = new.seq
    and live.namespace in (select namespace from headrace.logged_namespace where keep_count > 0);
  return null;
end
$$;

-- Makes the triggers where some namespace keeps a log, and drops them where none does. It waits for those who
-- write jobs, and they wait for it: not for long.
create function headrace.match_event_triggers() returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '300ms'
as $$
declare
  wanted boolean := exists (select from headrace.logged_namespace where keep_count > 0);
  present boolean := exists (
    select from pg_trigger where tgrelid = 'headrace.live'::regclass and tgname = 'log_inserted'
  );
begin
  if wanted and not present then
    lock table headrace.trail, headrace.note, headrace.live, headrace.ended in share row exclusive mode;
    create trigger log_inserted after insert on headrace.live
      referencing new table as added
      for each statement execute function headrace.log_inserted();
    create trigger log_claimed after update on headrace.live
      referencing old table as before new table as after
      for each statement execute function headrace.log_claimed();
    create trigger log_ended after insert on headrace.ended
      referencing new table as added
      for each statement execute function headrace.log_ended();
    create trigger log_attempt after insert or update on headrace.trail
      for each row execute function headrace.log_attempt();
    create trigger log_first_progress after insert on headrace.note
      for each row when (new.progress is not null) execute function headrace.log_progress();
    create trigger log_progress after update on headrace.note
      for each row when (new.progress is distinct from old.progress) execute function headrace.log_progress();
  elsif present and not wanted then
    drop trigger log_inserted on headrace.live;
    drop trigger log_claimed on headrace.live;
    drop trigger log_ended on headrace.ended;
    drop trigger log_attempt on headrace.trail;
    drop trigger log_first_progress on headrace.note;
    drop trigger log_progress on headrace.note;
  end if;
end
$$;
