-- :heads the lowest rank that waits in each priority of a queue, due or parked on one of these lanes
select asked.queue, asked.priority, least(due.rank, parked.rank)
from unnest($2::text[], $3::integer[]) as asked (queue, priority)
left join lateral (
  select live.rank
  from headrace.live
  where live.namespace = $1
    and live.queue = asked.queue
    and live.due_at is not null
    and live.priority = asked.priority
  order by live.rank, live.seq
  limit 1
) due on true
left join lateral (
  select min(best.rank) as rank
  from unnest($4::text[]) as wanted (lane)
  cross join lateral (
    select live.rank
    from headrace.live
    where live.namespace = $1
      and live.parked_on is not null
      and live.parked_on = wanted.lane
      and live.queue = asked.queue
      and live.priority = asked.priority
    order by live.rank, live.seq
    limit 1
  ) best
) parked on true;

-- :out_of_line due jobs of a queue that are ranked by their due time: by a number that is no tag
-- $1 namespace, $2 queue, $3 now, $4 what all tags are below, $5 how many, $6 how many priorities
with recursive level (priority, number) as (
  (
    select live.priority, 1
    from headrace.live
    where live.namespace = $1
      and live.queue = $2
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
      and live.queue = $2
      and live.due_at is not null
      and live.priority < level.priority
    order by live.priority desc
    limit 1
  ) next
  where level.number < $6
)
select found.seq
from level
cross join lateral (
  select live.seq, live.priority, live.rank
  from headrace.live
  where live.namespace = $1
    and live.queue = $2
    and live.due_at is not null
    and live.priority = level.priority
    and live.rank >= $4
    and live.rank <= $3
    and live.due_at <= $3
  order by live.rank, live.seq
  limit $5
) found
order by found.priority desc, found.rank, found.seq
limit $5;

-- :parked_out_of_line some of the parked jobs of a queue that are ranked by their due time
select parked.seq
from (
  select live.seq, live.priority, live.rank
  from headrace.live
  where live.namespace = $1
    and live.parked_on is not null
    and live.queue = $2
    and live.rank >= $4
    and live.rank <= $3
  limit $5
) parked
order by parked.priority desc, parked.rank, parked.seq;

-- :count_waiting how many jobs wait in a queue, due or not and parked, of each at most $3
select
  (
    select count(*)
    from (
      select
      from headrace.live
      where live.namespace = $1
        and live.queue = $2
        and live.due_at is not null
      limit $3
    ) due
  )
  + (
    select count(*)
    from (
      select
      from headrace.live
      where live.namespace = $1
        and live.parked_on is not null
        and live.queue = $2
      limit $3
    ) parked
  );

-- :oldest_waiting the jobs that wait in a queue in the order of insertion
-- The offsets keep the planner from walking over all living jobs in that order.
select waiting.seq
from (
  (
    select live.seq
    from headrace.live
    where live.namespace = $1
      and live.queue = $2
      and live.due_at is not null
    offset 0
  )
  union all
  (
    select live.seq
    from headrace.live
    where live.namespace = $1
      and live.parked_on is not null
      and live.queue = $2
    offset 0
  )
) waiting
order by waiting.seq
limit $3;

-- :lock_kept registers, in the order of their keys, with what they hold once they are locked
select key, value, revision, due_at
from headrace.register
where namespace = $1
  and key = any($2::text[])
order by key
for update;

-- :lock_unchanged one register, unless somebody else writes it or has written it
select 1
from headrace.register
where namespace = $1
  and key = $2
  and revision = $3
for update skip locked;
