"""Access over Flight SQL: scopes, tenants, roles, claims, and other principals' handles."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import adbc_driver_flightsql.dbapi as flightsql
import adbc_driver_manager
import graphql_shop as shop
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from flights import Service
from graphql_shop import field, rows
from pyarrow import flight
from sql_service import ROWS, SECRET, adbc, sql_service, token

from flight_service.sql.commands import expected, pack
from flight_service.sql.protocol import FlightSql_pb2 as protocol

Filled = tuple[Service, pa.Table]
AUTHORS = f"{shop.SCHEMA}.v_author"
AGGREGATES = ("fraiseql_events_hourly", "fraiseql_org_daily", "fraiseql_event_type_stats")
STATUS = adbc_driver_manager.AdbcStatusCode


def compiled() -> dict[str, Any]:
    """The shop's schema with authors of one tenant each, and protected fields and types."""
    made = deepcopy(shop.COMPILED)
    author = made["types"][0]
    author["fields"] = [
        field("id", "ID", nullable=False),
        field("name", "String", nullable=False),
        field("balance", "Decimal", requires_role="auditor"),
        field("age", "Int", requires_scope="read:Author.age", on_deny="mask"),
        field("followers", "Int", requires_scope="read:Author.followers"),
    ]
    made["security"] = {
        "role_definitions": [{"name": "analyst", "scopes": ["read:Author.*"]}],
    }
    tenant = {"tenant_id": {"source": "jwt", "claim": "tenant_id"}}
    made["queries"] = [
        rows("authors", "Author", "v_author", inject_params=tenant),
        rows("posts", "Post", "v_post"),
        rows("secrets", "Secret", "tv_pet"),
    ]
    return made


@pytest.fixture(scope="module")
def filled(
    clickhouse_url: str, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Filled]:
    shop.create(database_url)
    folder = tmp_path_factory.mktemp("schema")
    path = shop.write_schema(folder, compiled())
    with sql_service(
        clickhouse_url, database_url, folder, schema_path=path, jwt_secret=SECRET
    ) as found:
        yield found


def connected(filled: Filled, **claims: Any) -> flightsql.Connection:
    """A connection of somebody with the scope for SQL, and these claims."""
    return adbc(filled[0], token(**{"scope": "sql", **claims}))


def column(connection: flightsql.Connection, sql: str, parameters: Any = None) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetch_arrow_table().column(0).to_pylist()


def test_without_a_token_or_the_scope_everything_is_refused(filled: Filled) -> None:
    bare = token(scope="admin")
    for given, status in ((None, STATUS.UNAUTHENTICATED), (bare, STATUS.UNAUTHORIZED)):
        with adbc(filled[0], given) as connection:
            for ask in (
                lambda connection: column(connection, "SELECT 1"),
                lambda connection: connection.adbc_get_objects(depth="catalogs").read_all(),
                lambda connection: connection.adbc_get_table_types(),
                lambda connection: connection.adbc_get_table_schema("fraiseql_events"),
            ):
                with pytest.raises(adbc_driver_manager.Error) as caught:
                    ask(connection)
                assert caught.value.status_code == status


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT DISTINCT tenant_id FROM fraiseql_events",
        "SELECT DISTINCT tenant_id FROM fraiseql_events WHERE tenant_id = 'globex' OR 1 = 1",
        "SELECT DISTINCT tenant_id FROM (SELECT * FROM analytics.public.fraiseql_events) AS x",
        "WITH fraiseql_org_daily AS (SELECT * FROM fraiseql_events)"
        " SELECT DISTINCT tenant_id FROM fraiseql_org_daily",
        "SELECT DISTINCT b.tenant_id FROM fraiseql_events AS a, fraiseql_events AS b"
        " WHERE a.stream_seq < 10 AND b.stream_seq < 100",
        "SELECT tenant_id FROM fraiseql_org_daily UNION DISTINCT"
        " SELECT tenant_id FROM fraiseql_events",
    ],
)
def test_a_tenant_reads_only_its_own_events_in_any_statement(filled: Filled, sql: str) -> None:
    with connected(filled, tenant_id="acme") as connection:
        assert column(connection, sql) == ["acme"]


def test_aggregates_count_the_tenants_own_events(filled: Filled) -> None:
    events = filled[1]
    own = pc.sum(pc.equal(events["tenant_id"], "acme")).as_py()  # pyright: ignore
    assert 0 < own < ROWS
    with connected(filled, tenant_id="acme") as connection:
        for name in AGGREGATES:
            assert column(connection, f"SELECT sum(event_count) FROM {name}") == [own]
            with connection.cursor() as cursor:
                cursor.execute(f"SELECT * FROM {name}")
                assert cursor.fetch_arrow_table().schema.equals(
                    cursor.adbc_execute_schema(f"SELECT * FROM {name}")
                )
    with connected(filled, tenant_id="nobody") as connection:
        assert column(connection, "SELECT count(*) FROM fraiseql_events") == [0]


def test_aggregates_of_all_tenants_and_of_one_have_the_same_columns(filled: Filled) -> None:
    for name in AGGREGATES:
        found = []
        for claims in ({}, {"tenant_id": "acme"}):
            with connected(filled, **claims) as connection, connection.cursor() as cursor:
                found.append(cursor.adbc_execute_schema(f"SELECT * FROM {name}"))
        assert found[0].equals(found[1]), name


