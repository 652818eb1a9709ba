-- :adopt_jobs as another store holds them; fewer placed than given means that one was taken meanwhile
-- $1 the jobs as a JSON array of objects. Keys are taken in their order, as in `insert_jobs`.
with given as materialized (
  select nextval('headrace.job_seq') as seq, one.*
  from json_to_recordset(cast($1 as text)::json) as one (
    id text, namespace text, queue text, type text, payload text, created_at bigint, version integer,
    max_attempts integer, max_crashes integer, first_timeout_ms bigint, backoff text, unique_key text,
    lock_after_claim text, lane text, batch_id text, parent_id text, tags text,
    state text, priority integer, rank bigint, due_at bigint, lease_until bigint, unique_lock text,
    slot_key text, parked_on text, cancel_asked_at bigint, timeout_ms bigint, isolation integer,
    generation integer, starts integer, failures integer, crashes integer, releases integer,
    snoozes integer, worker text, started_at bigint, outcome text, error text, gate text, order_lane text,
    erase_at bigint, ended_at bigint, result text, fence integer, revision integer
  )
),
fixed as (
  insert into headrace.job (
    seq, id, namespace, queue, type, payload, created_at, version, max_attempts, max_crashes, timeout_ms,
    backoff, unique_key, lock_after_claim, lane, batch_id, parent_id, tags
  )
  select
    seq, id, namespace, queue, type, payload, created_at, version, max_attempts, max_crashes, first_timeout_ms,
    backoff, unique_key, lock_after_claim, lane, batch_id, parent_id, tags
  from given
  order by id
  on conflict (id) do nothing
  returning seq
),
tagged as (
  insert into headrace.tag (namespace, tag, seq)
  select distinct given.namespace, tag.name, given.seq
  from given
  cross join lateral json_array_elements_text(given.tags::json) as tag (name)
),
counted as (
  insert into headrace.move (count, namespace, queue, type, state)
  select count(*), namespace, queue, type, state
  from given
  group by namespace, queue, type, state
),
living as (
  insert into headrace.live (
    seq, namespace, queue, type, batch_id, lock_after_claim, state, priority, rank, due_at, lease_until,
    unique_lock, slot_key, parked_on, cancel_asked_at, timeout_ms, isolation, generation, starts, failures,
    crashes, releases, snoozes, worker, started_at, outcome, error, gate, order_lane, fence, revision
  )
  select
    seq, namespace, queue, type, batch_id, lock_after_claim, state, priority, rank, due_at, lease_until,
    unique_lock, slot_key, parked_on, cancel_asked_at, timeout_ms, isolation, generation, starts, failures,
    crashes, releases, snoozes, worker, started_at, outcome, error, gate, order_lane, fence, revision
  from given
  where ended_at is null
  order by namespace, unique_lock, seq
  on conflict (namespace, unique_lock) where unique_lock is not null do nothing
  returning seq
),
over as (
  insert into headrace.ended (
    seq, namespace, state, priority, rank, erase_at, cancel_asked_at, timeout_ms, isolation, generation,
    starts, failures, crashes, releases, snoozes, worker, started_at, ended_at, outcome, error, result,
    fence, revision
  )
  select
    seq, namespace, state, priority, rank, erase_at, cancel_asked_at, timeout_ms, isolation, generation,
    starts, failures, crashes, releases, snoozes, worker, started_at, ended_at, outcome, error, result,
    fence, revision
  from given
  where ended_at is not null
  returning seq
)
select
  given.id,
  given.seq,
  (select count(*) from living) + (select count(*) from over) as placed,
  (select count(*) from fixed) as fixed
from given;

-- :adopt_notes
insert into headrace.note (seq, progress, checkpoint, timed_out_fence, timed_out_at)
select one.seq, one.progress, one.checkpoint, one.timed_out_fence, one.timed_out_at
from unnest($1::bigint[], $2::text[], $3::text[], $4::integer[], $5::bigint[])
  as one (seq, progress, checkpoint, timed_out_fence, timed_out_at);

-- :adopt_signals in their order
insert into headrace.signal (seq, id, name, at, payload)
select one.seq, one.id, one.name, one.at, one.payload
from unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::text[]) with ordinality
  as one (seq, id, name, at, payload, place)
order by one.place;

-- :adopt_receipts
insert into headrace.receipt (namespace, key, job_id, body, until)
select $1, one.key, one.job_id, one.body, one.until
from unnest($2::text[], $3::text[], $4::text[], $5::bigint[]) as one (key, job_id, body, until)
order by one.key
on conflict (namespace, key) do nothing;

-- :adopt_lanes
insert into headrace.lane (namespace, key, tat, opens_at, cap)
select $1, one.key, one.tat, one.opens_at, one.cap
from unnest($2::text[], $3::bigint[], $4::bigint[], $5::integer[]) as one (key, tat, opens_at, cap)
order by one.key
on conflict (namespace, key) do nothing;

-- :ids_there of all namespaces
select id
from headrace.job
where id = any($1::text[]);

-- :all_steps_of
select seq, number, kind, name, occurrence, at, ended_at, until, fence, signal, value
from headrace.step
where seq = any($1::bigint[])
order by seq, number;

-- :all_signals_of
select seq, id, name, at, payload
from headrace.signal
where seq = any($1::bigint[])
order by seq, number;

-- :all_lines_of
select seq, at, level, message, data
from headrace.line
where seq = any($1::bigint[])
order by seq, number;

-- :edges_up_from children, with those to parents that are erased
select up.child, up.number, coalesce(parent.id, ''), up.on_parent_failure
from (
  select edge.child, edge.number, edge.parent, edge.on_parent_failure
  from headrace.edge
  where edge.child = any($1::bigint[])
  offset 0
) up
left join lateral (
  select job.id
  from headrace.job
  where job.seq = up.parent
  offset 0
) parent on true
order by up.child, up.number;

-- :receipts_after
select key, job_id, body, until
from headrace.receipt
where namespace = $1
  and key > $2
order by key
limit $3;

-- :kept_lanes_after
select key, tat, opens_at, cap
from headrace.lane
where namespace = $1
  and key > $2
order by key
limit $3;
