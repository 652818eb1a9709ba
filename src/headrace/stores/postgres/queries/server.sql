-- What is asked of the server itself, and of the schema before its tables are known to be there.

-- :now the store's time in milliseconds
select (extract(epoch from clock_timestamp()) * 1000)::bigint;

-- :schema_contents whether the schema is there, whether it holds our mark, and a relation that it holds
select
  n.oid is not null,
  exists (
    select 1
    from pg_catalog.pg_class c
    where c.relnamespace = n.oid and c.relname = 'meta' and c.relkind = 'r'
  ),
  (
    select c.relname::text
    from pg_catalog.pg_class c
    where c.relnamespace = n.oid
      and not exists (
        select 1
        from pg_catalog.pg_depend d
        where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype = 'e'
      )
    order by c.relname
    limit 1
  )
from (select $1::text as name) asked
left join pg_catalog.pg_namespace n on n.nspname = asked.name;

-- :schema_meta what the schema says of itself
select name, value
from headrace.meta;

-- :migrate_lock makes a second migrator wait until the first one's transaction has ended
select pg_advisory_xact_lock(hashtextextended('headrace.migrate', 7426310));

-- :migrate_mark notes whose schema this is, and its number
insert into headrace.meta (name, value)
values ('program', 'headrace'), ('schema', '@number@')
on conflict (name) do update set value = excluded.value;

-- :migrate_is_next stops a plan that was made for another number than the schema has by now
do $guard$
begin
  if (select value from headrace.meta where name = 'schema') is distinct from '@number@' then
    raise exception 'this schema is not at number @number@ any more: make a new plan';
  end if;
end
$guard$;

-- :migrate_is_first stops a plan that would make the tables, where they are by now
do $guard$
begin
  if to_regclass('headrace.meta') is not null then
    raise exception 'this schema has its tables by now: make a new plan';
  end if;
end
$guard$;

-- :notify tells whoever listens on a channel
select pg_notify($1, $2);

-- :server_state how the server keeps what it acknowledges. It takes the number of a transaction, which only a
-- server that accepts writes gives.
select
  current_setting('server_version'),
  current_setting('transaction_read_only')::boolean,
  current_setting('fsync')::boolean,
  current_setting('full_page_writes')::boolean,
  current_setting('synchronous_commit'),
  current_setting('synchronous_standby_names') <> '',
  (select count(*) from pg_stat_get_wal_senders()),
  current_setting('autovacuum')::boolean and current_setting('track_counts')::boolean,
  pg_has_role(current_user, 'pg_read_all_stats', 'usage'),
  pg_current_xact_id()::text;

-- :vacuum_state how many dead rows the claim may meet, how large the tables are, and since when the oldest
-- transaction has kept the vacuum from clearing away what ended after it, in seconds
select
  coalesce((select n_dead_tup from pg_stat_all_tables where relid = 'headrace.live'::regclass), 0),
  coalesce((select n_live_tup from pg_stat_all_tables where relid = 'headrace.live'::regclass), 0),
  (
    select sum(pg_total_relation_size(c.oid))::bigint
    from pg_class c
    where c.relkind = 'r'
      and c.relnamespace = (select relnamespace from pg_class where oid = 'headrace.live'::regclass)
  ),
  coalesce((
    select extract(epoch from clock_timestamp() - min(began))::float8
    from (
      select xact_start
      from pg_stat_activity
      where pid <> pg_backend_pid()
        and (backend_xmin is not null or backend_xid is not null)
        and (datname = current_database() or backend_type = 'walsender')
      union all
      select prepared
      from pg_prepared_xacts
      where database = current_database()
    ) old (began)
  ), 0),
  (
    select min(slot_name)
    from pg_replication_slots
    where not active and xmin is not null
  );

-- :incarnation changes when another server answers: another cluster, another timeline, or a restart
select
  (select system_identifier::text from pg_control_system()),
  substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8),
  extract(epoch from pg_postmaster_start_time())::text;

-- :incarnation_seen the same, where the server does not let us look into its log
select
  host(inet_server_addr()),
  inet_server_port()::text,
  extract(epoch from pg_postmaster_start_time())::text;

-- :mark_transaction limits what waits in this transaction, in milliseconds, and marks it as this very one
select
  set_config('statement_timeout', $1, true),
  set_config('idle_in_transaction_session_timeout', $1, true),
  set_config('headrace_transaction.mark', $2, true);

-- :transaction_mark what is left of the mark: nothing, in any other transaction
select current_setting('headrace_transaction.mark', true);

-- :caller_place the database of a connection of the program's, and whether our tables are there
select current_database()::text, to_regclass('headrace.live') is not null;
