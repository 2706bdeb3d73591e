#!/bin/sh
# What the entry point of PostgreSQL's image does, with the capabilities that the compose file gives:
# a new volume is filled by a server that listens on its socket alone.
set -eu
export PGDATA=/var/lib/postgresql/18/docker POSTGRES_USER=postgres
mkdir -p "$PGDATA" /var/run/postgresql
chmod 700 "$PGDATA"
chmod 3775 /var/run/postgresql
chown -R nobody "$PGDATA" /var/run/postgresql
as_server() { setpriv --reuid nobody --regid nogroup --clear-groups "$@"; }
if ! test -s "$PGDATA/PG_VERSION"; then
    as_server sh -c 'initdb --username postgres --pwfile "$1" --auth-host scram-sha-256 \
        --auth-local trust --encoding UTF8 --locale C.UTF-8 >/dev/null' - "$POSTGRES_PASSWORD_FILE"
    echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
    as_server pg_ctl --wait --silent --log /dev/null \
        --options "-c listen_addresses= -c unix_socket_directories=/var/run/postgresql" start
    export PGHOST=/var/run/postgresql
    for script in /docker-entrypoint-initdb.d/*.sh; do
        as_server "$script"
    done
    as_server pg_ctl --wait --silent --mode fast stop
fi
exec setpriv --reuid nobody --regid nogroup --clear-groups \
    postgres -c listen_addresses='*' -c unix_socket_directories=/var/run/postgresql
