-- :write_note fields that are null stay as they are
insert into note (seq, progress, checkpoint, timed_out_fence, timed_out_at, noted_at)
values (:row)
on conflict (seq) do update set
  progress = ifnull(excluded.progress, progress),
  checkpoint = ifnull(excluded.checkpoint, checkpoint),
  timed_out_fence = ifnull(excluded.timed_out_fence, timed_out_fence),
  timed_out_at = ifnull(excluded.timed_out_at, timed_out_at),
  noted_at = excluded.noted_at;

-- :last_line
select ifnull(max(number), 0)
from line
where seq = :seq;

-- :write_line
insert into line (seq, number, at, level, message, data)
values (:row);

-- :drop_lines all but the latest
delete from line
where seq = :seq
  and number <= :until;

-- :not_needed_by_batch that a batch which is not closed does not count it among its members
(
    job.batch_id is null
    or not exists (
      select 1
      from register
      where register.namespace = job.namespace
        and register.key = 'batch:' || job.batch_id
        and register.due_at is not null
    )
  )

-- :not_needed_by_child that no child of it lives, or stays until somebody deals with it
(
    job.revision < :waited_on
    or not exists (
      select 1
      from edge indexed by edge_parent
      cross join job child on child.seq = edge.child
      where edge.parent = job.seq
        and child.erase_at is null
    )
  )

-- :erasable ended jobs whose time has come
select job.seq, namespace, queue, type, state, tags
from job
cross join body on body.seq = job.seq
where erase_at is not null
  and erase_at <= :now
  and {not_needed_by_batch}
  and {not_needed_by_child}
order by erase_at
limit :limit;

-- :kept_oldest the oldest of the newest jobs that ended in a state
select min(seq)
from (
  select seq
  from job
  where namespace = :namespace
    and ended_at is not null
    and state = :state
    and type = :type
  order by seq desc
  limit :keep
);

-- :beyond ended jobs older than a given one, oldest first
select job.seq, namespace, queue, type, state, tags
from job
cross join body on body.seq = job.seq
where namespace = :namespace
  and ended_at is not null
  and state = :state
  and job.seq < :before
  and type = :type
  and {not_needed_by_batch}
  and {not_needed_by_child}
order by job.seq
limit :limit;

-- :delete_job
delete from job
where seq in carray(:seqs);

-- :delete_body
delete from body
where seq in carray(:seqs);

-- :delete_note
delete from note
where seq in carray(:seqs);

-- :delete_line
delete from line
where seq in carray(:seqs);

-- :delete_step
delete from step
where seq in carray(:seqs);

-- :delete_edge of children; the parents of others stay named in theirs
delete from edge
where child in carray(:seqs);

-- :delete_signal
delete from signal
where seq in carray(:seqs);

-- :delete_trail
delete from trail
where seq in carray(:seqs);

-- :raise_seq no later job takes the seq of one that was erased
insert into meta (name, value)
values ('seq', :seq)
on conflict (name) do update set value = max(value, excluded.value);
