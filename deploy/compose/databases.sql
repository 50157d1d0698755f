-- Dagster's storage and the pages' tables are databases of their own, so that each is backed up and restored alone.
CREATE DATABASE dagster;
CREATE DATABASE warehouse;
-- Dagster reads the server's local times as UTC: west of it, a run would be given up before it has started.
ALTER DATABASE dagster SET timezone TO 'UTC';
