-- Failed jobs by when they failed. All others have no place in the index.
create view died as
select *
from job
where state = 'failed';

create index job_died on job (namespace, ended_at, seq) where state = 'failed';
