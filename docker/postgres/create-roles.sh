#!/bin/sh
# Roles beside the superuser; runs once, when the volume is empty.
set -eu
secrets="${SECRETS_FOLDER:-/run/secrets}"
read_secret() { tr -d '\n' < "$secrets/$1"; }

# Passwords go through the script's standard input, which no list of processes shows.
psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<SQL
\set fraiseql '$(read_secret postgres_fraiseql_password)'
\set flight '$(read_secret postgres_flight_password)'
\set dagster '$(read_secret postgres_dagster_password)'

-- Owns the application's tables: for FraiseQL and its migrations.
CREATE ROLE fraiseql LOGIN PASSWORD :'fraiseql';
CREATE DATABASE fraiseql OWNER fraiseql;

-- Reads for the Flight service. Row security applies to it, since it owns nothing.
CREATE ROLE fraiseql_flight LOGIN PASSWORD :'flight'
    NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
ALTER ROLE fraiseql_flight SET default_transaction_read_only = on;

CREATE ROLE dagster LOGIN PASSWORD :'dagster';
CREATE DATABASE dagster OWNER dagster;

REVOKE CONNECT ON DATABASE postgres, fraiseql, dagster FROM PUBLIC;
GRANT CONNECT ON DATABASE fraiseql TO fraiseql_flight;

\connect fraiseql
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO fraiseql;
GRANT USAGE ON SCHEMA public TO fraiseql_flight;
-- Whatever the application creates later can be read.
ALTER DEFAULT PRIVILEGES FOR ROLE fraiseql GRANT SELECT ON TABLES TO fraiseql_flight;
ALTER DEFAULT PRIVILEGES FOR ROLE fraiseql GRANT USAGE ON SCHEMAS TO fraiseql_flight;
SQL