def test_a_scope_allows_the_rows_of_all_tenants(filled: Filled) -> None:
    with connected(filled, tenant_id="acme", scope="sql all_tenants") as connection:
        assert column(connection, "SELECT count(*) FROM fraiseql_events") == [ROWS]


def test_claims_restrict_the_rows_of_a_relation(filled: Filled) -> None:
    with connected(filled, tenant_id="tenant1") as connection:
        assert column(connection, f"SELECT count(*) FROM {AUTHORS}") == [20]
        assert column(connection, f"SELECT count(*) FROM {AUTHORS} WHERE name = ?", ("x",)) == [0]
        twice = f"SELECT count(*) FROM {AUTHORS} AS a JOIN {AUTHORS} AS b ON a.id = b.id"
        assert column(connection, twice) == [20]
    with (
        connected(filled) as connection,
        pytest.raises(adbc_driver_manager.Error, match="no relation"),
    ):
        column(connection, f"SELECT * FROM {AUTHORS}")


def listed_columns(connection: flightsql.Connection, table: str) -> list[str]:
    found = connection.adbc_get_objects(depth="columns", table_name_filter=table).read_all()
    return [
        column["column_name"]
        for catalogue in found.to_pylist()
        for schema in catalogue["catalog_db_schemas"]
        for one in schema["db_schema_tables"]
        for column in one["table_columns"]
    ]


def test_protected_columns_are_neither_listed_nor_read(filled: Filled) -> None:
    with connected(filled, tenant_id="tenant1") as connection:
        assert listed_columns(connection, "v_author") == ["id", "name", "age"]
        assert set(column(connection, f"SELECT age FROM {AUTHORS}")) == {None}
        for name in ("balance", "followers"):
            with pytest.raises(adbc_driver_manager.Error, match=name):
                column(connection, f"SELECT {name} FROM {AUTHORS}")
    roles = ["auditor", "analyst"]
    with connected(filled, tenant_id="tenant1", roles=roles) as connection:
        told = ["id", "name", "balance", "age", "followers"]
        assert listed_columns(connection, "v_author") == told
        assert any(column(connection, f"SELECT age FROM {AUTHORS}"))
        assert all(column(connection, f"SELECT followers FROM {AUTHORS}"))


def test_protected_types_are_neither_listed_nor_read(filled: Filled) -> None:
    sql = f"SELECT count(*) FROM {shop.SCHEMA}.tv_pet"
    with connected(filled) as connection:
        assert listed_columns(connection, "tv_pet") == []
        with pytest.raises(adbc_driver_manager.Error, match="no relation"):
            column(connection, sql)
    with connected(filled, roles=["admin"]) as connection:
        assert column(connection, sql) == [10]


def options(given: str) -> flight.FlightCallOptions:
    return flight.FlightCallOptions(headers=[(b"authorization", f"Bearer {given}".encode())])


def test_a_ticket_belongs_to_its_principal(filled: Filled) -> None:
    one = options(token(scope="sql", tenant_id="acme"))
    other = options(token(scope="sql", tenant_id="globex"))
    command = pack(protocol.CommandStatementQuery(query="SELECT tenant_id FROM fraiseql_events"))
    client = filled[0].client
    info = client.get_flight_info(flight.FlightDescriptor.for_command(command), one)
    ticket = info.endpoints[0].ticket
    with pytest.raises(pa.ArrowInvalid, match="not of this principal"):
        client.do_get(ticket, other).read_all()
    altered = flight.Ticket(ticket.ticket[:-1] + bytes([ticket.ticket[-1] ^ 1]))
    with pytest.raises(pa.ArrowInvalid):
        client.do_get(altered, one).read_all()
    assert set(client.do_get(ticket, one).read_all()["tenant_id"].to_pylist()) == {"acme"}
    # It is read again as it was described, though it is remembered no more.
    assert client.do_get(ticket, one).read_all().schema.equals(info.schema)


def test_a_prepared_statement_belongs_to_its_principal(filled: Filled) -> None:
    one = options(token(scope="sql", tenant_id="acme"))
    other = options(token(scope="sql", tenant_id="globex"))
    client = filled[0].client
    request = protocol.ActionCreatePreparedStatementRequest(query="SELECT 1")
    action = flight.Action("CreatePreparedStatement", pack(request))
    [result] = client.do_action(action, one)
    made = expected(result.body.to_pybytes(), protocol.ActionCreatePreparedStatementResult)
    name = made.prepared_statement_handle
    command = pack(protocol.CommandPreparedStatementQuery(prepared_statement_handle=name))
    descriptor = flight.FlightDescriptor.for_command(command)
    close = pack(protocol.ActionClosePreparedStatementRequest(prepared_statement_handle=name))
    with pytest.raises(pa.ArrowInvalid, match="Prepare it again"):
        client.get_flight_info(descriptor, other)
    with pytest.raises(pa.ArrowInvalid, match="Prepare it again"):
        list(client.do_action(flight.Action("ClosePreparedStatement", close), other))
    assert client.get_flight_info(descriptor, one).schema.names == ["1"]
    list(client.do_action(flight.Action("ClosePreparedStatement", close), one))
    with pytest.raises(pa.ArrowInvalid, match="Prepare it again"):
        client.get_flight_info(descriptor, one)
