-- Which job waits for which: `child` for its parent number `number`. A job outside of flows has no row here.
create table headrace.edge (
  child bigint not null,
  parent bigint not null,
  number integer not null,
  on_parent_failure text collate "C" not null,
  primary key (child, number)
);

create index edge_parent on headrace.edge (parent, child);

-- The children that wait, for the sweep. A row may outlive the wait by a little, and never begins after it.
create table headrace.waiting (
  child bigint primary key
);
