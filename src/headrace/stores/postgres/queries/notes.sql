-- :known where the jobs of the holders $1 ids and $2 fences are
-- Their rows are locked in this order, as everybody locks several.
known as materialized (
  select given.*, job.namespace, job.seq
  from given
  cross join lateral (
    select namespace, seq
    from headrace.job
    where job.id = given.id
    offset 0
  ) job
  order by job.namespace, job.seq
)

-- :still_held the guard, inside the statement that locks
-- No column of an index's condition may stand here, such as lease_until, or that index may be scanned.
select live.seq, live.cancel_asked_at
    from headrace.live
    where live.namespace = known.namespace
      and live.seq = known.seq
      and live.fence = known.fence
      and live.state = $3

-- :write_notes of those who still hold their jobs; fields that are null stay as they are
-- A holder's row stays locked until the end of the transaction, and whoever takes the job away waits for
-- it; a job that was taken away while this waited for the row is not written.
with given as materialized (
  select *
  from unnest($1::text[], $2::integer[], $4::text[], $5::text[], $6::bigint[])
    as one (id, fence, progress, checkpoint, timed_out_at)
),
{known},
held as materialized (
  select known.*
  from known
  cross join lateral (
    {still_held}
    for no key update
  ) live
),
noted as (
  insert into headrace.note (seq, progress, checkpoint, timed_out_fence, timed_out_at, noted_at)
  select seq, progress, checkpoint, case when timed_out_at is not null then fence end, timed_out_at, $7::bigint
  from held
  where progress is not null
    or checkpoint is not null
    or timed_out_at is not null
  on conflict (seq) do update set
    progress = coalesce(excluded.progress, note.progress),
    checkpoint = coalesce(excluded.checkpoint, note.checkpoint),
    timed_out_fence = coalesce(excluded.timed_out_fence, note.timed_out_fence),
    timed_out_at = coalesce(excluded.timed_out_at, note.timed_out_at),
    noted_at = excluded.noted_at
)
select id, fence, seq
from held;

-- :write_lines after the lines that each job has; a statement after the one that locked the jobs
insert into headrace.line (seq, number, at, level, message, data)
select given.seq, last.number + given.number, given.at, given.level, given.message, given.data
from unnest($1::bigint[], $2::integer[], $3::bigint[], $4::text[], $5::bytea[], $6::text[])
  as given (seq, number, at, level, message, data)
cross join lateral (
  select coalesce(max(line.number), 0) as number
  from headrace.line
  where line.seq = given.seq
) last
returning seq, number;

-- :drop_lines all of these jobs up to these numbers
delete from headrace.line
using unnest($1::bigint[], $2::integer[]) as worn (seq, until)
where line.seq = any(array[worn.seq])
  and line.number <= worn.until;

-- :renew moves the leases of those who still hold their jobs
-- A row that somebody else has locked is left alone: one transaction that is slow to end must not cost
-- the leases of all others. It is busy if it looked held before.
with given as materialized (
  select *
  from unnest($1::text[], $2::integer[]) as one (id, fence)
),
{known},
reached as materialized (
  select known.*, live.seq is not null as is_held, live.cancel_asked_at is not null as is_asked
  from known
  left join lateral (
    {still_held}
    for no key update skip locked
  ) live on true
),
renewed as (
  update headrace.live
  set lease_until = $4
  from reached
  where reached.is_held
    and live.namespace = any(array[reached.namespace])
    and live.seq = any(array[reached.seq])
)
select
  known.id,
  known.is_held,
  known.is_asked,
  not known.is_held and exists (
    {still_held}
    offset 0
  )
from reached known;

-- :erased what belongs to the jobs in `picked`, and the tallies
fixed as (
  delete from headrace.job
  using picked
  where job.seq = any(array[picked.seq])
  returning job.seq, job.namespace, job.queue, job.type, job.tags, picked.state
),
placed as (
  delete from headrace.ended
  using picked
  where ended.namespace = any(array[picked.namespace])
    and ended.seq = any(array[picked.seq])
),
notes as (
  delete from headrace.note
  using picked
  where note.seq = any(array[picked.seq])
),
lines as (
  delete from headrace.line
  using picked
  where line.seq = any(array[picked.seq])
),
steps as (
  delete from headrace.step
  using picked
  where step.seq = any(array[picked.seq])
),
edges as (
  delete from headrace.edge
  using picked
  where edge.child = any(array[picked.seq])
),
signals as (
  delete from headrace.signal
  using picked
  where signal.seq = any(array[picked.seq])
),
trails as (
  delete from headrace.trail
  using picked
  where trail.seq = any(array[picked.seq])
),
tagged as (
  delete from headrace.tag
  using (
    select fixed.namespace, fixed.seq, one.tag
    from fixed
    cross join lateral json_array_elements_text(fixed.tags::json) as one (tag)
    offset 0
  ) old
  where tag.namespace = any(array[old.namespace])
    and tag.tag = any(array[old.tag])
    and tag.seq = any(array[old.seq])
),
counted as (
  insert into headrace.move (count, namespace, queue, type, state)
  select -count(*), namespace, queue, type, state
  from fixed
  group by namespace, queue, type, state
)
select count(*)
from fixed

