-- Failed jobs by when they failed. All others have no place in the index.
create view headrace.died as
select *
from headrace.ended
where state = 'failed';

create index ended_died on headrace.ended (namespace, ended_at, seq) where state = 'failed';
