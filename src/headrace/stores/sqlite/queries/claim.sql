-- :paused the paused queues
select name
from queue
where namespace = :namespace
  and paused;

-- :next_level the highest priority below one that has waiting jobs
select priority
from job
where namespace = :namespace
  and queue = :queue
  and due_at is not null
  and priority < :above
order by priority desc
limit 1;

-- :claimable_columns
select json_group_array(json_array(
  seq, fence, revision,
  id, namespace, queue, type, unique_key, lock_after_claim, batch_id,
  iif(large, null, payload), created_at, version, max_attempts, max_crashes, first_timeout_ms,
  backoff, lane, parent_id, tags,
  iif(large, null, progress), iif(large, null, checkpoint), large,
  state, priority, rank, slot_key, timeout_ms, isolation, generation,
  starts, failures, crashes, releases, snoozes
))
from (
  select
    job.*, payload, created_at, version, max_attempts, max_crashes, body.timeout_ms as first_timeout_ms,
    backoff, lane, parent_id, tags, progress, checkpoint,
    octet_length(payload) + ifnull(octet_length(progress), 0) + ifnull(octet_length(checkpoint), 0)
      > :inline as large
  from job
  cross join body on body.seq = job.seq
  left join note on note.seq = job.seq
  where job.namespace = :namespace
    and job.queue = :queue
    and job.due_at is not null
    and job.rank <= :now
    and job.due_at <= :now
    and job.cancel_asked_at is null

-- :claimable_order
  order by job.priority desc, job.rank, job.seq
  limit :limit
)

-- :claimable_in_level the due jobs of one priority as one JSON text; large texts are left out
{claimable_columns}
    and job.priority = :priority
{claimable_order};

-- :known_in_level only those of the types given
{claimable_columns}
    and job.priority = :priority
    and job.type in carray(:types)
{claimable_order};

-- :claimable_below the due jobs of a priority and all lower ones
{claimable_columns}
    and job.priority <= :priority
{claimable_order};

-- :known_below
{claimable_columns}
    and job.priority <= :priority
    and job.type in carray(:types)
{claimable_order};

-- :large_texts
select payload, progress, checkpoint
from body
left join note on note.seq = body.seq
where body.seq = :seq;

-- :mark_claimed the same constants as core.place.claimed
update job
set
  state = :state,
  due_at = null,
  lease_until = :lease_until,
  unique_lock = lock_after_claim,
  parked_on = null,
  erase_at = null,
  cancel_asked_at = null,
  starts = starts + 1,
  worker = :worker,
  started_at = :now,
  ended_at = null,
  outcome = null,
  error = null,
  result = null,
  fence = fence + 1,
  revision = revision + 1
where seq in carray(:seqs);

-- :park_types takes due jobs of these types out of the claim's way, in order
update job
set
  due_at = null,
  parked_on = :lane_prefix || type,
  revision = revision + 1
where seq in (
  select seq
  from job
  where namespace = :namespace
    and queue = :queue
    and due_at is not null
    and priority between :lowest and :priority
    and rank <= :now
    and due_at <= :now
    and type in carray(:types)
  order by priority desc, rank, seq
  limit :limit
);

-- :types_of_workers the types that live workers know
select distinct known.value
from worker, json_each(worker.types) known
where worker.namespace = :namespace
  and worker.seen_at >= :since;

-- :unpark_types brings back the jobs that waited for one of these types
update job
set
  due_at = iif(rank < 1000000000000, :now, min(rank, :now)), -- so low a rank is a tag (core.fairness)
  parked_on = null,
  revision = revision + 1
where seq in (
  select seq
  from job
  where namespace = :namespace
    and parked_on is not null
    and parked_on in carray(:lanes)
  limit :limit
);

-- :unpark_known brings back the jobs parked for a type that a live worker of their namespace knows
update job
set
  due_at = iif(rank < 1000000000000, :now, min(rank, :now)), -- so low a rank is a tag (core.fairness)
  parked_on = null,
  revision = revision + 1
where seq in (
  select job.seq
  from (
    select distinct worker.namespace, :lane_prefix || known.value as lane
    from worker, json_each(worker.types) known
    where worker.seen_at >= :since
  ) wanted
  cross join job on job.namespace = wanted.namespace
    and job.parked_on is not null
    and job.parked_on = wanted.lane
  limit :limit
);
