-- :registers
select key, value, revision, due_at
from register
where namespace = :namespace
  and key in carray(:keys);

-- :scan_registers
select key, value, revision, due_at
from register
where namespace = :namespace
  and key >= :prefix
  and key < :end
order by key;

-- :due_registers of all namespaces; a kind is what stands before the first colon of a key
select namespace, key, value, revision, due_at
from register
where substr(key, 1, instr(key || ':', ':') - 1) = :kind
  and due_at <= :now
order by due_at
limit :limit;

-- :revision_of
select revision
from register
where namespace = :namespace
  and key = :key;

-- :remove_register
delete from register
where namespace = :namespace
  and key = :key;

-- :write_register
insert into register (namespace, key, value, revision, due_at)
values (:namespace, :key, :value, :revision, :due_at)
on conflict (namespace, key) do update set
  value = excluded.value,
  revision = excluded.revision,
  due_at = excluded.due_at;

-- :meta
select value
from meta
where name = :name;

-- :write_meta
insert into meta (name, value)
values (:name, :value)
on conflict (name) do update set value = excluded.value;

-- :write_record
insert into record (namespace, kind, key, at, body, until)
values (:row)
on conflict (namespace, kind, key) do update set
  at = excluded.at,
  body = excluded.body,
  until = excluded.until;

-- :records
select key, at, body, until
from record
where namespace = :namespace
  and kind = :kind
  and key in carray(:keys);

-- :newest_records
select key, at, body, until
from record
where namespace = :namespace
  and kind = :kind
  and (at, key) < (:at, :key)
order by at desc, key desc
limit :limit;

-- :remove_records
delete from record
where namespace = :namespace
  and kind = :kind
  and key in carray(:keys);

-- :trim_records
delete from record
where rowid in (
  select rowid
  from record
  where until is not null
    and until <= :now
  limit :limit
);

-- :trim_receipts
delete from receipt
where rowid in (
  select rowid
  from receipt
  where until <= :now
  limit :limit
);

-- :write_queue
insert into queue (namespace, name, paused)
values (:namespace, :name, :paused)
on conflict (namespace, name) do update set paused = excluded.paused;

-- :queue_settings
select name, paused
from queue
where namespace = :namespace;

-- :write_worker
insert into worker (
  namespace, name, host, pid, queues, types, started_at, seen_at, running, details
)
values (
  :namespace, :name, :host, :pid, :queues, :types, :started_at, :seen_at, :running, :details
)
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
delete from worker
where namespace = :namespace
  and name = :name;

-- :workers
select name, host, pid, queues, types, started_at, seen_at, running, details
from worker
where namespace = :namespace
order by seen_at desc, name;
