-- :lock_chunks waits for other claims of chunks of this type; what they left is counted by a later statement
select pg_advisory_xact_lock(hashtextextended('headrace.chunk:' || $1::text || '/' || $2::text, 7426310));

-- :due_message
live.namespace = $1
          and live.due_at is not null
          and live.type = $3
          and live.rank <= $4
          and live.due_at <= $4
          and live.cancel_asked_at is null

-- :waiting_messages of each queue how many of the first messages of a type are due, and since when the oldest
-- $1 namespace, $2 queues, $3 type, $4 now, $5 how many of each at most
select asked.name, waiting.count, waiting.oldest
from unnest($2::text[]) with ordinality as asked (name, place)
cross join lateral (
  with recursive level (priority, number) as (
    select 2147483647, 0
    union all
    select
      (
        select live.priority
        from headrace.live
        where live.namespace = $1
          and live.queue = asked.name
          and live.due_at is not null
          and live.priority < level.priority
        order by live.priority desc
        limit 1
      ),
      level.number + 1
    from level
    where level.priority is not null
      and level.number <= 64
  )
  select count(*) as count, min(first.due_at) as oldest
  from (
    select found.due_at
    from level
    cross join lateral (
      select *
      from (
        select live.due_at
        from headrace.live
        where {due_message}
          and live.queue = asked.name
          and live.priority = level.priority
          and level.number between 1 and 64
        order by live.rank, live.seq
        limit $5
      ) in_level
      union all
      select *
      from (
        select live.due_at
        from headrace.live
        where {due_message}
          and live.queue = asked.name
          and live.priority <= level.priority
          and level.number > 64
        order by live.priority desc, live.rank, live.seq
        limit $5
      ) below
    ) found
    where level.priority is not null
    limit $5
  ) first
) waiting
where waiting.count > 0
order by asked.place;

-- :due_messages since when the first messages of one type are due; they stay locked for the claim that follows
-- $2 queue, the others as for `waiting_messages`; what others have locked is left out
with recursive level (priority, number) as (
  select 2147483647, 0
  union all
  select
    (
      select live.priority
      from headrace.live
      where live.namespace = $1
        and live.queue = $2
        and live.due_at is not null
        and live.priority < level.priority
      order by live.priority desc
      limit 1
    ),
    level.number + 1
  from level
  where level.priority is not null
    and level.number <= 64
)
select found.due_at
from level
cross join lateral (
  select *
  from (
    select live.due_at
    from headrace.live
    where {due_message}
      and live.queue = $2
      and live.priority = level.priority
      and level.number between 1 and 64
    order by live.rank, live.seq
    limit $5
    for update skip locked
  ) in_level
  union all
  select *
  from (
    select live.due_at
    from headrace.live
    where {due_message}
      and live.queue = $2
      and live.priority <= level.priority
      and level.number > 64
    order by live.priority desc, live.rank, live.seq
    limit $5
    for update skip locked
  ) below
) found
where level.priority is not null
limit $5;
