-- :lanes
select key, tat, opens_at, cap
from headrace.lane
where namespace = $1
  and key = any($2::text[]);

-- :lock_lanes in the order of their keys
select key, tat, opens_at, cap
from headrace.lane
where namespace = $1
  and key = any($2::text[])
order by key
for update;

-- :make_lanes returns the keys that nobody else has made meanwhile
insert into headrace.lane (namespace, key)
select $1, one.key
from unnest($2::text[]) as one (key)
order by one.key
on conflict (namespace, key) do nothing
returning key;

-- :set_lane
insert into headrace.lane (namespace, key, opens_at, cap)
values ($1, $2, $3, $4)
on conflict (namespace, key) do update set
  opens_at = excluded.opens_at,
  cap = excluded.cap;

-- :running_holder whether the job of a slot runs and holds one
select
    from headrace.live
    where live.namespace = any(array[$1])
      and live.seq = any(array[slot.seq])
      and live.state = $3
      and live.slot_key is not null
    offset 0

-- :look_at_lanes how many jobs hold a slot of each, where that counts, and the best that waits there in each queue
select wanted.key, held.count, best.queue, best.priority, best.rank, best.seq
from unnest($2::text[], $4::boolean[]) as wanted (key, counted)
cross join lateral (
  select count(*) as count
  from headrace.slot
  cross join lateral (
    {running_holder}
  ) running
  where slot.namespace = $1
    and slot.lane = wanted.key
    and wanted.counted
) held
left join lateral (
  select asked.name as queue, parked.priority, parked.rank, parked.seq
  from unnest($5::text[]) as asked (name)
  cross join lateral (
    select priority, rank, seq
    from headrace.live
    where live.namespace = $1
      and live.parked_on is not null
      and live.parked_on = wanted.key
      and live.queue = asked.name
    order by live.priority desc, live.rank, live.seq
    limit 1
  ) parked
) best on true;

-- :look_for_room how many jobs hold a slot of each lane on which jobs wait; and the definitions, unless they are
-- those of revision $4
select
  wanted.key, held.count, coalesce(defined.revision, 0),
  case when defined.revision <> $4 then defined.value end
from unnest($2::text[]) as wanted (key)
cross join lateral (
  select
  from headrace.live
  where live.namespace = $1
    and live.parked_on is not null
    and live.parked_on = wanted.key
  limit 1
) waiting
cross join lateral (
  select count(*) as count
  from headrace.slot
  cross join lateral (
    {running_holder}
  ) running
  where slot.namespace = $1
    and slot.lane = wanted.key
) held
left join lateral (
  select revision, value
  from headrace.register
  where register.namespace = $1
    and register.key = 'limits'
  offset 0
) defined on true;

-- :limits the definitions
select value, revision
from headrace.register
where namespace = $1
  and key = 'limits';

-- :begun_of_key
select live.seq
    from headrace.live
    where live.namespace = $1
      and live.order_lane is not null
      and live.order_lane = wanted.key
      and least(live.starts, 1) = 1
      and live.state <> $3
      and coalesce(live.gate::json ->> 'on_retry', '') <> $4
    order by live.seq
    limit 1

-- :running_of_key
select live.seq
    from headrace.live
    where live.namespace = $1
      and live.order_lane is not null
      and live.order_lane = wanted.key
      and least(live.starts, 1) = 1
      and live.state = $3
    order by live.seq
    limit 1

-- :first_of_key
select live.seq
      from headrace.live
      where live.namespace = $1
        and live.order_lane is not null
        and live.order_lane = wanted.key
        and least(live.starts, 1) = 0
        and (live.due_at <= $5 or live.parked_on not like $6)
      order by live.seq
      limit 1

-- :first_again_of_key
select live.seq
      from headrace.live
      where live.namespace = $1
        and live.order_lane is not null
        and live.order_lane = wanted.key
        and least(live.starts, 1) = 1
        and live.state <> $3
        and (live.due_at <= $5 or live.parked_on not like $6)
      order by live.seq
      limit 1

-- :look_at_orders whether a job of each key runs; which has started and waits, and keeps the others waiting; and
-- the first that is due or parked, where that is no member that waits for the turn of its batch
select
  wanted.key,
  exists (
    {running_of_key}
  ),
  (
    {begun_of_key}
  ),
  least(
    (
      {first_of_key}
    ),
    (
      {first_again_of_key}
    )
  )
from unnest($2::text[]) as wanted (key);

