-- The batch of a job, where members are looked for that have not ended. It is null for all other jobs, which
-- then have no place in the index.
alter table headrace.live add column batch_id text collate "C";

update headrace.live
set batch_id = job.batch_id
from headrace.job
where job.seq = live.seq
  and job.batch_id is not null;

create index live_batch on headrace.live (namespace, batch_id, state, seq) where batch_id is not null;
