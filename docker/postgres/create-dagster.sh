#!/bin/sh
# Dagster's storage beside the application's database; runs once, when the volume is empty.
set -eu
psql --set ON_ERROR_STOP=1 --set password="$DAGSTER_POSTGRES_PASSWORD" \
    --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
CREATE ROLE dagster LOGIN PASSWORD :'password';
CREATE DATABASE dagster OWNER dagster;
SQL
