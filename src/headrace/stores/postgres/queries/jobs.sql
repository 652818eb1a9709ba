-- :insert_plain jobs of which only the usual columns are set; what they leave out is as core makes it
-- $1 namespace, $2 state, $3 isolation, $4 generation, then one array a column, and what stands in place of
-- an array that is empty because all jobs have the same.
with given as materialized (
  select
    nextval('headrace.job_seq') as seq, one.id, one.payload,
    coalesce(one.queue, $17::text) as queue, coalesce(one.type, $18::text) as type,
    coalesce(one.created_at, $19::bigint) as created_at, coalesce(one.version, $20::integer) as version,
    coalesce(one.max_attempts, $21::integer) as max_attempts,
    coalesce(one.max_crashes, $22::integer) as max_crashes,
    coalesce(one.timeout_ms, $23::bigint) as timeout_ms, coalesce(one.priority, $24::integer) as priority,
    coalesce(one.rank, $25::bigint) as rank, coalesce(one.due_at, $26::bigint) as due_at
  from unnest(
    $5::text[], $6::text[], $7::text[], $8::text[], $9::bigint[], $10::integer[], $11::integer[],
    $12::integer[], $13::bigint[], $14::integer[], $15::bigint[], $16::bigint[]
  ) as one (
    id, queue, type, payload, created_at, version, max_attempts, max_crashes, timeout_ms,
    priority, rank, due_at
  )
),
fixed as (
  insert into headrace.job (
    seq, id, namespace, queue, type, payload, created_at, version, max_attempts, max_crashes, timeout_ms
  )
  select seq, id, $1, queue, type, payload, created_at, version, max_attempts, max_crashes, timeout_ms
  from given
),
counted as (
  insert into headrace.move (count, namespace, queue, type, state)
  select count(*), $1, queue, type, $2
  from given
  group by queue, type
)
insert into headrace.live (
  seq, namespace, queue, type, state, priority, rank, due_at, timeout_ms, isolation, generation,
  starts, failures, crashes, releases, snoozes
)
select seq, $1, queue, type, $2, priority, rank, due_at, timeout_ms, $3, $4, 0, 0, 0, 0, 0
from given;

-- :inserting_jobs
-- $1 the jobs as a JSON array of objects. Keys are taken in their order, so that two inserts that take
-- the same ones do not wait for each other.
with given as materialized (
  select nextval('headrace.job_seq') as seq, one.*
  from json_to_recordset(cast($1 as text)::json) as one (
    id text, namespace text, queue text, type text, payload text, created_at bigint, version integer,
    max_attempts integer, max_crashes integer, first_timeout_ms bigint, backoff text, unique_key text,
    lock_after_claim text, lane text, batch_id text, parent_id text, tags text,
    state text, priority integer, rank bigint, due_at bigint, lease_until bigint, unique_lock text,
    slot_key text, parked_on text, cancel_asked_at bigint, timeout_ms bigint, isolation integer,
    generation integer, starts integer, failures integer, crashes integer, releases integer,
    snoozes integer, worker text, started_at bigint, outcome text, error text, gate text, order_lane text
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
)
insert into headrace.live (
  seq, namespace, queue, type, batch_id, lock_after_claim, state, priority, rank, due_at, lease_until, unique_lock,
  slot_key, parked_on, cancel_asked_at, timeout_ms, isolation, generation, starts, failures, crashes,
  releases, snoozes, worker, started_at, outcome, error, gate, order_lane
)
select
  seq, namespace, queue, type, batch_id, lock_after_claim, state, priority, rank, due_at, lease_until, unique_lock,
  slot_key, parked_on, cancel_asked_at, timeout_ms, isolation, generation, starts, failures, crashes,
  releases, snoozes, worker, started_at, outcome, error, gate, order_lane
from given
order by namespace, unique_lock, seq

-- :insert_jobs any new jobs; fewer rows than jobs means that another transaction took a unique key
{inserting_jobs}
on conflict (namespace, unique_lock) where unique_lock is not null do nothing
returning seq;

-- :insert_jobs_strictly the same for any driver: a unique key that is held makes it fail
{inserting_jobs};

-- :holders who holds these unique keys
select live.unique_lock, live.seq, live.revision, job.id, live.state, live.type
from unnest($2::text[]) as wanted (lock)
cross join lateral (
  select *
  from headrace.live
  where live.namespace = $1
    and live.unique_lock is not null
    and live.unique_lock = wanted.lock
  offset 0
) live
cross join lateral (
  select id
  from headrace.job
  where job.seq = live.seq
  offset 0
) job;

-- :replace_job exchanges what a newer enqueue may change of a waiting job, unless it has changed
update headrace.live
set
  priority = $4,
  rank = $5,
  due_at = $6,
  parked_on = null,
  revision = revision + 1
where namespace = $1
  and seq = $2
  and revision = $3;

-- :replace_fixed
update headrace.job
set
  payload = $2,
  tags = $3,
  version = $4
where seq = $1;

-- :remove_tags of one job
delete from headrace.tag
where seq = $2
  and namespace = $1
  and tag = any(
    select json_array_elements_text(job.tags::json)
    from headrace.job
    where job.seq = $2
  );

-- :add_tags
insert into headrace.tag (namespace, tag, seq)
select $1, tag.name, $2
from unnest($3::text[]) as tag (name)
on conflict do nothing;

-- :receipts that are still good
select receipt.key, receipt.job_id, receipt.body
from unnest($2::text[]) as wanted (key)
cross join lateral (
  select *
  from headrace.receipt
  where receipt.namespace = $1
    and receipt.key = wanted.key
    and receipt.until > $3
  offset 0
) receipt;

-- :write_receipts unless a good one came meanwhile
insert into headrace.receipt (namespace, key, job_id, body, until)
select $1, one.key, one.job_id, one.body, one.until
from unnest($2::text[], $3::text[], $4::text[], $5::bigint[]) as one (key, job_id, body, until)
order by one.key
on conflict (namespace, key) do update set
  job_id = excluded.job_id,
  body = excluded.body,
  until = excluded.until
where receipt.until <= $6;

-- :hold_lease whether a fence still holds; keeps it from being taken until the transaction ends
-- No column of an index's condition may stand here, such as lease_until, or that index may be scanned.
select 1
from headrace.job
cross join lateral (
  select
  from headrace.live
  where live.namespace = job.namespace
    and live.seq = job.seq
    and live.fence = $3
    and live.state = $4
  for share
) held
where job.id = $2
  and job.namespace = $1;
