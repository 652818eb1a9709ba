-- :write_step
insert into step (seq, number, kind, name, occurrence, at, ended_at, until, fence, signal, value)
values (:row)
on conflict (seq, number) do update set
  kind = excluded.kind,
  name = excluded.name,
  occurrence = excluded.occurrence,
  at = excluded.at,
  ended_at = excluded.ended_at,
  until = excluded.until,
  fence = excluded.fence,
  signal = excluded.signal,
  value = excluded.value;

-- :write_signal behind those the job has, unless this one is there already
insert into signal (seq, id, number, name, at, payload)
values (:seq, :id, ifnull((select max(number) from signal where seq = :seq), 0) + 1, :name, :at, :payload)
on conflict (seq, id) do nothing;

-- :seq_of
select seq
from job indexed by job_id
where id = :id
  and namespace = :namespace;

-- :steps_of
select number, kind, name, occurrence, at, ended_at, until, fence, signal, value
from step
where seq = :seq
order by number;

-- :signals_of
select id, name, at, payload
from signal
where seq = :seq
order by number;

-- :ended_seq_of
select seq
from job indexed by job_id
where id = :id
  and namespace = :namespace
  and revision = :revision
  and ended_at is not null;

-- :forget_steps
delete from step
where seq = :seq;
