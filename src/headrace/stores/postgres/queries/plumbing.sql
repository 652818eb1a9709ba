-- :registers
select key, value, revision, due_at
from headrace.register
where namespace = $1
  and key = any($2::text[]);

-- :scan_registers
select key, value, revision, due_at
from headrace.register
where namespace = $1
  and key >= $2
  and key < $3
order by key;

-- :scan_registers_to_the_end
select key, value, revision, due_at
from headrace.register
where namespace = $1
  and key >= $2
order by key;

-- :due_registers of all namespaces; a kind is what stands before the first colon of a key
select namespace, key, value, revision, due_at
from headrace.register
where split_part(key, ':', 1) = $1
  and due_at <= $2
order by due_at
limit $3;

-- :lock_registers in the order of their keys
select key, revision
from headrace.register
where namespace = $1
  and key = any($2::text[])
order by key
for update;

-- :make_registers returns the keys that nobody else has made meanwhile
insert into headrace.register (namespace, key, value, due_at)
select $1, one.key, one.value, one.due_at
from unnest($2::text[], $3::text[], $4::bigint[]) as one (key, value, due_at)
order by one.key
on conflict (namespace, key) do nothing
returning key;

-- :write_registers that are locked
update headrace.register
set
  value = one.value,
  revision = nextval('headrace.register_revision'),
  due_at = one.due_at
from unnest($2::text[], $3::text[], $4::bigint[]) as one (key, value, due_at)
where register.namespace = any(array[$1])
  and register.key = any(array[one.key]);

-- :remove_registers that are locked
delete from headrace.register
where namespace = $1
  and key = any($2::text[]);

-- :write_records
insert into headrace.record (namespace, kind, key, at, body, until)
select $1, $2, one.key, one.at, one.body, one.until
from unnest($3::text[], $4::bigint[], $5::text[], $6::bigint[]) as one (key, at, body, until)
order by one.key
on conflict (namespace, kind, key) do update set
  at = excluded.at,
  body = excluded.body,
  until = excluded.until;

-- :records
select key, at, body, until
from headrace.record
where namespace = $1
  and kind = $2
  and key = any($3::text[]);

-- :newest_records
select key, at, body, until
from headrace.record
where namespace = $1
  and kind = $2
  and (at, key) < ($3, $4)
order by at desc, key desc
limit $5;

-- :remove_records
delete from headrace.record
where namespace = $1
  and kind = $2
  and key = any($3::text[]);

-- :trim records and receipts whose time has passed
with old_records as materialized (
  select namespace, kind, key
  from headrace.record
  where until <= $1
  order by until
  limit $2
  for update skip locked
),
old_receipts as materialized (
  select namespace, key
  from headrace.receipt
  where until <= $1
  order by until
  limit $2 - (select count(*) from old_records)
  for update skip locked
),
records as (
  delete from headrace.record
  using old_records old
  where record.namespace = any(array[old.namespace])
    and record.kind = any(array[old.kind])
    and record.key = any(array[old.key])
),
receipts as (
  delete from headrace.receipt
  using old_receipts old
  where receipt.namespace = any(array[old.namespace])
    and receipt.key = any(array[old.key])
)
select (select count(*) from old_records) + (select count(*) from old_receipts);

-- :lock_queue waits for the claims that have read whether the queue is paused
select pg_advisory_xact_lock(headrace.queue_lock($1, $2));

-- :write_queue
insert into headrace.queue (namespace, name, paused)
values ($1, $2, $3)
on conflict (namespace, name) do update set paused = excluded.paused;

-- :write_worker
insert into headrace.worker (
  namespace, name, host, pid, queues, types, started_at, seen_at, running, details
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
on conflict (namespace, name) do update set
  host = excluded.host,
  pid = excluded.pid,
  queues = excluded.queues,
  types = excluded.types,
  started_at = excluded.started_at,
  seen_at = excluded.seen_at,
  running = excluded.running,
  details = excluded.details;

-- :remove_worker
delete from headrace.worker
where namespace = $1
  and name = $2;

-- :workers
select name, host, pid, queues, types, started_at, seen_at, running, details
from headrace.worker
where namespace = $1
order by seen_at desc, name;

-- :unparked
update headrace.live
set
  due_at = case when live.rank < 1000000000000 then $1 else least(live.rank, $1) end, -- a tag (core.fairness)
  parked_on = null,
  revision = live.revision + 1
from picked
where live.namespace = any(array[picked.namespace])
  and live.seq = any(array[picked.seq])

-- :unpark_lanes brings back the jobs of a namespace that wait on one of these lanes
with picked as materialized (
  select parked.namespace, parked.seq
  from unnest($3::text[]) as wanted (lane)
  cross join lateral (
    select namespace, seq
    from headrace.live
    where live.namespace = $2
      and live.parked_on is not null
      and live.parked_on = wanted.lane
    limit $4
    for update skip locked
  ) parked
  limit $4
)
{unparked};

-- :unpark_known brings back the jobs parked for a type that a live worker of their namespace knows
with wanted as materialized (
  select distinct worker.namespace, $3 || known.type as lane
  from headrace.worker
  cross join lateral unnest(worker.types) as known (type)
  where worker.seen_at >= $2
),
picked as materialized (
  select parked.namespace, parked.seq
  from wanted
  cross join lateral (
    select namespace, seq
    from headrace.live
    where live.namespace = wanted.namespace
      and live.parked_on is not null
      and live.parked_on = wanted.lane
    limit $4
    for update skip locked
  ) parked
  limit $4
)
{unparked};

-- :lock_moves whether nobody else folds moves just now
select pg_try_advisory_xact_lock(hashtextextended('headrace.move', 7426310));

-- :fold_moves adds moves to the tallies; returns how many moves
with gone as (
  delete from headrace.move
  where ctid = any(array(
    select ctid
    from headrace.move
    limit $1
  ))
  returning count, namespace, queue, type, state
),
added as (
  insert into headrace.tally (namespace, queue, type, state, count)
  select namespace, queue, type, state, sum(count)
  from gone
  group by namespace, queue, type, state
  order by namespace, queue, type, state
  on conflict (namespace, queue, type, state) do update set count = tally.count + excluded.count
  where excluded.count <> 0
)
select count(*)
from gone;
