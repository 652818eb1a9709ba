-- :next_seq the first seq that no job has had; an autoincrement column would cost each insert a page
select max(
  ifnull((select max(seq) from job), 0),
  ifnull((select value from meta where name = 'seq'), 0)
) + 1;

-- :insert_job new rows
insert into job (
  seq, id, namespace, queue, type, unique_key, lock_after_claim, batch_id,
  state, priority, rank, due_at, lease_until, unique_lock, slot_key, parked_on, erase_at, cancel_asked_at,
  timeout_ms, isolation, generation, starts, failures, crashes, releases, snoozes,
  worker, started_at, ended_at, outcome, error, result
)
values (:row);

-- :insert_body what is fixed at the insert
insert into body (
  seq, payload, created_at, version, max_attempts, max_crashes, timeout_ms, backoff, lane, parent_id, tags
)
values (:row);

-- :insert_tag
insert into tag (namespace, tag, seq)
values (:row)
on conflict do nothing;

-- :delete_tags of one job
delete from tag
where namespace = :namespace
  and tag = :tag
  and seq = :seq;

-- :holders who holds these unique keys
select unique_lock, seq, revision, id, state, type
from job
where namespace = :namespace
  and unique_lock is not null
  and unique_lock in carray(:locks);

-- :replace_job exchanges what a newer enqueue may change of a waiting job
update job
set
  priority = :priority,
  rank = :rank,
  due_at = :due_at,
  parked_on = null,
  revision = revision + 1
where seq = :seq;

-- :replace_body
update body
set
  payload = :payload,
  version = :version,
  tags = :tags
where seq = :seq;

-- :tags_of
select tags
from body
where seq = :seq;

-- :receipts that are still good
select key, job_id, body
from receipt
where namespace = :namespace
  and key in carray(:keys)
  and until > :now;

-- :write_receipt
insert into receipt (namespace, key, job_id, body, until)
values (:row)
on conflict (namespace, key) do update set
  job_id = excluded.job_id,
  body = excluded.body,
  until = excluded.until;

-- :is_held whether a fence still holds
select 1
from job indexed by job_id
where id = :id
  and namespace = :namespace
  and fence = :fence
  and lease_until is not null;

-- :renewable which of these run, under which fence; a planner with statistics would walk all that run
select id, seq, fence, cancel_asked_at
from job indexed by job_id
where id in carray(:ids)
  and lease_until is not null;

-- :renew
update job
set lease_until = :lease_until
where seq in carray(:seqs);

-- :write_placement a whole placement for each row whose job is as it was decided upon
update job
set
  revision = revision + 1,
  state = given.column5,
  priority = given.column6,
  rank = given.column7,
  due_at = given.column8,
  lease_until = given.column9 + max(coalesce(job.lease_until, 0) - given.column9, 0), -- never shortened
  unique_lock = given.column10,
  slot_key = given.column11,
  parked_on = given.column12,
  erase_at = given.column13,
  cancel_asked_at = given.column14,
  timeout_ms = given.column15,
  isolation = given.column16,
  generation = given.column17,
  starts = given.column18,
  failures = given.column19,
  crashes = given.column20,
  releases = given.column21,
  snoozes = given.column22,
  worker = given.column23,
  started_at = given.column24,
  ended_at = given.column25,
  outcome = given.column26,
  error = given.column27,
  result = given.column28
from (values (:row)) given
where job.seq = given.column1
  and job.fence = given.column2
  and job.revision = given.column3
  and (given.column4 is null or job.lease_until < given.column4);

-- :lock_holder
select id
from job
where namespace = :namespace
  and unique_lock is not null
  and unique_lock = :lock;

-- :trails
select seq, attempts
from trail
where seq in carray(:seqs);

-- :write_trail
insert into trail (seq, attempts)
values (:row)
on conflict (seq) do update set attempts = excluded.attempts;

-- :count_moves
insert into tally (namespace, queue, type, state, count)
values (:row)
on conflict (namespace, queue, type, state) do update set count = count + excluded.count;
