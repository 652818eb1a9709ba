-- :ahead how many due jobs of a queue a claim takes before one that stands there
select count(*)
from (
  select *
  from (
    select 1
    from job
    where namespace = :namespace
      and queue = :queue
      and due_at is not null
      and priority > :priority
      and rank <= :now
      and due_at <= :now
      and cancel_asked_at is null
    limit :limit
  )
  union all
  select *
  from (
    select 1
    from job
    where namespace = :namespace
      and queue = :queue
      and due_at is not null
      and priority = :priority
      and rank <= :rank
      and (rank < :rank or seq < :seq)
      and due_at <= :now
      and cancel_asked_at is null
    limit :limit
  )
  limit :limit
);
