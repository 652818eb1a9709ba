-- :flow_seqs
select id, seq
from headrace.job
where id = any($2::text[])
  and namespace = $1;

-- :lock_kin the jobs of these ids that live, in order of seq like everybody who locks several
select held.seq
from (
  select seq
  from headrace.job
  where id = any($2::text[])
    and namespace = $1
  order by seq
  offset 0
) wanted
cross join lateral (
  select live.seq
  from headrace.live
  where live.namespace = $1
    and live.seq = wanted.seq
  for update
) held;

-- :mark_live those of these jobs, in order of seq, that live and that nobody has waited for before
-- All of them are locked, so that nobody erases one of them before this transaction has ended.
with locked as materialized (
  select held.seq
  from unnest($2::bigint[]) as wanted (seq)
  cross join lateral (
    select live.seq
    from headrace.live
    where live.namespace = $1
      and live.seq = wanted.seq
    for update
  ) held
)
update headrace.live
set revision = live.revision + $3::integer
from locked
where live.namespace = any(array[$1])
  and live.seq = any(array[locked.seq])
  and live.revision < $3::integer;

-- :mark_ended the same for jobs that have ended; a statement after the one that waited for those that lived
with locked as materialized (
  select held.seq
  from unnest($2::bigint[]) as wanted (seq)
  cross join lateral (
    select ended.seq
    from headrace.ended
    where ended.namespace = $1
      and ended.seq = wanted.seq
    for update
  ) held
)
update headrace.ended
set revision = ended.revision + $3::integer
from locked
where ended.namespace = any(array[$1])
  and ended.seq = any(array[locked.seq])
  and ended.revision < $3::integer;

-- :count_marked how many of these jobs bear the mark
select count(*)
from unnest($2::bigint[]) as wanted (seq)
cross join lateral (
  select
  from headrace.placement
  where placement.namespace = $1
    and placement.seq = wanted.seq
    and placement.revision >= $3::integer
  offset 0
) marked;

-- :write_edges
insert into headrace.edge (child, number, parent, on_parent_failure)
select given.child, given.number, given.parent, given.on_parent_failure
from unnest($1::bigint[], $2::integer[], $3::bigint[], $4::text[])
  as given (child, number, parent, on_parent_failure);

-- :note_waiting
insert into headrace.waiting (child)
select given.child
from unnest($1::bigint[]) as given (child);

-- :children_of the next children of these parents
select distinct kin.child
from unnest($1::bigint[]) as wanted (seq)
cross join lateral (
  select edge.child
  from headrace.edge
  where edge.parent = wanted.seq
    and edge.child > $2
  order by edge.child
  limit $3
) kin
order by kin.child
limit $3;

-- :last_live_parent of the child `job`; parents mostly end in their order, so the last ones live longest
(
    select edge.number
    from headrace.edge
    cross join lateral (
      select
      from headrace.live
      where live.namespace = job.namespace
        and live.seq = edge.parent
      offset 0
    ) parent
    where edge.child = job.seq
    order by edge.number desc
    limit 1
  )

-- :flow_ready those of these jobs that are blocked children ($3), and no parent of theirs lives
select job.seq
from unnest($2::bigint[]) as wanted (seq)
cross join lateral (
  select live.namespace, live.seq
  from headrace.live
  where live.namespace = $1
    and live.seq = wanted.seq
    and live.state = $3
  offset 0
) job
cross join lateral (
  select
  from headrace.edge
  where edge.child = job.seq
    and edge.number = 0
  offset 0
) first_edge
where {last_live_parent} is null;

-- :policies_of children; all edges of one have the same
select wanted.seq, edge.on_parent_failure
from unnest($1::bigint[]) as wanted (seq)
cross join lateral (
  select edge.on_parent_failure
  from headrace.edge
  where edge.child = wanted.seq
    and edge.number = 0
  offset 0
) edge;

-- :failed_parents of children, that did not end in state $3; of those that are alike in what decides, the first
select distinct on (wanted.seq, parent.state, parent.kept)
  wanted.seq, job.id, job.type, parent.state, parent.kept, edge.number
from unnest($2::bigint[]) as wanted (seq)
cross join lateral (
  select edge.parent, edge.number
  from headrace.edge
  where edge.child = wanted.seq
  offset 0
) edge
cross join lateral (
  select ended.state, ended.erase_at is null as kept
  from headrace.ended
  where ended.namespace = $1
    and ended.seq = edge.parent
    and ended.state <> $3
  offset 0
) parent
cross join lateral (
  select job.id, job.type
  from headrace.job
  where job.seq = edge.parent
  offset 0
) job
order by wanted.seq, parent.state, parent.kept, edge.number;

-- :flow_waiting the next of those that are noted, whether they are blocked ($1), and whether a parent lives
select noted.child, job.namespace, job.id, coalesce(placed.state = $1, false), {last_live_parent} is not null
from (
  select waiting.child
  from headrace.waiting
  where waiting.child > $2
  order by waiting.child
  limit $3
) noted
left join lateral (
  select job.seq, job.namespace, job.id
  from headrace.job
  where job.seq = noted.child
  offset 0
) job on true
left join lateral (
  select live.state
  from headrace.live
  where live.namespace = job.namespace
    and live.seq = job.seq
  offset 0
) placed on true
order by noted.child;

-- :end_waiting
delete from headrace.waiting
where child = any($1::bigint[]);

-- :parents_of a job, beyond a number; of one that is erased there is only the number
select edge.number, parent.id, parent.type, parent.state, parent.result, parent.error
from headrace.job child
cross join lateral (
  select edge.number, edge.parent
  from headrace.edge
  where edge.child = child.seq
    and edge.number > $3
  order by edge.number
  limit $4
) edge
left join lateral (
  select job.id, job.type, placed.state, placed.result, placed.error
  from headrace.job
  cross join lateral (
    select placement.state, placement.result, placement.error
    from headrace.placement
    where placement.namespace = job.namespace
      and placement.seq = job.seq
    offset 0
  ) placed
  where job.seq = edge.parent
  offset 0
) parent on true
where child.id = $2
  and child.namespace = $1
order by edge.number;

-- :edges_of jobs, whichever end of them they are
select child.id, parent.id, touched.number, touched.on_parent_failure
from (
  select below.*
  from unnest($1::bigint[]) as wanted (seq)
  cross join lateral (
    select edge.child, edge.parent, edge.number, edge.on_parent_failure
    from headrace.edge
    where edge.child = wanted.seq
    limit $2
  ) below
  union
  select above.*
  from unnest($1::bigint[]) as wanted (seq)
  cross join lateral (
    select edge.child, edge.parent, edge.number, edge.on_parent_failure
    from headrace.edge
    where edge.parent = wanted.seq
    limit $2
  ) above
  limit $2
) touched
cross join lateral (
  select job.id
  from headrace.job
  where job.seq = touched.child
  offset 0
) child
cross join lateral (
  select job.id
  from headrace.job
  where job.seq = touched.parent
  offset 0
) parent;
