#!/bin/sh
# Runs a command with the one secret that Dagster reads from its environment.
set -eu
file=/run/secrets/DAGSTER_POSTGRES_URL
if test -r "$file"; then
    DAGSTER_POSTGRES_URL=$(cat "$file")
    export DAGSTER_POSTGRES_URL
fi
exec "$@"
