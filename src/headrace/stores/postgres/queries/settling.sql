-- :ends_each
with given as materialized (
  select *
  from unnest(
    $1::text[], $2::bigint[], $3::integer[], $4::integer[], $5::bigint[],
    $6::text[], $7::integer[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::integer[],
    $13::integer[], $14::integer[], $15::integer[], $16::integer[], $17::integer[], $18::integer[],
    $19::text[], $20::bigint[], $21::bigint[], $22::text[], $23::text[], $24::text[]
  ) as one (
    namespace, seq, fence, revision, expired_before,
    state, priority, rank, erase_at, cancel_asked_at, timeout_ms, isolation,
    generation, starts, failures, crashes, releases, snoozes,
    worker, started_at, ended_at, outcome, error, result
  )
),

-- :end_given
-- The rows come in the order of (namespace, seq) and are looked up one by one, so that two such
-- statements never wait for each other in a circle.
gone as (
  delete from headrace.live
  using given
  where live.namespace = any(array[given.namespace])
    and live.seq = any(array[given.seq])
    and live.fence = given.fence
    and live.revision = given.revision
    and (given.expired_before is null or live.lease_until < given.expired_before)
  returning live.queue, live.type, live.state as old_state, given.*
),
counted as (
  insert into headrace.move (count, namespace, queue, type, state)
  select -count(*), namespace, queue, type, old_state
  from gone
  group by namespace, queue, type, old_state
  union all
  select count(*), namespace, queue, type, state
  from gone
  group by namespace, queue, type, state
)
insert into headrace.ended (
  namespace, seq, fence, revision, state, priority, rank, erase_at, cancel_asked_at, timeout_ms, isolation,
  generation, starts, failures, crashes, releases, snoozes, worker, started_at, ended_at, outcome, error, result
)
select
  namespace, seq, fence, revision + 1, state, priority, rank, erase_at, cancel_asked_at, timeout_ms, isolation,
  generation, starts, failures, crashes, releases, snoozes, worker, started_at, ended_at, outcome, error, result
from gone
returning seq

-- :end_jobs moves jobs out of the living, each if it is as it was decided upon
{ends_each}
{end_given};

-- :end_alike the same for jobs that end alike and keep their place, which need not be sent one by one
-- Of $17 on, fence, revision and result are empty arrays where all jobs have those of $18, $19 and none.
with given as materialized (
  select
    one.seq, coalesce(one.fence, $18::integer) as fence, coalesce(one.revision, $19::integer) as revision,
    one.started_at, one.result
  from unnest($17::bigint[], $20::integer[], $21::integer[], $22::bigint[], $23::text[])
    as one (seq, fence, revision, started_at, result)
),
gone as (
  delete from headrace.live
  using given
  where live.namespace = any(array[$1])
    and live.seq = any(array[given.seq])
    and live.fence = given.fence
    and live.revision = given.revision
  returning live.queue, live.type, live.state as old_state, live.priority, live.rank, given.*
),
counted as (
  insert into headrace.move (count, namespace, queue, type, state)
  select -count(*), $1, queue, type, old_state
  from gone
  group by queue, type, old_state
  union all
  select count(*), $1, queue, type, $2
  from gone
  group by queue, type
)
insert into headrace.ended (
  namespace, seq, fence, revision, state, priority, rank, erase_at, cancel_asked_at, timeout_ms, isolation,
  generation, starts, failures, crashes, releases, snoozes, worker, started_at, ended_at, outcome, error, result
)
select
  $1, seq, fence, revision + 1, $2, priority, rank, $3, $4, $5, $6,
  $7, $8, $9, $10, $11, $12, $13, started_at, $14, $15, $16, result
from gone
returning seq;

-- :move_jobs writes a whole placement for each living job that is as it was decided upon
with given as materialized (
  select *
  from unnest(
    $1::text[], $2::bigint[], $3::integer[], $4::integer[], $5::bigint[],
    $6::text[], $7::integer[], $8::bigint[], $9::bigint[], $10::bigint[], $11::text[], $12::text[], $13::text[],
    $14::bigint[], $15::bigint[], $16::integer[], $17::integer[], $18::integer[], $19::integer[], $20::integer[],
    $21::integer[], $22::integer[], $23::text[], $24::bigint[], $25::text[], $26::text[]
  ) as one (
    namespace, seq, fence, revision, expired_before,
    state, priority, rank, due_at, lease_until, unique_lock, slot_key, parked_on,
    cancel_asked_at, timeout_ms, isolation, generation, starts, failures, crashes,
    releases, snoozes, worker, started_at, outcome, error
  )
),
locked as materialized (
  select given.*, old.queue, old.type, old.state as old_state
  from given
  cross join lateral (
    select live.queue, live.type, live.state
    from headrace.live
    where live.namespace = given.namespace
      and live.seq = given.seq
      and live.fence = given.fence
      and live.revision = given.revision
      and (given.expired_before is null or live.lease_until < given.expired_before)
    for update
  ) old
),
counted as (
  insert into headrace.move (count, namespace, queue, type, state)
  select -count(*), namespace, queue, type, old_state
  from locked
  where old_state <> state
  group by namespace, queue, type, old_state
  union all
  select count(*), namespace, queue, type, state
  from locked
  where old_state <> state
  group by namespace, queue, type, state
)
update headrace.live
set
  revision = live.revision + 1,
  state = locked.state,
  priority = locked.priority,
  rank = locked.rank,
  due_at = locked.due_at,
  lease_until = locked.lease_until + greatest(live.lease_until - locked.lease_until, 0), -- never shortened
  unique_lock = locked.unique_lock,
  slot_key = locked.slot_key,
  parked_on = locked.parked_on,
  cancel_asked_at = locked.cancel_asked_at,
  timeout_ms = locked.timeout_ms,
  isolation = locked.isolation,
  generation = locked.generation,
  starts = locked.starts,
  failures = locked.failures,
  crashes = locked.crashes,
  releases = locked.releases,
  snoozes = locked.snoozes,
  worker = locked.worker,
  started_at = locked.started_at,
  outcome = locked.outcome,
  error = locked.error
from locked
where live.namespace = any(array[locked.namespace])
  and live.seq = any(array[locked.seq])
returning live.seq;

-- :reopen_job brings one ended job back to the living, if it is as it was decided upon
with gone as (
  delete from headrace.ended
  where ended.namespace = $1
    and ended.seq = $2
    and ended.fence = $3
    and ended.revision = $4
  returning ended.state
),
counted as (
  insert into headrace.move (count, namespace, queue, type, state)
  select moved.count, job.namespace, job.queue, job.type, moved.state
  from headrace.job
  cross join (
    select -1 as count, state
    from gone
    union all
    select 1, $5
    from gone
  ) moved
  where job.seq = $2
)
insert into headrace.live (
  namespace, seq, fence, revision, queue, type, batch_id, lock_after_claim,
  state, priority, rank, due_at, lease_until, unique_lock, slot_key, parked_on, cancel_asked_at, timeout_ms,
  isolation, generation, starts, failures, crashes, releases, snoozes, worker, started_at, outcome, error,
  gate, order_lane
)
select
  job.namespace, $2, $3, $4 + 1, job.queue, job.type, job.batch_id, job.lock_after_claim,
  $5, $6, $7, $8, $9, $10, $11, $12, $13, $14,
  $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25,
  $26, $27
from headrace.job
cross join gone
where job.seq = $2
returning seq;

-- :lock_holder
select job.id
from headrace.live
cross join lateral (
  select id
  from headrace.job
  where job.seq = live.seq
  offset 0
) job
where live.namespace = $1
  and live.unique_lock is not null
  and live.unique_lock = $2;

-- :trails
select trail.seq, trail.attempts
from unnest($1::bigint[]) as wanted (seq)
cross join lateral (
  select *
  from headrace.trail
  where trail.seq = wanted.seq
  offset 0
) trail;

-- :write_trails
insert into headrace.trail (seq, attempts)
select one.seq, one.attempts
from unnest($1::bigint[], $2::text[]) as one (seq, attempts)
on conflict (seq) do update set attempts = excluded.attempts;