-- :give_slots takes slots away, and locks the lanes in the order of their keys
with gone as (
  delete from headrace.slot
  using unnest($2::text[], $3::bigint[]) as one (lane, seq)
  where slot.namespace = any(array[$1])
    and slot.lane = any(array[one.lane])
    and slot.seq = any(array[one.seq])
)
select key, tat, opens_at, cap
from headrace.lane
where lane.namespace = $1
  and lane.key = any($4::text[])
order by lane.key
for update;

-- :queues_of_lanes in which queues jobs wait on these lanes
select wanted.lane, there.queue
from unnest($2::text[]) as wanted (lane)
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
) there;

-- :lanes_waited_for the next lanes, with their namespaces, on which jobs wait and of which something is kept
with recursive named (namespace, lane) as (
  select $1::text collate "C", $2::text collate "C"
  union all
  select next.namespace, next.lane
  from named
  cross join lateral (
    select live.namespace, live.parked_on as lane
    from headrace.live
    where live.parked_on is not null
      and (live.namespace, live.parked_on) > (named.namespace, named.lane)
    order by live.namespace, live.parked_on
    limit 1
  ) next
)
select named.namespace, named.lane
from named
cross join lateral (
  select
  from headrace.lane
  where lane.namespace = named.namespace
    and lane.key = named.lane
  offset 0
) kept
limit $3;

-- :lane_figures for people
select
  wanted.key, held.count, parked.count, held_by.ids,
  (
    select job.id
    from headrace.job
    where job.seq = coalesce(best.seq, parked.first)
  )
from unnest($2::text[], $4::boolean[]) as wanted (key, in_turn)
cross join lateral (
  select count(*) as count
  from headrace.slot
  cross join lateral (
    {running_holder}
  ) running
  where slot.namespace = $1
    and slot.lane = wanted.key
) held
cross join lateral (
  select count(*) as count, min(live.seq) as first
  from headrace.live
  where live.namespace = $1
    and live.parked_on is not null
    and live.parked_on = wanted.key
) parked
left join lateral (
  select live.seq
  from headrace.live
  where live.namespace = $1
    and live.parked_on is not null
    and live.parked_on = wanted.key
    and not wanted.in_turn
  order by live.priority desc, live.rank, live.seq
  limit 1
) best on true
cross join lateral (
  select array(
    select job.id
    from headrace.slot
    cross join lateral (
      {running_holder}
    ) running
    cross join lateral (
      select id
      from headrace.job
      where job.seq = slot.seq
      offset 0
    ) job
    where slot.namespace = $1
      and slot.lane = wanted.key
    order by slot.seq
    limit $5
  ) as ids
) held_by;

-- :holders_of_keys the id of the job of each ordering key that runs, or has started and keeps the others waiting
select wanted.key, job.id
from unnest($2::text[]) as wanted (key)
cross join lateral (
  select coalesce(
    (
      {running_of_key}
    ),
    (
      {begun_of_key}
    )
  ) as seq
) holder
cross join lateral (
  select id
  from headrace.job
  where job.seq = holder.seq
  offset 0
) job;

-- :lanes_after the next lanes
select namespace, key
from headrace.lane
where (namespace, key) > ($1, $2)
order by namespace, key
limit $3;

-- :lock_idle_lanes those of these lanes that nobody is busy with
select found.namespace, found.key, found.idle
from unnest($1::text[], $2::text[]) as wanted (namespace, key)
cross join lateral (
  select
    lane.namespace, lane.key,
    lane.opens_at is null and lane.cap is null and (lane.tat is null or lane.tat <= $3) as idle
  from headrace.lane
  where lane.namespace = any(array[wanted.namespace])
    and lane.key = any(array[wanted.key])
  for update skip locked
) found;

-- :drop_slots of jobs that do not run, of lanes that are locked
delete from headrace.slot
using unnest($1::text[], $2::text[]) as locked (namespace, lane)
where slot.namespace = any(array[locked.namespace])
  and slot.lane = any(array[locked.lane])
  and not exists (
    select
    from headrace.live
    where live.seq = slot.seq
      and live.state = $3
      and live.slot_key is not null
    offset 0
  );

-- :forget_lanes that are locked and idle, if no job waits on them
delete from headrace.lane
using unnest($1::text[], $2::text[]) as locked (namespace, key)
where lane.namespace = any(array[locked.namespace])
  and lane.key = any(array[locked.key])
  and not exists (
    select
    from headrace.live
    where live.namespace = locked.namespace
      and live.parked_on is not null
      and live.parked_on = locked.key
    offset 0
  );
