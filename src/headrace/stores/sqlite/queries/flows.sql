-- :seqs_of
select id, seq
from job indexed by job_id
where id in carray(:ids)
  and namespace = :namespace;

-- :mark_waited_on the jobs that nobody has waited for before
update job
set revision = revision + :mark
where seq in carray(:seqs)
  and revision < :mark;

-- :write_edge
insert into edge (child, number, parent, on_parent_failure)
values (:row);

-- :note_waiting
insert into waiting (child)
values (:row);

-- :children_of the next children of these parents
select distinct child
from edge indexed by edge_parent
where parent in carray(:parents)
  and child > :after
order by child
limit :limit;

-- :last_live_parent of the child `job`; parents mostly end in their order, so the last ones live longest
(
    select edge.number
    from edge
    cross join job parent on parent.seq = edge.parent
    where edge.child = job.seq
      and parent.ended_at is null
    order by edge.number desc
    limit 1
  )

-- :ready those of these jobs that are blocked children, and no parent of theirs lives
select seq
from job
where seq in carray(:seqs)
  and state = :state
  and exists (
    select 1
    from edge
    where edge.child = job.seq
  )
  and {last_live_parent} is null;

-- :policies_of children; all edges of one have the same
select child, on_parent_failure
from edge
where child in carray(:seqs)
  and number = 0;

-- :failed_parents of children, in order; of those that are alike in what decides, the first
select child, id, type, state, kept
from (
  select edge.child, parent.id, parent.type, parent.state, parent.erase_at is null as kept, min(edge.number) as number
  from edge
  cross join job parent on parent.seq = edge.parent
  where edge.child in carray(:seqs)
    and parent.ended_at is not null
    and parent.state <> :state
  group by edge.child, parent.state, parent.erase_at is null
)
order by child, number;

-- :waiting the next of those that are noted, what they are, and whether a parent of theirs lives
select waiting.child, job.namespace, job.id, ifnull(job.state = :state, 0), {last_live_parent} is not null
from waiting
left join job on job.seq = waiting.child
where waiting.child > :after
order by waiting.child
limit :limit;

-- :end_waiting
delete from waiting
where child in carray(:seqs);

-- :parents_of a job, beyond a number; of one that is erased there is only the number
select edge.number, parent.id, parent.type, parent.state, parent.result, parent.error
from job indexed by job_id
cross join edge on edge.child = job.seq
left join job parent on parent.seq = edge.parent
where job.id = :id
  and job.namespace = :namespace
  and edge.number > :after
order by edge.number
limit :limit;

-- :edges_of jobs, whichever end of them they are
select child.id, parent.id, edge.number, edge.on_parent_failure
from (
  select child, number
  from edge
  where child in carray(:seqs)
  union
  select child, number
  from edge indexed by edge_parent
  where parent in carray(:seqs)
  limit :limit
) touched
cross join edge on edge.child = touched.child and edge.number = touched.number
cross join job child on child.seq = edge.child
cross join job parent on parent.seq = edge.parent;
