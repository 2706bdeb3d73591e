"""Views, batches, exports and `/query` over real engines: rows, types, and who sees what.

All tests share one service over three servers, so the file is longer than others.
"""

import io
import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import adbc_driver_postgresql.dbapi as postgresql
import graphql_shop as shop
import polars
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import requests
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


def test_a_view_has_the_rows_and_columns_of_its_type(service: Service) -> None:
    found = view(service)
    assert found.num_rows == 20
    assert "joined_at" in found.column_names
    assert not {"balance", "tenant_id"} & set(found.column_names)
    assert found.schema.field("joined_at").type == pa.timestamp("us", "UTC")
    assert not found.schema.field("id").nullable


@pytest.mark.parametrize("name", ["v_author", "ta_author", "tv_author", "graphql_tests.va_author"])
def test_every_relation_of_a_type_returns_its_rows(service: Service, name: str) -> None:
    assert view(service, name).num_rows == 20


def test_a_filtered_view_has_the_same_schema(service: Service) -> None:
    whole, part = view(service), view(service, filter="age > 10", order_by="joined_at DESC")
    assert part.schema.equals(whole.schema, check_metadata=True)
    expected = whole.filter(pc.field("age") > 10).sort_by([("joined_at", "descending")])
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
def test_a_filter_can_compare_every_type(service: Service, filter: str, count: int) -> None:
    assert view(service, filter=filter, columns=["id"]).num_rows == count


def test_the_documented_ticket_is_accepted(service: Service) -> None:
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


def test_a_filter_does_not_bypass_roles_and_tenants(service: Service) -> None:
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


def test_a_configured_view_is_filtered_by_tenant(service: Service) -> None:
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
def test_other_relations_are_not_found(service: Service, name: str) -> None:
    with pytest.raises(pa.ArrowKeyError, match="There is no view"):
        view(service, name)


def test_a_filter_needs_the_sql_scope_and_a_whole_view_does_not(service: Service) -> None:
    bare = {"scope": "admin"}
    assert view(service, claims=bare).num_rows == 20
    for fields in ({"filter": "age > 1"}, {"name": "ta_visit"}):
        with pytest.raises(flight.FlightUnauthorizedError, match="scope 'sql'"):
            view(service, **fields, claims=bare)
    with pytest.raises(flight.FlightUnauthorizedError, match="scope 'sql'"):
        read(service, {"type": "BatchedQueries", "queries": ["SELECT 1"]}, **bare)


def test_a_view_is_not_found_without_its_claim(service: Service) -> None:
    with pytest.raises(pa.ArrowKeyError, match="There is no view"):
        view(service, claims={"tenant_id": None})


def test_statements_of_one_schema_are_one_stream(service: Service) -> None:
    queries = [f"SELECT name, age FROM graphql_tests.v_author WHERE age {op} 20" for op in "<>"]
    found = read(service, {"type": "BatchedQueries", "queries": queries})
    parts = [read(service, {"type": "BatchedQueries", "queries": [one]}) for one in queries]
    assert found.equals(pa.concat_tables(parts))


def test_statements_of_several_engines_have_an_endpoint_each(service: Service) -> None:
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
def test_statements_of_a_batch_follow_the_grammar_of_flight_sql(
    service: Service, query: str, said: str
) -> None:
    with pytest.raises(pa.ArrowInvalid, match=said):
        read(service, {"type": "BatchedQueries", "queries": ["SELECT 1", query]})


def test_a_batch_has_only_rows_of_the_tenant(service: Service) -> None:
    found = read(
        service,
        {
            "type": "BatchedQueries",
            "queries": ["SELECT DISTINCT tenant_id FROM fraiseql_events WHERE 1 = 1 OR 2 = 2"],
        },
        tenant_id="acme",
    )
    assert found["tenant_id"].to_pylist() == ["acme"]


def file_of(table: pa.Table) -> bytes:
    """The bytes of an export's chunks."""
    assert table.column_names == ["chunk"]
    return b"".join(table["chunk"].to_pylist())


def export(service: Service, table: str, **fields: Any) -> bytes:
    claims = fields.pop("claims", {})
    return file_of(read(service, {"type": "BulkExport", "table": table, **fields}, **claims))


ROLE = {"roles": ["auditor"]}
EVERY = {**ROLE, "scope": "sql all_tenants"}
SOURCES = ["va_author", "authors", "ta_visit", "analytics/events", "fraiseql_org_daily"]


@pytest.mark.parametrize("table", SOURCES)
def test_a_parquet_file_has_the_rows_of_its_source(service: Service, table: str) -> None:
    rows = read(service, {"type": "BulkExport", "table": table, "format": "arrow"}, **EVERY)
    found = pq.read_table(io.BytesIO(export(service, table, claims=EVERY)))
    assert rows.num_rows > 5
    assert found.to_pylist() == rows.to_pylist()
    assert found.schema.names == rows.schema.names


@pytest.mark.parametrize("table", SOURCES)
@pytest.mark.parametrize("format", ["json", "ndjson"])
def test_json_lines_have_the_rows_of_their_source(
    service: Service, table: str, format: str
) -> None:
    rows = read(service, {"type": "BulkExport", "table": table, "format": "arrow"}, **EVERY)
    lines = export(service, table, format=format, claims=EVERY).decode().splitlines()
    assert [list(json.loads(line)) for line in lines] == [rows.column_names] * rows.num_rows
    assert polars.read_ndjson("\n".join(lines).encode()).height == rows.num_rows


