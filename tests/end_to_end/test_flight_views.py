"""OptimizedView and BatchedQueries over real engines: rows, types, and who sees what."""

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import adbc_driver_postgresql.dbapi as postgresql
import graphql_shop as shop
import pyarrow as pa
import pytest
from flights import Service
from graphql_shop import field, rows
from pyarrow import flight
from sql_service import ROWS, SECRET, sql_service, token

VIEWS = """
CREATE TABLE graphql_tests.ta_visit (tenant_id text, page text NOT NULL, at timestamptz, spent numeric(8, 2));
INSERT INTO graphql_tests.ta_visit SELECT 'tenant' || n % 3, 'page ' || n,
    '2026-01-01T00:00:00Z'::timestamptz + n * interval '1 hour', n / 4.0 FROM generate_series(1, 90) AS n;
CREATE VIEW graphql_tests.va_daily AS
    SELECT at::date AS day, count(*) AS visits FROM graphql_tests.ta_visit GROUP BY 1;
CREATE TABLE graphql_tests.ta_hidden (secret text)
"""  # noqa: E501 [statements]


def compiled() -> dict[str, Any]:
    """The shop's schema with authors of one tenant each, and a protected field and type."""
    made = deepcopy(shop.COMPILED)
    author = made["types"][0]
    author["fields"] = [
        *(one for one in author["fields"] if one["name"] not in ("balance", "place")),
        field("balance", "Decimal", requires_role="auditor"),
    ]
    tenant = {"tenant_id": {"source": "jwt", "claim": "tenant_id"}}
    made["queries"] = [
        rows("authors", "Author", "v_author", inject_params=tenant),
        rows("secrets", "Secret", "tv_pet"),
        rows("things", "Thing", "tv_thing"),
    ]
    return made


