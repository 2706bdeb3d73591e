#!/bin/sh
# Creates the folder `secrets`: random passwords, and the files of docker-compose.yml that hold them.
# Passwords that exist are kept, and all other files are written anew. Run it before the first start.
set -eu
umask 077
cd "$(dirname "$0")/.."
mkdir -p secrets/passwords
# Nobody else can enter the folder. The files in it are readable, since each is mounted into a
# container whose user is another one.
chmod 700 secrets

password() {
    file="secrets/passwords/$1"
    test -s "$file" || head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n' > "$file"
    cat "$file"
}

digest() {
    password "$1" | sha256sum | cut -d ' ' -f 1
}

write() {
    # An older file is read-only.
    rm -f "secrets/$1"
    cat > "secrets/$1"
    chmod 444 "secrets/$1"
}

for service in setup pipeline flight; do
    echo "nats://$service:$(password "nats_$service")@nats:4222" | write "${service}_nats_url"
    echo "http://$service:$(password "clickhouse_$service")@clickhouse:8123/fraiseql" |
        write "${service}_clickhouse_url"
    echo "http://fraiseql_$service:$(password "elasticsearch_$service")@elasticsearch:9200" |
        write "${service}_elasticsearch_url"
done
echo "postgresql://fraiseql_flight:$(password postgres_flight)@postgres:5432/fraiseql" |
    write flight_database_url
echo "postgresql://dagster:$(password postgres_dagster)@postgres:5432/dagster" |
    write dagster_postgres_url
password jwt | write jwt_secret
password dagster | write dagster_password

for name in postgres postgres_fraiseql postgres_flight postgres_dagster elastic kibana \
    elasticsearch_setup elasticsearch_pipeline elasticsearch_flight
do
    password "$name" | write "${name}_password"
done

write nats_passwords.conf <<END
SETUP_PASSWORD: "$(password nats_setup)"
PIPELINE_PASSWORD: "$(password nats_pipeline)"
FLIGHT_PASSWORD: "$(password nats_flight)"
APPLICATION_PASSWORD: "$(password nats_application)"
END

write clickhouse_passwords.xml <<END
<clickhouse>
    <users>
        <setup><password_sha256_hex>$(digest clickhouse_setup)</password_sha256_hex></setup>
        <pipeline><password_sha256_hex>$(digest clickhouse_pipeline)</password_sha256_hex></pipeline>
        <flight><password_sha256_hex>$(digest clickhouse_flight)</password_sha256_hex></flight>
    </users>
</clickhouse>
END

write kibana.yml <<END
server.host: 0.0.0.0
elasticsearch.hosts: ["http://elasticsearch:9200"]
elasticsearch.username: kibana_system
elasticsearch.password: "$(password kibana)"
xpack.encryptedSavedObjects.encryptionKey: "$(password kibana_encryption)"
telemetry.optIn: false
END

echo "The folder secrets is complete. The application publishes to NATS as the user application;"
echo "its password is in secrets/passwords/nats_application."
