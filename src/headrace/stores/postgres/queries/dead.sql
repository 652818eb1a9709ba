-- :dead_walk dead letters that fit, the latest first; how many were looked at, and how far down
-- $1 namespace, $2 and $3 the instant and the seq that all must be below, $4 the instant from which on,
-- $5 how many to look at, $6 how many to find, $7 types, $8 queues, $9 batch (null: all)
with looked as materialized (
  select seq, ended_at, erase_at
  from headrace.died
  where namespace = $1
    and (ended_at, seq) < ($2, $3)
    and ended_at >= $4
  order by ended_at desc, seq desc
  limit $5
),
fitting as (
  select looked.seq, looked.ended_at
  from looked
  where looked.erase_at is null
    and (
      ($7::text[] is null and $8::text[] is null and $9::text is null)
      or exists (
        select 1
        from headrace.job
        where job.seq = looked.seq
          and ($7 is null or job.type = any($7))
          and ($8 is null or job.queue = any($8))
          and ($9 is null or job.batch_id = $9)
        offset 0
      )
    )
  order by looked.ended_at desc, looked.seq desc
  limit $6
)
select
  array(
    select seq
    from fitting
    order by ended_at desc, seq desc
  ),
  (select count(*) from looked),
  (select ended_at from looked order by ended_at, seq limit 1),
  (select seq from looked order by ended_at, seq limit 1);

-- :numbers of each type and queue; in errors the mark $2 is looked for
select
  job.type, job.queue, count(*), count(*) filter (where strpos(late.error, $2) > 0),
  min(late.ended_at), max(late.ended_at), (array_agg(job.id order by late.ended_at desc, job.id desc))[1]

-- :with_names
cross join lateral (
  select id, type, queue
  from headrace.job
  where job.seq = late.seq
  offset 0
) job
group by job.type, job.queue
order by job.type, job.queue

-- :dead_counts of the latest $3
{numbers}
from (
  select seq, ended_at, error
  from headrace.died
  where namespace = $1
    and erase_at is null
  order by ended_at desc, seq desc
  limit $3
) late
{with_names};

-- :deaths_since the instant $4, of the latest $3
{numbers}
from (
  select seq, ended_at, error
  from headrace.died
  where namespace = $1
    and ended_at >= $4
  order by ended_at desc, seq desc
  limit $3
) late
{with_names};

-- :dismiss_jobs changes only when ended jobs may be erased, of each that is as it was decided upon
with given as materialized (
  select *
  from unnest($1::text[], $2::bigint[], $3::integer[], $4::integer[], $5::bigint[])
    as one (namespace, seq, fence, revision, erase_at)
),
locked as materialized (
  select given.*
  from given
  cross join lateral (
    select ended.seq
    from headrace.ended
    where ended.namespace = given.namespace
      and ended.seq = given.seq
      and ended.fence = given.fence
      and ended.revision = given.revision
    for update
  ) old
)
update headrace.ended
set
  revision = ended.revision + 1,
  erase_at = locked.erase_at
from locked
where ended.namespace = any(array[locked.namespace])
  and ended.seq = any(array[locked.seq])
returning ended.seq;