@pytest.fixture(scope="module")
def service(
    clickhouse_url: str, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    shop.create(database_url)
    with postgresql.connect(database_url, autocommit=True) as one, one.cursor() as run:
        for statement in VIEWS.split(";\n"):
            run.execute(statement)
    folder = tmp_path_factory.mktemp("schema")
    with sql_service(
        clickhouse_url,
        database_url,
        folder,
        schema_path=shop.write_schema(folder, compiled()),
        jwt_secret=SECRET,
        raw_sql=True,
        views=[f"{shop.SCHEMA}.{name}" for name in ("ta_visit", "va_daily", "ta_missing")],
    ) as (found, _):
        yield found


def options(**claims: Any) -> flight.FlightCallOptions:
    given = {"scope": "sql", "tenant_id": "tenant1", **claims}
    header = f"Bearer {token(**given)}".encode()
    return flight.FlightCallOptions(headers=[(b"authorization", header)])


def read(service: Service, ticket: dict[str, Any], **claims: Any) -> pa.Table:
    """The rows of a ticket, whose schema is the one that was announced."""
    data, who = json.dumps(ticket).encode(), options(**claims)
    info = service.client.get_flight_info(flight.FlightDescriptor.for_command(data), who)
    found = service.client.do_get(flight.Ticket(data), who).read_all()
    assert found.schema.equals(info.schema, check_metadata=True)
    return found


def view(service: Service, name: str = "va_author", **fields: Any) -> pa.Table:
    claims = fields.pop("claims", {})
    return read(service, {"type": "OptimizedView", "view": name, **fields}, **claims)


def test_a_whole_view_has_the_rows_and_columns_that_its_type_shows(service: Service) -> None:
    found = view(service)
    assert found.num_rows == 20
    assert "joined_at" in found.column_names
    assert not {"balance", "tenant_id"} & set(found.column_names)
    assert found.schema.field("joined_at").type == pa.timestamp("us", "UTC")
    assert not found.schema.field("id").nullable


@pytest.mark.parametrize("name", ["v_author", "ta_author", "tv_author", "graphql_tests.va_author"])
def test_every_relation_of_a_type_stands_for_its_rows(service: Service, name: str) -> None:
    assert view(service, name).num_rows == 20


def test_a_filtered_view_has_the_same_columns_in_the_same_types(service: Service) -> None:
    whole, part = view(service), view(service, filter="age > 10", order_by="joined_at DESC")
    assert part.schema.equals(whole.schema, check_metadata=True)
    expected = whole.filter(pa.compute.greater(whole["age"], 10)).sort_by(
        [("joined_at", "descending")]
    )
    assert part.equals(expected)


@pytest.mark.parametrize(
    ("filter", "count"),
    [
        ("joined_at > '2026-01-02'", 12),
        ("joined_at BETWEEN '2026-01-01' AND '2026-01-01T12:00:00.999999Z'", 4),
        ("name LIKE '%x%' AND NOT active", 8),
        ("mood = 'CALM' OR mood = 'WILD'", 20),
        ("followers >= 100000000000 AND followers IN (100000000000, 130000000000)", 2),
        ("born < '2000-01-10'", 3),
        ("wakes = '08:00:01'", 1),
        ("score > 10.5", 9),
        ("age IS NULL", 3),
        ("id = '00000000-0000-0000-0000-000000000001'", 1),
        ("name = 'it''s; DROP TABLE tb_author --'", 0),
    ],
)
def test_a_filter_compares_every_type(service: Service, filter: str, count: int) -> None:
    assert view(service, filter=filter, columns=["id"]).num_rows == count


def test_the_published_ticket_is_read(service: Service) -> None:
    found = view(
        service,
        filter="joined_at > '2026-01-01'",
        order_by="joined_at DESC",
        limit=100_000,
        offset=0,
    )
    assert found.num_rows == 20
    page = view(service, order_by="joined_at", limit=5, offset=3, columns=["joined_at", "id"])
    assert page.column_names == ["joined_at", "id"]
    assert page["id"].to_pylist() == view(service, order_by="joined_at")["id"].to_pylist()[3:8]


def test_roles_and_tenants_of_the_type_hold_whatever_the_filter_says(service: Service) -> None:
    for filter in (None, "name IS NOT NULL OR age = 1"):
        other = view(service, filter=filter, claims={"tenant_id": "tenant2"})
        assert other.num_rows == 20
        own = set(view(service, filter=filter)["id"].to_pylist())
        assert not own & set(other["id"].to_pylist())
    with pytest.raises(pa.ArrowInvalid, match="no column 'tenant_id'"):
        view(service, filter="tenant_id = 'tenant2'")
    with pytest.raises(pa.ArrowInvalid, match="no column 'balance'"):
        view(service, order_by="balance")
    shown = view(service, filter="balance > 1", claims={"roles": ["auditor"]})
    assert "balance" in shown.column_names


def test_a_view_of_the_setting_is_read_by_tenant(service: Service) -> None:
    every = {"scope": "sql all_tenants"}
    assert view(service, "ta_visit", claims=every).num_rows == 90
    own = view(service, "ta_visit", filter="tenant_id <> 'nobody' OR spent > 0")
    assert set(own["tenant_id"].to_pylist()) == {"tenant1"}
    assert own.schema.field("spent").type == pa.decimal128(8, 2)
    assert view(service, "va_daily", order_by="day", claims=every)["visits"].to_pylist()[0] == 23
    with pytest.raises(pa.ArrowKeyError, match="no view 'va_daily'"):
        view(service, "va_daily")


@pytest.mark.parametrize(
    "name", ["ta_hidden", "tb_author", "pg_authid", "tv_pet", "nothing", "x.y.z"]
)
def test_other_relations_are_not_there(service: Service, name: str) -> None:
    with pytest.raises(pa.ArrowKeyError, match="There is no view"):
        view(service, name)


def test_sql_needs_its_scope_and_a_whole_view_does_not(service: Service) -> None:
    bare = {"scope": "admin"}
    assert view(service, claims=bare).num_rows == 20
    for fields in ({"filter": "age > 1"}, {"name": "ta_visit"}):
        with pytest.raises(flight.FlightUnauthorizedError, match="scope 'sql'"):
            view(service, **fields, claims=bare)
    with pytest.raises(flight.FlightUnauthorizedError, match="scope 'sql'"):
        read(service, {"type": "BatchedQueries", "queries": ["SELECT 1"]}, **bare)


def test_without_the_claim_that_limits_a_view_it_is_not_there(service: Service) -> None:
    with pytest.raises(pa.ArrowKeyError, match="There is no view"):
        view(service, claims={"tenant_id": None})


def test_statements_of_one_schema_are_one_stream(service: Service) -> None:
    queries = [f"SELECT name, age FROM graphql_tests.v_author WHERE age {op} 20" for op in "<>"]
    found = read(service, {"type": "BatchedQueries", "queries": queries})
    parts = [read(service, {"type": "BatchedQueries", "queries": [one]}) for one in queries]
    assert found.equals(pa.concat_tables(parts))


def test_statements_of_several_engines_are_an_endpoint_each(service: Service) -> None:
    queries = [
        "SELECT count(*) AS n FROM fraiseql_events",
        "SELECT name FROM graphql_tests.v_author",
    ]
    ticket = json.dumps({"type": "BatchedQueries", "queries": queries}).encode()
    who = options(scope="sql all_tenants")
    info = service.client.get_flight_info(flight.FlightDescriptor.for_command(ticket), who)
    counted, authors = (service.client.do_get(end.ticket, who).read_all() for end in info.endpoints)
    assert counted["n"].to_pylist() == [ROWS]
    assert authors.num_rows == 20
    about = [json.loads(end.app_metadata) for end in info.endpoints]
    assert [one["query"] for one in about] == [0, 1]
    with pytest.raises(pa.ArrowInvalid, match="Read the endpoints"):
        service.client.do_get(flight.Ticket(ticket), who)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("DELETE FROM graphql_tests.tb_author", "Query 2: DELETE is refused"),
        ("SELECT * FROM graphql_tests.tb_author", "Query 2: There is no relation"),
        ("SELECT pg_sleep(1)", "Query 2: The function 'pg_sleep' is refused"),
    ],
)
def test_a_batch_is_read_by_the_grammar_of_flight_sql(
    service: Service, query: str, said: str
) -> None:
    with pytest.raises(pa.ArrowInvalid, match=said):
        read(service, {"type": "BatchedQueries", "queries": ["SELECT 1", query]})


def test_a_batch_has_the_tenants_rows(service: Service) -> None:
    found = read(
        service,
        {
            "type": "BatchedQueries",
            "queries": ["SELECT DISTINCT tenant_id FROM fraiseql_events WHERE 1 = 1 OR 2 = 2"],
        },
        tenant_id="acme",
    )
    assert found["tenant_id"].to_pylist() == ["acme"]
