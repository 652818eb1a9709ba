-- :due_messages
select due_at
from job
where namespace = :namespace
  and queue = :queue
  and due_at is not null
  and type = :type
  and rank <= :now
  and due_at <= :now
  and cancel_asked_at is null

-- :due_messages_in_level since when the first messages of one type in one priority are due
{due_messages}
  and priority = :priority
order by priority desc, rank, seq
limit :limit;

-- :due_messages_below the same in a priority and all lower ones
{due_messages}
  and priority <= :priority
order by priority desc, rank, seq
limit :limit;
