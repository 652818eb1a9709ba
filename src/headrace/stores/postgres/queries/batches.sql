-- :batch_counts how many members of each batch there are in each state, on one snapshot
-- The offsets keep the planner from reading whole tables.
select wanted.id, counted.state, counted.count
from unnest($2::text[]) as wanted (id)
cross join lateral (
  select member.state, count(*) as count
  from (
    select live.state
    from headrace.live
    where live.namespace = $1
      and live.batch_id = wanted.id
    union all
    select ended.state
    from headrace.job
    cross join lateral (
      select ended.state
      from headrace.ended
      where ended.namespace = $1
        and ended.seq = job.seq
      offset 0
    ) ended
    where job.namespace = $1
      and job.batch_id = wanted.id
  ) member
  group by member.state
) counted;

-- :live_batches those that have a member that has not ended
select wanted.id
from unnest($2::text[]) as wanted (id)
cross join lateral (
  select
  from headrace.live
  where live.namespace = $1
    and live.batch_id = wanted.id
  limit 1
) member;

-- :first_in_line the member of the batch $2 that was inserted first of those in state $3 or parked on $4
select least(
  (
    select live.seq
    from headrace.live
    where live.namespace = $1
      and live.batch_id = $2
      and live.state = $3
    order by live.seq
    limit 1
  ),
  (
    select min(parked.seq)
    from (
      select live.seq
      from headrace.live
      where live.namespace = $1
        and live.parked_on is not null
        and live.parked_on = $4
      offset 0
    ) parked
  )
);

-- :has_ended_since whether a member of a batch ended at an instant or later
select 1
from headrace.job
cross join lateral (
  select
  from headrace.ended
  where ended.namespace = $1
    and ended.seq = job.seq
    and ended.ended_at >= $3
  offset 0
) ended
where job.namespace = $1
  and job.batch_id = $2
limit 1;

-- :newest_batches registers of batches, newest first: their ids begin with the time
select key, value, revision, due_at
from headrace.register
where namespace = $1
  and key >= 'batch:'
  and key < $2
order by key desc
limit $3;
