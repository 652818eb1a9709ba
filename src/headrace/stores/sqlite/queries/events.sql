-- :logged
insert into logged_change (
  namespace, at, job_id, queue, type, batch_id, state, generation, charged, ended_generation, due_at, worker,
  outcome, error, progress
)

-- :of_job
from job
where job.seq = new.seq
  and exists (select 1 from logged_namespace where logged_namespace.namespace = job.namespace and keep_count > 0)

-- :make_trigger_inserted the row of the job is there before its body
create trigger if not exists log_inserted after insert on body begin
{logged}
select
  namespace, new.created_at, id, queue, type, batch_id, state, generation, failures + crashes, null, due_at, null,
  null, null, null
{of_job};
end;

-- :make_trigger_changed a claim, an end, or the reopening of a job that had ended
create trigger if not exists log_changed after update of state on job
when new.state <> old.state
  and (new.lease_until is not null or new.ended_at is not null or old.ended_at is not null)
begin
{logged}
select
  new.namespace,
  coalesce(new.ended_at, iif(new.lease_until is null, new.rank, new.started_at)),
  new.id, new.queue, new.type, new.batch_id, new.state, new.generation, new.failures + new.crashes, null,
  new.due_at, new.worker, new.outcome,
  iif(json_valid(new.error), '[' || (new.error -> '$.type') || ',' || (new.error -> '$.message') || ']', null),
  null
where exists (select 1 from logged_namespace where logged_namespace.namespace = new.namespace and keep_count > 0);
end;

-- :of_attempt the attempt that was added to a job's earlier ones
{logged}
select
  namespace, coalesce(ended.at, ended.started_at), id, queue, type, batch_id, state, generation,
  failures + crashes, ended.generation_then, due_at, ended.worker_then, ended.outcome_then,
  iif(
    json_valid(ended.error_then),
    '[' || (ended.error_then -> '$.type') || ',' || (ended.error_then -> '$.message') || ']',
    null
  ),
  null
from (
  select
    new.attempts ->> '$.a[#-1].e' as at,
    new.attempts ->> '$.a[#-1].s' as started_at,
    new.attempts ->> '$.a[#-1].g' as generation_then,
    new.attempts ->> '$.a[#-1].w' as worker_then,
    new.attempts ->> '$.a[#-1].o' as outcome_then,
    new.attempts ->> '$.a[#-1].x' as error_then
) ended
cross join job on job.seq = new.seq
where exists (select 1 from logged_namespace where logged_namespace.namespace = job.namespace and keep_count > 0);

-- :make_trigger_first_attempt
create trigger if not exists log_first_attempt after insert on trail begin
{of_attempt};
end;

-- :make_trigger_attempt
create trigger if not exists log_attempt after update of attempts on trail begin
{of_attempt};
end;

-- :of_progress
{logged}
select
  namespace, coalesce(new.noted_at, started_at), id, queue, type, batch_id, state, generation, failures + crashes,
  null, null, worker, null, null, new.progress
{of_job};

-- :make_trigger_first_progress
create trigger if not exists log_first_progress after insert on note when new.progress is not null begin
{of_progress};
end;

-- :make_trigger_progress
create trigger if not exists log_progress after update of progress on note
when new.progress is not old.progress
begin
{of_progress};
end;

-- :drop_trigger_inserted
drop trigger if exists log_inserted;

-- :drop_trigger_changed
drop trigger if exists log_changed;

-- :drop_trigger_first_attempt
drop trigger if exists log_first_attempt;

-- :drop_trigger_attempt
drop trigger if exists log_attempt;

-- :drop_trigger_first_progress
drop trigger if exists log_first_progress;

-- :drop_trigger_progress
drop trigger if exists log_progress;

-- :write_event_log one that was off begins with what comes from now on
insert into logged_namespace (namespace, epoch, since, keep_ms, keep_count)
values (:namespace, 1, ifnull((select seq from sqlite_sequence where name = 'logged_change'), 0), :keep_ms, :keep_count)
on conflict (namespace) do update set
  epoch = logged_namespace.epoch + iif(logged_namespace.keep_count = 0, 1, 0),
  since = iif(logged_namespace.keep_count = 0, excluded.since, logged_namespace.since),
  keep_ms = excluded.keep_ms,
  keep_count = excluded.keep_count;

-- :is_any_log_on
select exists (select 1 from logged_namespace where keep_count > 0);

-- :event_log_of a namespace, and the highest number that any change has
select keep_ms, keep_count, epoch, since, ifnull((select seq from sqlite_sequence where name = 'logged_change'), 0)
from logged_namespace
where namespace = :namespace;

-- :events_after a number: how far was looked, and those of the changes looked at that fit
with looked as materialized (
  select *
  from logged_change
  where namespace = :namespace
    and number > :after
  order by number
  limit :limit
)
select last.number, found.*
from (select max(number) as number from looked) last
left join (
  select
    number, at, job_id, queue, type, batch_id, state, generation, charged, ended_generation, due_at, worker,
    outcome, error, progress
  from looked
  where (:job_id is null or job_id = :job_id)
    and (:queue is null or queue = :queue)
    and (:type is null or type = :type)
) found
where last.number is not null
order by found.number;

-- :event_logs
select namespace, since, keep_ms, keep_count
from logged_namespace
order by namespace;

-- :worn_events the oldest changes of a namespace: up to which number they are too old, or too many
with oldest as materialized (
  select number, at
  from logged_change
  where namespace = :namespace
  order by number
  limit :limit
),
beyond as materialized (
  select number
  from logged_change
  where namespace = :namespace
  order by number desc
  limit 1 offset :keep_count
)
select max(number)
from oldest
where number <= :since
  or number <= (select number from beyond)
  or number < ifnull((select min(number) from oldest where at >= :oldest_kept), 9223372036854775807);

-- :trim_events
delete from logged_change
where namespace = :namespace
  and number <= :until;

-- :raise_since
update logged_namespace
set since = max(since, :until)
where namespace = :namespace;

-- :lines_after
select number, at, level, message, data
from line
where seq = :seq
  and number > :after
order by number
limit :limit;

-- :last_line_of
select ifnull(max(number), 0)
from line
where seq = :seq;
