-- :adopt_job as another store holds it
insert into job (
  seq, id, namespace, queue, type, unique_key, lock_after_claim, batch_id,
  state, priority, rank, due_at, lease_until, unique_lock, slot_key, parked_on, erase_at, cancel_asked_at,
  timeout_ms, isolation, generation, starts, failures, crashes, releases, snoozes,
  worker, started_at, ended_at, outcome, error, result, fence, revision
)
values (:row);

-- :adopt_note
insert into note (seq, progress, checkpoint, timed_out_fence, timed_out_at)
values (:row);

-- :adopt_line
insert into line (seq, number, at, level, message, data)
values (:row);

-- :adopt_trail
insert into trail (seq, attempts)
values (:row);

-- :adopt_signal
insert into signal (seq, number, id, name, at, payload)
values (:row);

-- :adopt_receipt
insert into receipt (namespace, key, job_id, body, until)
values (:row)
on conflict (namespace, key) do nothing;

-- :adopt_lane
insert into lane (namespace, key, tat, opens_at, cap)
values (:row)
on conflict (namespace, key) do nothing;

-- :locks_held by jobs that are there
select unique_lock
from job
where namespace = :namespace
  and unique_lock is not null
  and unique_lock in carray(:locks);

-- :ids_there of all namespaces
select id
from job indexed by job_id
where id in carray(:ids);

-- :trails_of
select seq, attempts
from trail
where seq in carray(:seqs);

-- :all_steps_of
select seq, number, kind, name, occurrence, at, ended_at, until, fence, signal, value
from step
where seq in carray(:seqs)
order by seq, number;

-- :all_signals_of
select seq, id, name, at, payload
from signal
where seq in carray(:seqs)
order by seq, number;

-- :all_lines_of
select seq, at, level, message, data
from line
where seq in carray(:seqs)
order by seq, number;

-- :edges_up_from children, with those to parents that are erased
select edge.child, edge.number, ifnull(parent.id, ''), edge.on_parent_failure
from edge
left join job parent on parent.seq = edge.parent
where edge.child in carray(:seqs)
order by edge.child, edge.number;

-- :receipts_after
select key, job_id, body, until
from receipt
where namespace = :namespace
  and key > :after
order by key
limit :limit;

-- :kept_lanes_after
select key, tat, opens_at, cap
from lane
where namespace = :namespace
  and key > :after
order by key
limit :limit;
