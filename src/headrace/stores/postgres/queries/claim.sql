-- :picked
-- $1 namespace, $2 now, $3 queues, $4 how many of each at most, $5 how many in all, $6 types known here,
-- $7 to $10 the marks: queue, priority, rank and seq up to which the last look left nothing behind,
-- $11 state, $12 worker, $13 lease_until, $14 the only types wanted (null: all),
-- $15 the revision of the limits known here: nothing is picked under another one, since a job may have a limit
-- then that is not known; $16 types and $17 queues of which every job passes the gate.
-- Per queue a loose scan over the priorities, from above all of them: a priority that holds only future
-- jobs costs one probe. A marked priority is known, and is scanned from its mark, so that the dead rows
-- before it cost nothing. Below 64 priorities the rest is walked in one go.
with defined as materialized (
  select
    coalesce(
      (
        select revision
        from headrace.register
        where register.namespace = $1
          and register.key = 'limits'
      ),
      0
    ) = $15 as known
),
picked as materialized (
  select due.*
  from headrace.open_queues($1, $3) as open (name)
  cross join lateral (
    select wanted
    from unnest($3::text[], $4::integer[]) as asked (name, wanted)
    where asked.name = open.name
    offset 0
  ) asked
  cross join lateral (
    with recursive level (priority, number) as (
      select 2147483647, 0
      union all
      select
        greatest(
          (
            select live.priority
            from headrace.live
            where live.namespace = $1
              and live.queue = open.name
              and live.due_at is not null
              and live.priority < level.priority
              and live.priority > coalesce(marked.priority, -2147483647)
            order by live.priority desc
            limit 1
          ),
          marked.priority
        ),
        level.number + 1
      from level
      cross join lateral (
        select max(mark.priority) as priority
        from unnest($7::text[], $8::integer[]) as mark (queue, priority)
        where mark.queue = open.name
          and mark.priority < level.priority
      ) marked
      where level.priority is not null
        and level.number <= 64
    )
    select found.*
    from level
    left join lateral (
      select rank, seq
      from unnest($7::text[], $8::integer[], $9::bigint[], $10::bigint[]) as mark (queue, priority, rank, seq)
      where mark.queue = open.name
        and mark.priority = level.priority
      limit 1
    ) mark on true
    cross join lateral (
      select *
      from (
        select {columns}
        from headrace.live
        where {due}
          and live.priority = level.priority
          and (live.rank, live.seq) > (coalesce(mark.rank, -9223372036854775807), coalesce(mark.seq, 0))
          and level.number between 1 and 64
        order by live.rank, live.seq
        limit asked.wanted
        for update skip locked
      ) in_level
      union all
      select *
      from (
        select {columns}
        from headrace.live
        where {due}
          and live.priority <= level.priority
          and level.number > 64
        order by live.priority desc, live.rank, live.seq
        limit asked.wanted
        for update skip locked
      ) below
    ) found
    where level.priority is not null
    limit asked.wanted
  ) due
  where (select known from defined)
  order by due.priority desc, due.rank, due.seq
  limit $5
),

-- :columns
live.seq, live.priority, live.rank, live.queue, live.type, live.state, live.starts, live.gate

-- :claimed_set
state = $11,
    due_at = null,
    lease_until = $13,
    unique_lock = live.lock_after_claim,
    parked_on = null,
    cancel_asked_at = null,
    starts = live.starts + 1,
    worker = $12,
    started_at = $2,
    outcome = null,
    error = null,
    fence = live.fence + 1,
    revision = live.revision + 1