-- :not_needed_by_batch that a batch which is not closed does not count it among its members
not exists (
    select 1
    from headrace.job
    cross join lateral (
      select
      from headrace.register
      where register.namespace = ended.namespace
        and register.key = 'batch:' || job.batch_id
        and register.due_at is not null
      offset 0
    ) batch
    where job.seq = ended.seq
      and job.batch_id is not null
    offset 0
  )

-- :not_needed_by_child that no child of it lives, or stays until somebody deals with it
not exists (
    select 1
    from headrace.edge
    cross join lateral (
      select
      from headrace.placement
      where placement.namespace = ended.namespace
        and placement.seq = edge.child
        and placement.erase_at is null
      offset 0
    ) child
    where edge.parent = ended.seq
    offset 0
  )

-- :erase ended jobs whose time has come, and for which nobody ever waited: their revision is below $3
with picked as materialized (
  select namespace, seq, state
  from headrace.ended
  where erase_at <= $1
    and revision < $3
    and {not_needed_by_batch}
  order by erase_at
  limit $2
  for update skip locked
),
{erased};

-- :erase_these those that the listing of a surplus has found, if they still are in that state; as in `erase`
with picked as materialized (
  select locked.*
  from unnest($2::bigint[]) as given (seq)
  cross join lateral (
    select namespace, seq, state
    from headrace.ended
    where ended.namespace = $1
      and ended.seq = given.seq
      and ended.state = $3
      and ended.revision < $4
      and {not_needed_by_batch}
    for update skip locked
  ) locked
),
{erased};

-- :lock_erasable_parents the same for jobs that others wait for or did: a child of one may come at any moment
-- Whoever inserts a child locks its parents, so once they are locked here no child comes any more. A later
-- statement looks whether one has.
select namespace, seq
from headrace.ended
where erase_at <= $1
  and revision >= $3
  and {not_needed_by_batch}
  and {not_needed_by_child}
order by erase_at
limit $2
for update skip locked;

-- :lock_surplus_parents
select locked.namespace, locked.seq
from unnest($2::bigint[]) as given (seq)
cross join lateral (
  select ended.namespace, ended.seq
  from headrace.ended
  where ended.namespace = $1
    and ended.seq = given.seq
    and ended.state = $3
    and ended.revision >= $4
  for update skip locked
) locked;

-- :erase_parents those of jobs that are locked which nobody needs
with picked as materialized (
  select found.namespace, found.seq, found.state
  from unnest($1::text[], $2::bigint[]) as given (namespace, seq)
  cross join lateral (
    select ended.namespace, ended.seq, ended.state
    from headrace.ended
    where ended.namespace = given.namespace
      and ended.seq = given.seq
      and {not_needed_by_batch}
      and {not_needed_by_child}
    offset 0
  ) found
),
{erased};

-- :are_more whether there are more than are kept; the tallies spare most walks down to the oldest kept
$4 < (
        select sum(count)
        from (
          select count
          from headrace.tally
          where namespace = $1
            and type = $2
            and state = $3
          union all
          select count
          from headrace.move
          where namespace = $1
            and type = $2
            and state = $3
        ) counted
      )

-- :ended_of_type
where one.namespace = $1
      and one.type = $2
      and exists (
        select 1
        from headrace.ended
        where ended.namespace = $1
          and ended.seq = one.seq
          and ended.state = $3
        offset 0
      )

-- :surplus_of_ended jobs of type $2 that ended in state $3 and are older than the newest $4 of them
-- Oldest first, at most $5. Most jobs end in such a state, so this walks over jobs of all states; a probe
-- for each ended job would cost ten times as much. The offset keeps the planner from doing so.
select one.seq
from headrace.job one
{ended_of_type}
  and one.seq < case
    when $4::bigint = 0 then 9223372036854775807
    when {are_more} then (
      select min(newest.seq)
      from (
        select one.seq
        from headrace.job one
        {ended_of_type}
          and one.seq <= (
            select max(ended.seq)
            from headrace.ended
            where ended.namespace = $1
          )
        order by one.seq desc
        limit $4
      ) newest
    )
  end
order by one.seq
limit $5;

-- :otherwise_of_type
where one.namespace = $1
      and one.state = $3
      and exists (
        select 1
        from headrace.job
        where job.seq = one.seq
          and job.type = $2
        offset 0
      )

-- :surplus_of_otherwise the same for a state of which there is an index
select one.seq
from headrace.otherwise one
{otherwise_of_type}
  and one.seq < case
    when $4::bigint = 0 then 9223372036854775807
    when {are_more} then (
      select min(newest.seq)
      from (
        select one.seq
        from headrace.otherwise one
        {otherwise_of_type}
        order by one.seq desc
        limit $4
      ) newest
    )
  end
order by one.seq
limit $5;
