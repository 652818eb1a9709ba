-- What jobs keep of their steps. Most jobs have no row here, nor in `signal`.
create table step (
  seq integer not null,
  number integer not null,
  kind text not null,
  name text not null,
  occurrence integer not null,
  at integer not null,
  ended_at integer,
  until integer,
  fence integer,
  signal text,
  value text,
  primary key (seq, number)
) strict;

-- Signals sent to jobs; `number` is the order in which they came.
create table signal (
  seq integer not null,
  id text not null,
  number integer not null,
  name text not null,
  at integer not null,
  payload text not null,
  primary key (seq, id)
) strict;
