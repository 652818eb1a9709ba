-- :job_columns in the order of rows.job_of
  job.seq, placed.fence, placed.revision,
  job.id, job.namespace, job.queue, job.type, job.unique_key, job.lock_after_claim, job.batch_id,
  job.payload, job.created_at, job.version, job.max_attempts, job.max_crashes, job.timeout_ms,
  job.backoff, job.lane, job.parent_id, job.tags,
  note.progress, note.checkpoint,
  case when note.timed_out_fence = placed.fence then note.timed_out_at end,
  placed.state, placed.priority, placed.rank, placed.due_at, placed.lease_until, placed.unique_lock,
  placed.slot_key, placed.parked_on, placed.erase_at, placed.cancel_asked_at, placed.timeout_ms,
  placed.isolation, placed.generation, placed.starts, placed.failures, placed.crashes,
  placed.releases, placed.snoozes, placed.worker, placed.started_at, placed.ended_at,
  placed.outcome, placed.error, placed.result

-- :with_placement what belongs to a job, found by its key
cross join lateral (
  select *
  from headrace.placement
  where placement.namespace = job.namespace
    and placement.seq = job.seq
  offset 0
) placed
left join lateral (
  select *
  from headrace.note
  where note.seq = job.seq
  offset 0
) note on true

-- :jobs_by_id
select
{job_columns}
from headrace.job
{with_placement}
where job.id = any($2::text[])
  and job.namespace = $1;

-- :jobs_by_seq of all namespaces
select
{job_columns}
from unnest($1::bigint[]) as wanted (seq)
cross join lateral (
  select *
  from headrace.job
  where job.seq = wanted.seq
  offset 0
) job
{with_placement};

-- :expired running jobs whose lease has ended, longest expired first
select
{job_columns}
from (
  select seq, lease_until
  from headrace.live
  where lease_until < $1
  order by lease_until, seq
  limit $2
) late
cross join lateral (
  select *
  from headrace.job
  where job.seq = late.seq
  offset 0
) job
{with_placement}
order by late.lease_until, late.seq;

-- :history_of a job with the text of its earlier attempts
select
{job_columns},
  (
    select trail.attempts
    from headrace.trail
    where trail.seq = job.seq
  )
from headrace.job
{with_placement}
where job.id = $2
  and job.namespace = $1;

-- :lines_of one row without a line for a job that has none
select line.at, line.level, line.message, line.data
from headrace.job
left join headrace.line on line.seq = job.seq
where job.id = $2
  and job.namespace = $1
order by line.number;

-- :counted all counts of a namespace, folded and not
select queue, type, state, count, 0 as moves
  from headrace.tally
  where namespace = $1
  union all
  select queue, type, state, count, 1
  from headrace.move
  where namespace = $1

-- :tallies and how many moves there are that nobody has folded yet
select queue, type, state, sum(count)::bigint, sum(moves)
from (
  {counted}
) counted
group by queue, type, state
order by queue, type, state;

-- :parked
select queue, parked_on, count(*)
from headrace.live
where namespace = $1
  and parked_on is not null
group by queue, parked_on;

-- :queue_states every queue with its counts by state, whether it is paused, and since when its head has
-- waited, of at most as many priorities as a claim looks at; a row for each queue and state
with counted as materialized (
  select queue, state, sum(count)::bigint as count, sum(moves)::bigint as moves
  from (
    {counted}
  ) counted
  group by queue, state
),
asked as materialized (
  select name, bool_or(paused) as paused
  from (
    select name, paused
    from headrace.queue
    where namespace = $1
    union all
    select queue, false
    from counted
  ) named
  group by name
)
select asked.name, asked.paused, head.due_at, counted.state, counted.count, (select sum(moves) from counted)
from asked
cross join (
  select (extract(epoch from clock_timestamp()) * 1000)::bigint as at
) present
cross join lateral (
  with recursive level (priority, number) as (
    (
      select live.priority, 1
      from headrace.live
      where live.namespace = $1
        and live.queue = asked.name
        and live.due_at is not null
      order by live.priority desc
      limit 1
    )
    union all
    select next.priority, level.number + 1
    from level
    cross join lateral (
      select live.priority
      from headrace.live
      where live.namespace = $1
        and live.queue = asked.name
        and live.due_at is not null
        and live.priority < level.priority
      order by live.priority desc
      limit 1
    ) next
    where level.number < $2
  )
  select min(oldest.due_at) as due_at
  from level
  cross join lateral (
    select live.due_at
    from headrace.live
    where live.namespace = $1
      and live.queue = asked.name
      and live.due_at is not null
      and live.priority = level.priority
      and live.rank <= present.at
      and live.due_at <= present.at
    order by live.rank, live.seq
    limit 1
  ) oldest
) head
left join counted on counted.queue = asked.name
order by asked.name;

