"""Traces of calls as a collector receives them: an HTTP server that decodes OTLP's protobuf."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import adbc_driver_flightsql.dbapi as flightsql
import graphql_shop as shop
import httpx
import pyarrow as pa
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from pyarrow import flight
from pydantic import SecretStr

from flight_service.addresses import Address
from flight_service.graphql.postgres.database import Database
from flight_service.graphql.postgres.pool import PoolLimits
from flight_service.http import HttpServer, application
from flight_service.monitoring.calls import Observer
from flight_service.monitoring.exposition import watched
from flight_service.monitoring.readiness import readiness
from flight_service.registry import registry
from flight_service.server import FlightServer
from fraiseql_assets import tracing
from fraiseql_assets.request_log.publisher import Unrecorded
from fraiseql_assets.settings import Settings

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
QUERY = "{ authors(limit: 3) { name } }"
SECONDS = 20


@dataclass
class Collector:
    """The spans that arrived, and what they were sent with."""

    spans: list[Span] = field(default_factory=list)
    services: set[str] = field(default_factory=set)
    arrived: threading.Condition = field(default_factory=threading.Condition)

    def add(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        with self.arrived:
            for of_resource in request.resource_spans:
                self.services |= {
                    one.value.string_value
                    for one in of_resource.resource.attributes
                    if one.key == "service.name"
                }
                for of_scope in of_resource.scope_spans:
                    self.spans += of_scope.spans
            self.arrived.notify_all()

    def of_trace(self, trace: str, *names: str) -> dict[str, Span]:
        """The spans of a trace by name, once those of the names are there."""

        def found() -> dict[str, Span]:
            return {one.name: one for one in self.spans if one.trace_id.hex() == trace}

        with self.arrived:
            assert self.arrived.wait_for(lambda: set(names) <= set(found()), SECONDS), found()
            return found()

    def child(self, trace: str, name: str, parent: str) -> Span:
        """The span of that name within the parent of that name, once both are there.

        A call that plans and a call that reads may each have sent a statement, and their spans
        have one name.
        """

        def found() -> list[Span]:
            spans = [one for one in self.spans if one.trace_id.hex() == trace]
            parents = {one.span_id for one in spans if one.name == parent}
            return [one for one in spans if one.name == name and one.parent_span_id in parents]

        with self.arrived:
            assert self.arrived.wait_for(lambda: bool(found()), SECONDS), self.spans
            return found()[0]


@dataclass(frozen=True)
class Service:
    flight_url: str
    web: httpx.Client
    database_url: str
    collector: Collector


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            collector.add(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        patched.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
        patched.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        assert tracing.is_wanted()
        stop = tracing.start("fraiseql-flight", shows_details=True)
        yield collector
        stop()
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def service(
    collector: Collector,
    database_url: str,
    clickhouse_url: str,
    elasticsearch_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Service]:
    shop.create(database_url)
    folder: Path = tmp_path_factory.mktemp("schema")
    settings = Settings(
        database_url=SecretStr(database_url),
        clickhouse_url=SecretStr(clickhouse_url),
        elasticsearch_url=SecretStr(elasticsearch_url),
        index_prefix="traced",
        schema_path=shop.write_schema(folder),
    )
    served = registry(settings, Unrecorded())
    observer = Observer(logs=False)
    address = Address.parse("grpc://127.0.0.1:0", "", "grpc")
    server = FlightServer(address, settings, served, observer)
    bound = Address.parse("http://127.0.0.1:0", "", "http").listen()
    url = f"http://127.0.0.1:{bound.getsockname()[1]}"
    app = watched(application(served.routes, settings), settings, observer, readiness(settings, {}))
    web = HttpServer(bound, app)
    try:
        with httpx.Client(base_url=url) as client:
            yield Service(str(server.address), client, database_url, collector)
    finally:
        web.stop(5)
        server.stop(5)


def get(service: Service, ticket: dict[str, Any], trace: str) -> pa.Table:
    header = b"traceparent", TRACEPARENT.replace(TRACE, trace).encode()
    options = flight.FlightCallOptions(headers=[header])
    with flight.connect(service.flight_url) as client:
        return client.do_get(flight.Ticket(json.dumps(ticket).encode()), options).read_all()


def attributes(span: Span) -> dict[str, Any]:
    return {
        one.key: getattr(one.value, one.value.WhichOneof("value") or "string_value")
        for one in span.attributes
    }


def test_a_trace_of_a_client_continues_to_the_statement(service: Service) -> None:
    get(service, {"type": "GraphQLQuery", "query": QUERY}, TRACE)
    spans = service.collector.of_trace(TRACE, "flight do_get", "plan GraphQL")
    call = spans["flight do_get"]
    assert call.parent_span_id.hex() == PARENT
    assert (
        attributes(call).items()
        >= {
            "fraiseql.kind": "GraphQLQuery",
            "fraiseql.status": "ok",
            "fraiseql.rows": 3,
        }.items()
    )
    statement = service.collector.child(TRACE, "PostgreSQL", parent="flight do_get")
    assert attributes(statement)["db.system.name"] == "postgresql"
    assert "SELECT" in attributes(statement)["db.query.text"]
    assert service.collector.services == {"fraiseql-flight"}


def test_a_request_over_http_has_the_same_spans(service: Service) -> None:
    trace = TRACE.replace("0af", "1bf")
    headers = {"traceparent": TRACEPARENT.replace(TRACE, trace)}
    answer = service.web.post("/graphql", json={"query": QUERY + " "}, headers=headers)
    assert "errors" not in answer.json()
    spans = service.collector.of_trace(trace, "http POST", "plan GraphQL")
    assert spans["http POST"].parent_span_id.hex() == PARENT
    assert service.collector.child(trace, "PostgreSQL", parent="http POST")


def test_a_statement_of_flight_sql_is_traced_to_clickhouse(service: Service) -> None:
    trace = TRACE.replace("0af", "2cf")
    header = "adbc.flight.sql.rpc.call_header.traceparent"
    options = {header: TRACEPARENT.replace(TRACE, trace)}
    with (
        flightsql.connect(service.flight_url, db_kwargs=options, autocommit=True) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT 1")
        cursor.fetchall()
    assert service.collector.of_trace(trace, "plan SQL")
    assert service.collector.child(trace, "ClickHouse", parent="flight do_get")


def test_a_failed_request_marks_its_spans(service: Service) -> None:
    trace = TRACE.replace("0af", "3df")
    with pytest.raises(pa.ArrowException):
        get(service, {"type": "Search", "query": "refund"}, trace)
    spans = service.collector.of_trace(trace, "flight do_get", "Elasticsearch")
    assert spans["flight do_get"].status.message.startswith("Elasticsearch")
    assert {one.status.code for one in spans.values()} == {2}


def test_transactions_in_postgresql_have_the_trace_id(
    collector: Collector, service: Service
) -> None:
    trace = TRACE.replace("0af", "4ef")
    call = tracing.begin("flight do_get", TRACEPARENT.replace(TRACE, trace))
    limits = PoolLimits(1, 5, setting="")
    database = Database(
        service.database_url, limits=limits, timeout_seconds=5, connect_seconds=5, stall_seconds=5
    )
    asked = "SELECT current_setting('application_name')"
    with tracing.within(call):
        assert database.ask(asked, [])[0][0].as_py() == f"fraiseql-assets {trace}"
    assert trace not in database.ask(asked, [])[0][0].as_py()
    database.close()


def test_requests_of_an_exchange_are_traced_in_their_threads(service: Service) -> None:
    trace = TRACE.replace("0af", "5af")
    header = b"traceparent", TRACEPARENT.replace(TRACE, trace).encode()
    options = flight.FlightCallOptions(headers=[header])
    request = {"correlation_id": "1", "request_type": {"Query": {"query": QUERY + "  "}}}
    with flight.connect(service.flight_url) as client:
        descriptor = flight.FlightDescriptor.for_path("exchange")
        writer, answers = client.do_exchange(descriptor, options)
        with writer:
            writer.write_metadata(json.dumps({"Request": request}).encode())
            writer.done_writing()
            assert sum(one.data.num_rows for one in answers if one.data) == 3
    assert service.collector.of_trace(trace, "plan GraphQL")
    assert service.collector.child(trace, "PostgreSQL", parent="flight do_exchange")
