"""Every target by its name. A new way to reach the service gets a line here."""

from tests.fuzz import (
    clickhouse_front,
    flight_calls,
    graphql_roles,
    http_requests,
    sql,
    sql_roles,
    writes,
)
from tests.fuzz.target import Target

TARGETS: dict[str, Target] = {
    "sql-decoder": sql.DECODER,
    "sql-grammar": sql.GRAMMAR,
    "writes": writes.PUTS,
    "exchange": writes.EXCHANGES,
    "tickets": flight_calls.TICKETS,
    "graphql-roles": graphql_roles.DOCUMENTS,
    "sql-roles": sql_roles.STATEMENTS,
    "cursors": graphql_roles.CURSORS,
    "http": http_requests.REQUESTS,
    "clickhouse-front": clickhouse_front.STATEMENTS,
}
