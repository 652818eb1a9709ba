-- :write_steps new ones, and what became of those of the same number; a statement after the one that locked
-- the jobs
insert into headrace.step (seq, number, kind, name, occurrence, at, ended_at, until, fence, signal, value)
select seq, number, kind, name, occurrence, at, ended_at, until, fence, signal, value
from unnest(
  $1::bigint[], $2::integer[], $3::text[], $4::text[], $5::integer[], $6::bigint[], $7::bigint[],
  $8::bigint[], $9::integer[], $10::text[], $11::text[]
) as given (seq, number, kind, name, occurrence, at, ended_at, until, fence, signal, value)
on conflict (seq, number) do update set
  kind = excluded.kind,
  name = excluded.name,
  occurrence = excluded.occurrence,
  at = excluded.at,
  ended_at = excluded.ended_at,
  until = excluded.until,
  fence = excluded.fence,
  signal = excluded.signal,
  value = excluded.value;

-- :seqs_of
select seq
from headrace.job
where id = any($2::text[])
  and namespace = $1;

-- :write_signal unless this one is there already; the job cannot be erased meanwhile
insert into headrace.signal (seq, id, name, at, payload)
select job.seq, $3, $4, $5, $6
from (
  select seq
  from headrace.job
  where id = $2
    and namespace = $1
  for key share
) job
on conflict (seq, id) do nothing;

-- :steps_of one row without a step for a job that has none
select
  job.seq, step.number, step.kind, step.name, step.occurrence, step.at, step.ended_at, step.until, step.fence,
  step.signal, step.value
from headrace.job
left join headrace.step on step.seq = job.seq
where job.id = $2
  and job.namespace = $1
order by step.number;

-- :signals_of
select id, name, at, payload
from headrace.signal
where seq = $1
order by number;

-- :forget_steps of a job that has ended and is as it was seen; it cannot run again before this is done
with found as materialized (
  select ended.seq
  from headrace.job
  cross join lateral (
    select seq
    from headrace.ended
    where ended.namespace = job.namespace
      and ended.seq = job.seq
      and ended.revision = $3
    for update
  ) ended
  where job.id = $2
    and job.namespace = $1
),
gone as (
  delete from headrace.step
  using found
  where step.seq = any(array[found.seq])
  returning step.seq
)
select (select count(*) from gone)
from found;
