#!/bin/sh
# Roles and users with only what they need, and the password of Kibana's own user. Safe to repeat.
set -eu
url=http://elasticsearch:9200
read_secret() { tr -d '\n' < "/run/secrets/$1"; }

# User and password go through curl's standard input, which no list of processes shows.
call() {
    printf 'user = "elastic:%s"\n' "$(read_secret elastic_password)" |
        curl --silent --show-error --fail --output /dev/null --config - \
            --header "Content-Type: application/json" --request "$1" --data "@$3" "$url/$2"
}

body=$(mktemp)
printf '{"password": "%s"}' "$(read_secret kibana_password)" > "$body"
call POST _security/user/kibana_system/_password "$body"
for service in setup pipeline flight; do
    call PUT "_security/role/fraiseql_$service" "/roles/$service.json"
    printf '{"password": "%s", "roles": ["fraiseql_%s"]}' \
        "$(read_secret "elasticsearch_${service}_password")" "$service" > "$body"
    call PUT "_security/user/fraiseql_$service" "$body"
done
rm "$body"
echo "The roles and users are complete."
