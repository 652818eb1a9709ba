-- :batch_counts how many members of a batch there are in each state
select state, count(*)
from job indexed by job_batch_state
where namespace = :namespace
  and batch_id is not null
  and batch_id = :batch
group by state;

-- :has_member_in whether a batch has a member in one of these states
select 1
from job indexed by job_batch_state
where namespace = :namespace
  and batch_id is not null
  and batch_id = :batch
  and state in carray(:states)
limit 1;

-- :first_in_state the member of a batch in one state that was inserted first
select seq
from job indexed by job_batch_state
where namespace = :namespace
  and batch_id is not null
  and batch_id = :batch
  and state = :state
order by seq
limit 1;

-- :first_in_lane
select min(seq)
from job indexed by job_parked
where namespace = :namespace
  and parked_on is not null
  and parked_on = :lane;

-- :has_ended_since whether a member of a batch ended at an instant or later
select 1
from job indexed by job_batch
where namespace = :namespace
  and batch_id is not null
  and batch_id = :batch
  and ended_at >= :at
limit 1;

-- :newest_batches registers of batches, newest first: their ids begin with the time
select key, value, revision, due_at
from register
where namespace = :namespace
  and key >= 'batch:'
  and key < :before
order by key desc
limit :limit;