-- :claimed_rest
from known
  cross join lateral (
    select *
    from headrace.job
    where job.seq = known.seq
    offset 0
  ) fixed
  left join lateral (
    select progress, checkpoint
    from headrace.note
    where note.seq = known.seq
      and known.starts > 0
    offset 0
  ) noted on true
  where live.namespace = any(array[$1])
    and live.seq = any(array[known.seq])
  returning
    live.seq, live.fence, live.revision,
    fixed.id, live.queue, live.type, fixed.payload, fixed.created_at, fixed.version,
    fixed.max_attempts, fixed.max_crashes, fixed.timeout_ms as first_timeout_ms,
    live.priority, live.rank, live.timeout_ms,
    case
      when live.starts > 1
        or live.generation > 1
        or num_nonnulls(
          fixed.unique_key, live.lock_after_claim, fixed.batch_id, fixed.backoff, fixed.lane,
          fixed.parent_id, fixed.tags, live.slot_key
        ) > 0
      then json_build_array(
        fixed.unique_key, live.lock_after_claim, fixed.batch_id, fixed.backoff, fixed.lane,
        fixed.parent_id, fixed.tags, noted.progress, noted.checkpoint, live.slot_key,
        live.isolation, live.generation, live.starts, live.failures, live.crashes, live.releases,
        live.snoozes
      )::text
    end as rest
),
counted as (
  insert into headrace.move (count, namespace, queue, type, state)
  select -count(*), $1, queue, type, state
  from known
  group by queue, type, state
  union all
  select count(*), $1, queue, type, $11
  from known
  group by queue, type
)

-- :claimed_from
claimed as (
  update headrace.live
  set
    {claimed_set}
  {claimed_rest}

-- :claim due jobs in order, each to one holder; the types met that are not known here; and the jobs met that must
-- pass the gate, of which an empty array says that the limits are not those known here
{picked}
known as materialized (
  select *
  from picked
  where type = any($6::text[])
    and gate is null
    and type <> all($16::text[])
    and queue <> all($17::text[])
),
{claimed_from}
select met.types, met.gated, claimed.*
from (
  select
    array_agg(distinct type) filter (where type <> all($6::text[])) as types,
    case
      when (select known from defined) then array_agg(seq) filter (where type = any($6::text[]))
      else array[]::bigint[]
    end as gated
  from picked
  where type <> all($6::text[])
    or gate is not null
    or type = any($16::text[])
    or queue = any($17::text[])
) met
left join claimed on true;

-- :claim_admitted candidates that are locked, with the slots that they take and the lanes that changed by it
-- $3 seqs, $4 what they hold, $5 lanes and $6 seqs of slots, $7 lanes and $8 to $10 what is kept of them;
-- the others as for `claim`.
with given as materialized (
  select *
  from unnest($3::bigint[], $4::text[]) as one (seq, slot_key)
),
known as materialized (
  select live.seq, live.queue, live.type, live.state, live.starts, given.slot_key
  from given
  cross join lateral (
    select *
    from headrace.live
    where live.seq = given.seq
    offset 0
  ) live
),
held as (
  insert into headrace.slot (namespace, lane, seq)
  select $1, one.lane, one.seq
  from unnest($5::text[], $6::bigint[]) as one (lane, seq)
  order by one.lane, one.seq
  on conflict do nothing
),
spent as (
  update headrace.lane
  set
    tat = one.tat,
    opens_at = one.opens_at,
    cap = one.cap
  from unnest($7::text[], $8::bigint[], $9::bigint[], $10::integer[]) as one (key, tat, opens_at, cap)
  where lane.namespace = any(array[$1])
    and lane.key = any(array[one.key])
),
claimed as (
  update headrace.live
  set
    slot_key = known.slot_key,
    {claimed_set}
  {claimed_rest}
select null::text[], null::bigint[], claimed.*
from claimed;

-- :due what may be claimed now
live.namespace = $1
          and live.queue = open.name
          and live.due_at is not null
          and live.rank <= $2
          and live.due_at <= $2
          and live.cancel_asked_at is null
          and ($14::text[] is null or live.type = any($14::text[]))


-- :park_types takes due jobs of these types out of the claim's way, in order
with due as materialized (
  select live.seq, live.type
  from headrace.live
  where live.namespace = $1
    and live.queue = $2
    and live.due_at is not null
    and live.rank <= $3
    and live.due_at <= $3
    and live.type = any($4::text[])
  order by live.priority desc, live.rank, live.seq
  limit $6
  for update skip locked
)
update headrace.live
set
  due_at = null,
  parked_on = $5 || live.type,
  revision = revision + 1
from due
where live.namespace = any(array[$1])
  and live.seq = any(array[due.seq]);

-- :types_of_workers the types that live workers know
select distinct known.type
from headrace.worker
cross join lateral unnest(worker.types) as known (type)
where worker.namespace = $1
  and worker.seen_at >= $2;