def test_a_csv_file_is_read_by_polars(service: Service) -> None:
    rows = read(service, {"type": "BulkExport", "table": "ta_visit", "format": "arrow"})
    found = polars.read_csv(export(service, "ta_visit", format="csv"))
    assert found["page"].to_list() == rows["page"].to_pylist()
    assert found["spent"].to_list() == [float(one) for one in rows["spent"].to_pylist()]


def test_an_export_is_limited_and_filtered(service: Service) -> None:
    arrow = {"type": "BulkExport", "format": "arrow"}
    events = {**arrow, "table": "analytics/events", "limit": 7}
    every = {"scope": "sql all_tenants"}
    assert read(service, events, **every).num_rows == 7
    orders = {**events, "filter": "entity_type = 'Order' AND stream_seq < 1000", "limit": None}
    found = read(service, orders, **every)
    assert set(found["entity_type"].to_pylist()) == {"Order"}
    assert found.schema.equals(read(service, events, **every).schema)
    own = read(service, {**arrow, "table": "va_author", "filter": "age > 10", "limit": 3})
    assert own.num_rows == 3
    assert set(read(service, orders, tenant_id="acme")["tenant_id"].to_pylist()) == {"acme"}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"table": "va_author", "format": "xlsx"}, "It is one of parquet, csv"),
        ({"table": "va_author", "filter": "pg_sleep(1) IS NULL"}, "refused"),
        ({"table": "stream/events", "filter": "seq = 1"}, "cannot be filtered"),
        ({"table": "tb_author"}, "There is no"),
        ({"table": "va_author", "columns": ["balance"]}, "There is no column 'balance'"),
    ],
)
def test_an_invalid_export_is_refused_with_the_reason(
    service: Service, fields: dict[str, Any], said: str
) -> None:
    with pytest.raises((pa.ArrowInvalid, pa.ArrowKeyError), match=said):
        read(service, {"type": "BulkExport", **fields})


def get(service: Service, body: str | None = None, **parameters: str) -> requests.Response:
    given = token(scope="sql", tenant_id="tenant1", **ROLE)
    who = {"authorization": f"Bearer {given}"}
    method = "GET" if body is None else "POST"
    url = f"{service.http_url}/query"
    return requests.request(method, url, params=parameters, data=body, headers=who, timeout=60)


def test_the_query_route_reads_every_kind_of_flight(service: Service) -> None:
    authors = get(service, query="authors", format="json").json()
    assert len(authors) == 20
    by_view = get(service, type="OptimizedView", view="va_author", filter="age > 10", columns="id")
    assert {tuple(one) for one in by_view.json()} == {("id",)}
    graphql = get(service, ticket='{"query": "{ authors { id } }"}', format="csv")
    assert graphql.headers["content-type"] == "text/csv; charset=utf-8"
    assert len(graphql.text.splitlines()) == 21
    events = get(service, type="ObserverEvents", entity_type="Order", limit="5", format="ndjson")
    assert len(events.text.splitlines()) <= 5
    batch = json.dumps({"type": "BatchedQueries", "queries": ["SELECT 1 AS n", "SELECT 2 AS n"]})
    assert [one["n"] for one in get(service, batch).json()] == [1, 2]
    day = get(service, "fraiseql_org_daily", start="2026-01-01", format="arrow")
    assert pa.ipc.open_stream(day.content).read_all().column_names[0] == "day"
    parquet = get(service, json.dumps({"type": "BulkExport", "table": "va_author"}))
    assert pq.read_table(io.BytesIO(parquet.content)).num_rows == 20


def test_the_query_route_reports_errors_and_ignored_fields(service: Service) -> None:
    assert get(service, type="OptimizedView", view="tb_author").status_code == 404
    assert get(service, type="OptimizedView", view="va_author", limit="many").status_code == 400
    assert get(service, query="authors", format="xml").status_code == 400
    assert get(service, "[").status_code == 400
    assert get(service, type="Tail", format="parquet").status_code == 400
    assert requests.get(f"{service.http_url}/query", timeout=60).status_code == 401
    assert requests.put(f"{service.http_url}/query", timeout=60).status_code == 401
    ignored = get(service, query="authors", colour="red")
    assert "has no field 'colour'" in json.loads(ignored.headers["x-fraiseql-warnings"])[0]


def test_warnings_are_in_the_metadata_of_a_flight(service: Service) -> None:
    ticket = b'{"type": "OptimizedView", "view": "va_author", "limit": 1e1, "filter": {}, "day": 1}'
    descriptor = flight.FlightDescriptor.for_command(ticket)
    info = service.client.get_flight_info(descriptor, options())
    [warning] = json.loads(info.app_metadata)["warnings"]
    assert warning.startswith("OptimizedView has no field 'day', which is ignored.")
    [endpoint] = info.endpoints
    assert service.client.do_get(endpoint.ticket, options()).read_all().num_rows == 10


def test_a_query_that_depends_on_an_asset_has_an_entity_tag(service: Service) -> None:
    who = {"authorization": f"Bearer {token(scope='sql', sub='ada')}"}
    url = f"{service.http_url}/query?type=ObserverEvents&limit=3"
    first = requests.get(url, headers=who, timeout=60)
    again = requests.get(url, headers={**who, "if-none-match": first.headers["etag"]}, timeout=60)
    assert (again.status_code, again.content) == (304, b"")
