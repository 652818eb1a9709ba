-- :head the lowest rank that waits in one priority of a queue, due or parked on one of these lanes
select min(rank)
from (
  select rank
  from (
    select rank
    from job
    where namespace = :namespace
      and queue = :queue
      and due_at is not null
      and priority = :priority
    order by rank
    limit 1
  )
  union all
  select (
    select rank
    from job
    where namespace = :namespace
      and parked_on is not null
      and parked_on = lane.value
      and queue = :queue
      and priority = :priority
    order by rank
    limit 1
  )
  from carray(:lanes) lane
);

-- :out_of_line_in_level due jobs of one priority that are ranked by their due time
select seq
from job
where namespace = :namespace
  and queue = :queue
  and due_at is not null
  and priority = :priority
  and rank >= :tags_below
  and rank <= :now
  and due_at <= :now
order by rank, seq
limit :limit;

-- :parked_out_of_line some of the parked jobs of a queue that are ranked by their due time
select seq
from (
  select seq, priority, rank
  from job indexed by job_parked
  where namespace = :namespace
    and parked_on is not null
    and queue = :queue
    and rank >= :tags_below
    and rank <= :now
  limit :limit
)
order by priority desc, rank, seq;

-- :count_waiting how many jobs wait in a queue, due or not and parked, of each at most so many
select
  (
    select count(*)
    from (
      select 1
      from job indexed by job_due
      where namespace = :namespace
        and queue = :queue
        and due_at is not null
      limit :limit
    )
  )
  + (
    select count(*)
    from (
      select 1
      from job indexed by job_parked
      where namespace = :namespace
        and parked_on is not null
        and queue = :queue
      limit :limit
    )
  );

-- :oldest_waiting the jobs that wait in a queue in the order of insertion
select seq
from (
  select seq
  from job indexed by job_due
  where namespace = :namespace
    and queue = :queue
    and due_at is not null
  union all
  select seq
  from job indexed by job_parked
  where namespace = :namespace
    and parked_on is not null
    and queue = :queue
)
order by seq
limit :limit;
