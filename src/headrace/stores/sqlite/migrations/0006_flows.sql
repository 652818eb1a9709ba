-- Which job waits for which: `child` for its parent number `number`. A job outside of flows has no row here.
create table edge (
  child integer not null,
  number integer not null,
  parent integer not null,
  on_parent_failure text not null,
  primary key (child, number)
) strict, without rowid;

create index edge_parent on edge (parent, child);

-- The children that wait, for the sweep. A row may outlive the wait by a little, and never begins after it.
create table waiting (
  child integer primary key
) strict;
