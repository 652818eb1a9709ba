-- What is kept of a lane besides the jobs. A job that is parked on a lane of limits or order has a row here.
create table lane (
  namespace text not null,
  key text not null,
  tat integer,
  opens_at integer,
  cap integer,
  primary key (namespace, key)
) strict, without rowid;

-- Which jobs hold a slot of a lane while they run. A row whose job does not run holds nothing.
create table slot (
  namespace text not null,
  lane text not null,
  seq integer not null,
  primary key (namespace, lane, seq)
) strict, without rowid;

-- The lane of a job's ordering key; null for all others.
alter table job add column order_lane text;

create index job_order on job (namespace, order_lane, starts > 0, seq)
where order_lane is not null
  and ended_at is null;

-- The best of those that wait on a lane.
drop index job_parked;

create index job_parked on job (namespace, parked_on, queue, priority desc, rank) where parked_on is not null;
