-- :dead_walk dead letters that fit, the latest first; how many were looked at, and how far down
with looked as materialized (
  select seq, ended_at, erase_at, type, queue, batch_id
  from died
  where namespace = :namespace
    and (ended_at, seq) < (:at, :before)
    and ended_at >= :since
  order by ended_at desc, seq desc
  limit :look
)
select
  (
    select json_group_array(seq)
    from (
      select seq
      from looked
      where erase_at is null
        and (:types is null or type in (select value from json_each(:types)))
        and (:queues is null or queue in (select value from json_each(:queues)))
        and (:batch_id is null or batch_id = :batch_id)
      order by ended_at desc, seq desc
      limit :limit
    )
  ),
  (select count(*) from looked),
  (select ended_at from looked order by ended_at, seq limit 1),
  (select seq from looked order by ended_at, seq limit 1);

-- :numbers of each type and queue; the id behind its instant, so that the greatest is that of the latest
select
  type, queue, count(*), sum(ifnull(instr(error, :permanent), 0) > 0), min(ended_at), max(ended_at),
  substr(max(printf('%020d', ended_at) || id), 21)

-- :dead_counts
{numbers}
from (
  select type, queue, error, ended_at, id
  from died
  where namespace = :namespace
    and erase_at is null
  order by ended_at desc, seq desc
  limit :limit
)
group by type, queue
order by type, queue;

-- :deaths_since
{numbers}
from (
  select type, queue, error, ended_at, id
  from died
  where namespace = :namespace
    and ended_at >= :since
  order by ended_at desc, seq desc
  limit :limit
)
group by type, queue
order by type, queue;
