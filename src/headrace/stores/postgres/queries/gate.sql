-- :gate_picks candidates of a claim again, locked, as they are now; not those that others have, nor of paused queues
with open as materialized (
  select name
  from headrace.open_queues($1, $2) as open (name)
)
select found.seq, found.queue, found.type, found.priority, found.rank, found.gate
from unnest($3::bigint[]) as wanted (seq)
cross join lateral (
  select *
  from headrace.live
  where live.namespace = any(array[$1])
    and live.seq = any(array[wanted.seq])
  for update skip locked
) found
where found.queue = any(array(select name from open))
  and found.rank <= $4
  and found.due_at <= $4
  and found.cancel_asked_at is null
order by found.priority desc, found.rank, found.seq;

-- :park_picked jobs that are locked
update headrace.live
set
  due_at = null,
  parked_on = one.lane,
  revision = live.revision + 1
from unnest($2::bigint[], $3::text[]) as one (seq, lane)
where live.namespace = any(array[$1])
  and live.seq = any(array[one.seq]);

-- :park_alike of the jobs due next in these queues those that wish the same as one that a lane refused
-- $2 now, then an array a column of what was refused; $7 whom to spare, $8 how far ahead to look, $9 how many
with ahead as materialized (
  select walked.seq, refused.lane
  from unnest($3::text[], $4::text[], $5::text[], $6::text[]) as refused (queue, type, gate, lane)
  cross join lateral (
    select live.seq, live.type, live.gate
    from headrace.live
    where live.namespace = $1
      and live.queue = refused.queue
      and live.due_at is not null
      and live.rank <= $2
      and live.due_at <= $2
    order by live.priority desc, live.rank, live.seq
    limit $8
  ) walked
  where walked.type = refused.type
    and walked.gate is not distinct from refused.gate
    and walked.seq <> all($7::bigint[])
  limit $9
),
locked as materialized (
  select found.seq, ahead.lane, found.due_at
  from ahead
  cross join lateral (
    select live.seq, live.due_at
    from headrace.live
    where live.namespace = any(array[$1])
      and live.seq = any(array[ahead.seq])
    for update skip locked
  ) found
)
update headrace.live
set
  due_at = null,
  parked_on = locked.lane,
  revision = live.revision + 1
from locked
where live.namespace = any(array[$1])
  and live.seq = any(array[locked.seq])
  and locked.due_at <= $2;

-- :back_again
update headrace.live
set
  due_at = case when live.rank < 1000000000000 then $2 else least(live.rank, $2) end, -- a tag (core.fairness)
  parked_on = null,
  revision = live.revision + 1
from picked
where live.namespace = any(array[$1])
  and live.seq = any(array[picked.seq])
returning live.queue, live.priority, live.rank, live.seq

-- :bring_back of each lane and each queue so many of the best that wait
with picked as materialized (
  select best.seq
  from unnest($3::text[], $4::integer[]) as wanted (lane, count)
  cross join lateral (
    with recursive named (queue) as (
      select (
        select min(live.queue)
        from headrace.live
        where live.namespace = $1
          and live.parked_on is not null
          and live.parked_on = wanted.lane
      )
      union all
      select (
        select min(live.queue)
        from headrace.live
        where live.namespace = $1
          and live.parked_on is not null
          and live.parked_on = wanted.lane
          and live.queue > named.queue
      )
      from named
      where named.queue is not null
    )
    select queue
    from named
    where queue is not null
  ) there
  cross join lateral (
    select live.seq
    from headrace.live
    where live.namespace = $1
      and live.parked_on is not null
      and live.parked_on = wanted.lane
      and live.queue = there.queue
    order by live.priority desc, live.rank, live.seq
    limit wanted.count
    for update skip locked
  ) best
)
{back_again};

-- :bring_back_turns jobs that wait on the lane of their ordering key
with picked as materialized (
  select found.seq
  from unnest($3::bigint[], $4::text[]) as wanted (seq, lane)
  cross join lateral (
    select live.seq, live.parked_on
    from headrace.live
    where live.namespace = any(array[$1])
      and live.seq = any(array[wanted.seq])
    for update skip locked
  ) found
  where found.parked_on = wanted.lane
)
{back_again};
