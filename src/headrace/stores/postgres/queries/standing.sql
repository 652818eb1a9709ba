-- :ahead how many due jobs of a queue a claim takes before one that stands there
-- $1 namespace, $2 queue, $3 priority, $4 rank, $5 seq, $6 now, $7 limit
select count(*)
from (
  select *
  from (
    select 1
    from headrace.live
    where live.namespace = $1
      and live.queue = $2
      and live.due_at is not null
      and live.priority > $3
      and live.rank <= $6
      and live.due_at <= $6
      and live.cancel_asked_at is null
    order by live.priority desc, live.rank, live.seq
    limit $7
  ) above
  union all
  select *
  from (
    select 1
    from headrace.live
    where live.namespace = $1
      and live.queue = $2
      and live.due_at is not null
      and live.priority = $3
      and (live.rank, live.seq) < ($4::bigint, $5::bigint)
      and live.due_at <= $6
      and live.cancel_asked_at is null
    order by live.rank, live.seq
    limit $7
  ) beside
  limit $7
) counted;
