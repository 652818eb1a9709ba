-- What jobs keep of their steps. Most jobs have no row here, nor in `signal`.
create table headrace.step (
  seq bigint not null,
  at bigint not null,
  ended_at bigint,
  until bigint,
  number integer not null,
  occurrence integer not null,
  fence integer,
  kind text collate "C" not null,
  name text collate "C" not null,
  signal text collate "C",
  value text,
  primary key (seq, number)
);

-- Signals sent to jobs; `number` is the order in which they came.
create table headrace.signal (
  seq bigint not null,
  number bigint generated always as identity,
  at bigint not null,
  id text collate "C" not null,
  name text collate "C" not null,
  payload text not null,
  primary key (seq, id)
);
