-- :lock_event_logs lets nobody else switch a log on or off until this transaction ends
select pg_advisory_xact_lock(hashtextextended('headrace.logged_namespace', 7426310));

-- :write_event_log one that was off begins with the transactions that have not ended now
insert into headrace.logged_namespace (namespace, epoch, since_transaction, since_number, keep_ms, keep_count)
values ($1, 1, pg_snapshot_xmin(pg_current_snapshot())::text::bigint - 1, 9223372036854775807, $2, $3)
on conflict (namespace) do update set
  epoch = logged_namespace.epoch + case when logged_namespace.keep_count = 0 then 1 else 0 end,
  since_transaction = case
    when logged_namespace.keep_count = 0 then excluded.since_transaction
    else logged_namespace.since_transaction
  end,
  since_number = case
    when logged_namespace.keep_count = 0 then excluded.since_number
    else logged_namespace.since_number
  end,
  keep_ms = excluded.keep_ms,
  keep_count = excluded.keep_count;

-- :match_event_triggers makes the triggers that write events, or drops them
select headrace.match_event_triggers();

-- :event_log_of a namespace, and between which transactions lies what is not final yet
select
  keep_ms, keep_count, epoch, since_transaction, since_number,
  pg_snapshot_xmin(pg_current_snapshot())::text::bigint,
  pg_snapshot_xmax(pg_current_snapshot())::text::bigint
from headrace.logged_namespace
where namespace = $1;

-- :events_after a place, up to the oldest transaction that has not ended: how far was looked, and those of the
-- changes looked at that fit
with looked as materialized (
  select *
  from headrace.logged_change
  where namespace = $1
    and (transaction, number) > ($2, $3)
    and transaction < $4
  order by transaction, number
  limit $5
)
select last.transaction, last.number, found.*
from (
  select transaction, number
  from looked
  order by transaction desc, number desc
  limit 1
) last
left join (
  select
    transaction, number, at, job_id, queue, type, batch_id, state, generation, charged, ended_generation, due_at,
    worker, outcome, error, progress
  from looked
  where ($6::text is null or job_id = $6)
    and ($7::text is null or queue = $7)
    and ($8::text is null or type = $8)
) found on true
order by found.transaction, found.number;

-- :event_logs
select namespace, since_transaction, since_number, keep_ms, keep_count
from headrace.logged_namespace
order by namespace;

-- :trim_events deletes the oldest changes of a namespace as far as they are final and too old, too many, or
-- before what is kept; and notes how far
with oldest as materialized (
  select transaction, number, at
  from headrace.logged_change
  where namespace = $1
    and transaction < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
  order by transaction, number
  limit $6
),
beyond as materialized (
  select transaction, number
  from headrace.logged_change
  where namespace = $1
  order by transaction desc, number desc
  offset $5
  limit 1
),
kept as materialized (
  select transaction, number
  from oldest
  where at >= $4
  order by transaction, number
  limit 1
),
worn as materialized (
  select transaction, number
  from oldest
  where (transaction, number) <= ($2, $3)
    or (transaction, number) <= (select transaction, number from beyond)
    or not exists (select from kept where (oldest.transaction, oldest.number) >= (kept.transaction, kept.number))
),
gone as (
  delete from headrace.logged_change
  using worn
  where logged_change.namespace = any(array[$1])
    and logged_change.transaction = any(array[worn.transaction])
    and logged_change.number = any(array[worn.number])
),
last as (
  select transaction, number
  from worn
  order by transaction desc, number desc
  limit 1
),
raised as (
  update headrace.logged_namespace
  set
    since_transaction = last.transaction,
    since_number = last.number
  from last
  where logged_namespace.namespace = any(array[$1])
    and (logged_namespace.since_transaction, logged_namespace.since_number) < (last.transaction, last.number)
)
select count(*)
from worn;

-- :lines_after of the job $2 after the number $3 (null: the latest $4); one row without a line if there is none
select job.seq, coalesce($3::integer, last.number - $4, 0), line.number, line.at, line.level, line.message, line.data
from headrace.job
cross join lateral (
  select coalesce(max(line.number), 0) as number
  from headrace.line
  where line.seq = job.seq
) last
left join lateral (
  select *
  from headrace.line
  where line.seq = job.seq
    and line.number > coalesce($3::integer, last.number - $4)
  order by line.number
  limit $4
) line on true
where job.id = $2
  and job.namespace = $1
order by line.number;
