-- :lanes
select key, tat, opens_at, cap
from lane
where namespace = :namespace
  and key in carray(:keys);

-- :make_lane
insert into lane (namespace, key)
values (:row)
on conflict do nothing;

-- :write_tat
update lane
set tat = given.column3
from (values (:row)) given
where lane.namespace = given.column1
  and lane.key = given.column2;

-- :set_lane
insert into lane (namespace, key, opens_at, cap)
values (:namespace, :key, :opens_at, :cap)
on conflict (namespace, key) do update set
  opens_at = excluded.opens_at,
  cap = excluded.cap;

-- :count_holders how many jobs run that hold a slot of a lane
select count(*)
from slot
cross join job on job.seq = slot.seq
where slot.namespace = :namespace
  and slot.lane = :lane
  and +job.lease_until is not null
  and job.slot_key is not null;

-- :first_holders the ids of those that hold a slot
select job.id
from slot
cross join job on job.seq = slot.seq
where slot.namespace = :namespace
  and slot.lane = :lane
  and +job.lease_until is not null
  and job.slot_key is not null
order by slot.seq
limit :limit;

-- :take_slot
insert into slot (namespace, lane, seq)
values (:row)
on conflict do nothing;

-- :give_slot
delete from slot
where (namespace, lane, seq) in (values (:row));

-- :write_slot_key
update job
set slot_key = given.column2
from (values (:row)) given
where job.seq = given.column1;

-- :write_order_lane
update job
set order_lane = given.column2
from (values (:row)) given
where job.seq = given.column1;

-- :live_of_key
from job
where job.namespace = :namespace
  and job.order_lane is not null
  and job.order_lane = :lane
  and job.ended_at is null

-- :begun_of_key
  select job.seq
  from job
  cross join body on body.seq = job.seq
  where job.namespace = :namespace
    and job.order_lane is not null
    and job.order_lane = :lane
    and job.ended_at is null
    and (job.starts > 0) = 1
    and +job.lease_until is null
    and ifnull(body.lane ->> 'on_retry', '') <> :passing
  order by job.seq
  limit 1

-- :look_at_order whether a job of the key runs; which has started and waits, and keeps the others waiting; and
-- the first that never started, and that did, of those that are due or parked, where these are not members
-- that wait for the turn of their batch
select
  exists (
    select 1
    {live_of_key}
      and (job.starts > 0) = 1
      and +job.lease_until is not null
  ),
  (
{begun_of_key}
  ),
  (
    select job.seq
    {live_of_key}
      and (job.starts > 0) = 0
      and (+job.due_at <= :now or +job.parked_on not like :of_batches)
    order by job.seq
    limit 1
  ),
  (
    select job.seq
    {live_of_key}
      and (job.starts > 0) = 1
      and +job.lease_until is null
      and (+job.due_at <= :now or +job.parked_on not like :of_batches)
    order by job.seq
    limit 1
  );

-- :holder_of_key the id of the job of the key that runs, or else has started and keeps the others waiting
select job.id
from job
where job.seq = coalesce(
  (
    select job.seq
    {live_of_key}
      and (job.starts > 0) = 1
      and +job.lease_until is not null
    order by job.seq
    limit 1
  ),
  (
{begun_of_key}
  )
);

-- :parked_on_lane
from job
where job.namespace = :namespace
  and job.parked_on is not null
  and job.parked_on = :lane

-- :best_parked
select priority, rank, seq
{parked_on_lane}
  and queue = :queue
order by priority desc, rank, seq
limit 1;

-- :is_waited_for whether jobs wait on a lane
select 1
{parked_on_lane}
limit 1;

-- :count_parked
select count(*)
{parked_on_lane};

-- :first_parked_in_turn the id of the one that was enqueued first
select id
{parked_on_lane}
order by seq
limit 1;

-- :first_parked the id of the best of all queues
select id
{parked_on_lane}
order by priority desc, rank, seq
limit 1;

-- :queues_of_lane in which queues jobs wait on a lane
with recursive named (queue) as (
  select min(queue)
  {parked_on_lane}
  union all
  select (
    select min(job.queue)
    {parked_on_lane}
      and job.queue > named.queue
  )
  from named
  where named.queue is not null
)
select queue
from named
where queue is not null;

-- :next_lane the next lane of any kind on which jobs wait
select namespace, parked_on
from job
where parked_on is not null
  and (namespace, parked_on) > (:namespace, :lane)
order by namespace, parked_on
limit 1;

-- :park_picked
update job
set
  due_at = null,
  parked_on = given.column2,
  revision = revision + 1
from (values (:row)) given
where job.seq = given.column1;

-- :park_alike of the jobs due next those that wish the same as one that a lane refused
with ahead as materialized (
  select seq, type
  from job
  where namespace = :namespace
    and queue = :queue
    and due_at is not null
    and rank <= :now
    and due_at <= :now
  order by priority desc, rank, seq
  limit :ahead
)
update job
set
  due_at = null,
  parked_on = :lane,
  revision = revision + 1
where seq in (
  select ahead.seq
  from ahead
  cross join body on body.seq = ahead.seq
  where ahead.type = :type
    and body.lane is :wished
    and ahead.seq not in carray(:spared)
  limit :limit
);

-- :bring_back the best of those that wait on a lane in a queue
update job
set
  due_at = iif(rank < 1000000000000, :now, min(rank, :now)), -- so low a rank is a tag (core.fairness)
  parked_on = null,
  revision = revision + 1
where seq in (
  select seq
  {parked_on_lane}
    and queue = :queue
  order by priority desc, rank, seq
  limit :limit
)
returning queue, priority, rank, seq;

-- :bring_back_turn
update job
set
  due_at = iif(rank < 1000000000000, :now, min(rank, :now)), -- so low a rank is a tag (core.fairness)
  parked_on = null,
  revision = revision + 1
where seq = :seq
  and namespace = :namespace
  and parked_on is not null
  and parked_on = :lane
returning queue, priority, rank, seq;

-- :lanes_after the next lanes
select namespace, key
from lane
where (namespace, key) > (:namespace, :key)
order by namespace, key
limit :limit;

-- :drop_slots of jobs that do not run
delete from slot
where slot.namespace = :namespace
  and slot.lane = :lane
  and not exists (
    select 1
    from job
    where job.seq = slot.seq
      and +job.lease_until is not null
      and job.slot_key is not null
  );

-- :forget_lane if nothing need be kept of it
delete from lane
where lane.namespace = :namespace
  and lane.key = :lane
  and lane.opens_at is null
  and lane.cap is null
  and (lane.tat is null or lane.tat <= :tat)
  and not exists (
    select 1
    {parked_on_lane}
  );
