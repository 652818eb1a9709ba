-- What is kept of a lane besides the jobs, and what is locked while somebody counts them. A job that is parked
-- on a lane of limits or order has a row here.
create table headrace.lane (
  namespace text collate "C" not null,
  key text collate "C" not null,
  tat bigint,
  opens_at bigint,
  cap integer,
  primary key (namespace, key)
) with (fillfactor = 50);

-- Which jobs hold a slot of a lane while they run. A row whose job does not run holds nothing.
create table headrace.slot (
  namespace text collate "C" not null,
  lane text collate "C" not null,
  seq bigint not null,
  primary key (namespace, lane, seq)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);

-- A job's wishes, so that a claim sees them without a look at `job`; null for all others, and for jobs that
-- only wish for a share of a fair queue. The lane of its ordering key stands apart, where it has one.
alter table headrace.live
  add column gate text collate "C",
  add column order_lane text collate "C";

create index live_order on headrace.live (namespace, order_lane, least(starts, 1), seq)
where order_lane is not null;

-- The best of those that wait on a lane.
drop index headrace.live_parked;

create index live_parked on headrace.live (namespace, parked_on, queue, priority desc, rank, seq)
where parked_on is not null;
