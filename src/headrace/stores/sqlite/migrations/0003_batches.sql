-- Which members of a batch are in which state, and the first of them, without a look at the rows.
create index job_batch_state on job (namespace, batch_id, state) where batch_id is not null;