-- :fitting_answer those that fit, how many were looked at, and how far down
-- In all listings: $1 namespace, $2 the seq that all must be below, $3 how many to look at, $4 how many to
-- find, $5 states, $6 types, $7 queues (null: all). The offsets keep the planner from reading whole tables.
select
  array(
    select seq
    from fitting
    order by seq desc
    limit $4
  ),
  (select count(*) from looked),
  (select min(seq) from looked)

-- :fitting_live
fitting as (
  select seq
  from looked
  where ($5::text[] is null or state = any($5))
    and ($6::text[] is null or type = any($6))
    and ($7::text[] is null or queue = any($7))
  order by seq desc
  limit $4
)

-- :fitting_ended
fitting as (
  select looked.seq
  from looked
  where ($5::text[] is null or looked.state = any($5))
    and (
      ($6::text[] is null and $7::text[] is null)
      or exists (
        select 1
        from headrace.job
        where job.seq = looked.seq
          and ($6 is null or job.type = any($6))
          and ($7 is null or job.queue = any($7))
        offset 0
      )
    )
  order by looked.seq desc
  limit $4
)

-- :fitting_facts ends open, for what else must fit
fitting as (
  select looked.seq
  from looked
  where ($6::text[] is null or looked.type = any($6))
    and ($7::text[] is null or looked.queue = any($7))
    and (
      $5::text[] is null
      or exists (
        select 1
        from headrace.placement
        where placement.namespace = $1
          and placement.seq = looked.seq
          and placement.state = any($5)
        offset 0
      )
    )

-- :find_live waiting and running jobs, newest first
with looked as materialized (
  select seq, state, type, queue
  from headrace.live
  where namespace = $1
    and seq < $2
  order by seq desc
  limit $3
),
{fitting_live}
{fitting_answer};

-- :find_running those of all namespaces are few, however many jobs wait
with running as materialized (
  select seq, state, type, queue, namespace
  from headrace.live
  where lease_until is not null
),
looked as materialized (
  select seq, state, type, queue
  from running
  where namespace = $1
    and seq < $2
  order by seq desc
  limit $3
),
{fitting_live}
{fitting_answer};

-- :find_ended
with looked as materialized (
  select seq, state
  from headrace.ended
  where namespace = $1
    and seq < $2
  order by seq desc
  limit $3
),
{fitting_ended}
{fitting_answer};

-- :find_otherwise jobs that ended in the state $8, for which there is an index
with looked as materialized (
  select seq, state
  from headrace.otherwise
  where namespace = $1
    and state = $8
    and seq < $2
  order by seq desc
  limit $3
),
{fitting_ended}
{fitting_answer};

-- :find_of_batch $8 batch, $9 unique key and $10 tag (null: any)
with looked as materialized (
  select seq, type, queue, unique_key
  from headrace.job
  where namespace = $1
    and batch_id = $8
    and seq < $2
  order by seq desc
  limit $3
),
{fitting_facts}
    and ($9::text is null or looked.unique_key = $9)
    and (
      $10::text is null
      or exists (
        select 1
        from headrace.tag
        where tag.namespace = $1
          and tag.tag = $10
          and tag.seq = looked.seq
        offset 0
      )
    )
  order by looked.seq desc
  limit $4
)
{fitting_answer};

-- :find_of_unique_key $8 unique key, $9 tag (null: any)
with looked as materialized (
  select seq, type, queue
  from headrace.job
  where namespace = $1
    and unique_key = $8
    and seq < $2
  order by seq desc
  limit $3
),
{fitting_facts}
    and (
      $9::text is null
      or exists (
        select 1
        from headrace.tag
        where tag.namespace = $1
          and tag.tag = $9
          and tag.seq = looked.seq
        offset 0
      )
    )
  order by looked.seq desc
  limit $4
)
{fitting_answer};

-- :find_of_tag $8
with looked as materialized (
  select tagged.seq, job.type, job.queue
  from (
    select seq
    from headrace.tag
    where namespace = $1
      and tag = $8
      and seq < $2
    order by seq desc
    limit $3
  ) tagged
  cross join lateral (
    select type, queue
    from headrace.job
    where job.seq = tagged.seq
    offset 0
  ) job
),
{fitting_facts}
  order by looked.seq desc
  limit $4
)
{fitting_answer};
