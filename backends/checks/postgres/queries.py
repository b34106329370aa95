"""What a PostgreSQL check asks. Source: https://www.postgresql.org/docs/current/monitoring-stats.html.

Written for a user without privileges, who gets nulls for much of what concerns other users' sessions.
"""

# A read-only default that is set for a user alone is hygiene of that user and no fault of the server.
SERVER = """
select pg_is_in_recovery() as standby,
       current_setting('server_version') as version,
       current_setting('max_connections')::int as max_connections,
       (select count(*) from pg_stat_activity
         where backend_type = 'client backend' or (backend_type is null and datid is not null)) as connections,
       (select setting = 'on' and source not in ('user', 'database user', 'client', 'session')
          from pg_settings where name = 'default_transaction_read_only') as read_only
"""

FOLLOWERS = """
select coalesce(nullif(application_name, ''), client_addr::text, 'local') as name,
       extract(epoch from replay_lag)::float8 as lag_s,
       pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::float8 as behind_bytes
  from pg_stat_replication
 where state is distinct from 'backup'
 order by name
"""

# Whoever has replayed all that it received does not lag while it receives, however long ago the last transaction was.
FOLLOWING = """
select receiving,
       pg_is_wal_replay_paused() as paused,
       case when receiving and pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() then 0
            else extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp()) end::float8 as lag_s,
       pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::float8 as behind_bytes
  from (select exists (select from pg_stat_wal_receiver where pid is not null) as receiving) as receiver
"""

# pg_locks has waitstart from PostgreSQL 14 on.
BLOCKED = """
select (pg_blocking_pids(pid))[1] as blocker,
       extract(epoch from clock_timestamp()
               - coalesce((to_jsonb(locks) ->> 'waitstart')::timestamptz, query_start))::float8 as waits_s
  from pg_locks as locks join pg_stat_activity using (pid)
 where not granted
 order by waits_s desc nulls last
"""

# A standby archives only with archive_mode = always.
ARCHIVER = """
select current_setting('archive_mode') = 'always'
           or (current_setting('archive_mode') = 'on' and not pg_is_in_recovery()) as works,
       last_failed_time > coalesce(last_archived_time, '-infinity') as failing,
       extract(epoch from clock_timestamp() - last_failed_time)::float8 as failing_s,
       last_failed_wal,
       failed_count
  from pg_stat_archiver
"""
