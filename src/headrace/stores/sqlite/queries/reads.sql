-- :job_columns in the order of rows.job_of
  job.seq, fence, revision,
  id, namespace, queue, type, unique_key, lock_after_claim, batch_id,
  payload, created_at, version, max_attempts, max_crashes, body.timeout_ms, backoff, lane, parent_id, tags,
  progress, checkpoint, iif(timed_out_fence = fence, timed_out_at, null),
  state, priority, rank, due_at, lease_until, unique_lock, slot_key, parked_on, erase_at, cancel_asked_at,
  job.timeout_ms, isolation, generation, starts, failures, crashes, releases, snoozes,
  worker, started_at, ended_at, outcome, error, result

-- :jobs_by_id
select
{job_columns}
from job
cross join body on body.seq = job.seq
left join note on note.seq = job.seq
where job.id in carray(:ids)
  and job.namespace = :namespace;

-- :jobs_by_seq
select
{job_columns}
from job
cross join body on body.seq = job.seq
left join note on note.seq = job.seq
where job.seq in carray(:seqs);

-- :expired running jobs whose lease has ended, longest expired first
select
{job_columns}
from job
cross join body on body.seq = job.seq
left join note on note.seq = job.seq
where job.lease_until is not null
  and job.lease_until < :now
order by job.lease_until, job.seq
limit :limit;

-- :looked
with looked as materialized (
  select job.seq, state, type, queue, batch_id, unique_key

-- :fitting those of the rows looked at that fit; how many were looked at, and how far down
  limit :look
)
select
  (
    select json_group_array(seq)
    from (
      select seq
      from looked
      where (:states is null or state in (select value from json_each(:states)))
        and (:types is null or type in (select value from json_each(:types)))
        and (:queues is null or queue in (select value from json_each(:queues)))
        and (:batch_id is null or batch_id = :batch_id)
        and (:unique_key is null or unique_key = :unique_key)
        and (
          :tag is null
          or exists (
            select 1
            from tag
            where tag.namespace = :namespace
              and tag.tag = :tag
              and tag.seq = looked.seq
          )
        )
      order by seq desc
      limit :limit
    )
  ),
  (select count(*) from looked),
  (select min(seq) from looked)

-- :find_live waiting and running jobs, newest first
{looked}
  from job
  where namespace = :namespace
    and ended_at is null
    and seq < :before
  order by seq desc
{fitting};

-- :find_running the named index: a planner without statistics walks the whole table in seq order
{looked}
  from job indexed by job_lease
  where lease_until is not null
    and namespace = :namespace
    and seq < :before
  order by seq desc
{fitting};

-- :find_ended jobs that ended in one state, newest first
{looked}
  from job
  where namespace = :namespace
    and ended_at is not null
    and state = :state
    and seq < :before
  order by seq desc
{fitting};

-- :find_of_batch
{looked}
  from job
  where namespace = :namespace
    and batch_id is not null
    and batch_id = :batch_id
    and seq < :before
  order by seq desc
{fitting};

-- :find_of_unique_key
{looked}
  from job
  where namespace = :namespace
    and unique_key is not null
    and unique_key = :unique_key
    and seq < :before
  order by seq desc
{fitting};

-- :find_of_tag
{looked}
  from tag
  cross join job on job.seq = tag.seq
  where tag.namespace = :namespace
    and tag.tag = :tag
    and tag.seq < :before
  order by tag.seq desc
{fitting};

-- :tallies
select queue, type, state, count
from tally
where namespace = :namespace
order by queue, type, state;

-- :trail_of
select attempts
from trail
where seq = :seq;

-- :lines_of
select at, level, message, data
from line
where seq = :seq
order by number;

-- :parked
select queue, parked_on, count(*)
from job
where namespace = :namespace
  and parked_on is not null
group by parked_on, queue;

-- :oldest_in_level since when the head of one priority has waited
select due_at
from job
where namespace = :namespace
  and queue = :queue
  and due_at is not null
  and priority = :priority
  and rank <= :now
  and due_at <= :now
order by rank, seq
limit 1;
