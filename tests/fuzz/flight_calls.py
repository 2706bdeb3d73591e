"""Tickets, descriptors, criteria and actions, sent to a running Flight service."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from pyarrow import flight
from pydantic import SecretStr

from flight_service.addresses import Address
from flight_service.registry import registry
from flight_service.server import FlightServer
from fraiseql_assets.analytics.plane import AnalyticsPlane
from fraiseql_assets.request_log.publisher import Unrecorded
from fraiseql_assets.settings import Settings
from local_stack import servers
from tests.conftest import running
from tests.end_to_end import graphql_shop as shop
from tests.end_to_end.flights import set_up
from tests.fuzz.documents import INTS, JSONS, TEXTS, WORDS, documents
from tests.fuzz.graphql_roles import SCHEMA
from tests.fuzz.servers import check_message, database
from tests.fuzz.target import Check, Target
from tests.tokens import signed

SECRET = "a secret that is long enough for HS256"
TIMEOUT = 60.0
MOST_BATCHES = 20

FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "asset": st.sampled_from(
        ["analytics/events", "stream/events", "analytics/org_daily", "operational/events", "x"]
    ),
    "partition": st.sampled_from(["2026-01-01", "0001-01-01", "9999-12-31", "2026-02-30"]),
    "start": st.sampled_from(["2026-01-01", "2026-01-01T00:00:00Z", "2026-01-01x12"]),
    "end": st.sampled_from(["2026-12-31", "1", ""]),
    "columns": st.lists(st.sampled_from(["event_id", "data", "nothing"]), max_size=3),
    "entity_type": TEXTS,
    "start_date": st.sampled_from(["2026-01-01", "2026-01-01T00:00:00+14:00", "1e5"]),
    "end_date": st.none() | st.sampled_from(["2026-12-31", {}]),
    "limit": INTS | st.sampled_from([1e5, 0.5, "10", {}]),
    "query": documents(SCHEMA.graphql, TEXTS)
    | st.sampled_from(["{ authors { id name } }", "analytics/events", "{ pets { id } }"]),
    "variables": st.none() | JSONS,
    "operationName": st.none() | TEXTS,
    "field": TEXTS,
    "endpoints": st.sampled_from([1, 2, "1", None]),
    "text": TEXTS | st.sampled_from(["a AND (", 'entity_type:"Order"', "data.x:1"]),
    "handle": TEXTS,
    "part": INTS,
    "view": TEXTS,
    "table": TEXTS,
    "filter": TEXTS | st.just("created_at > '2026-01-01'"),
    "order_by": TEXTS,
    "queries": st.lists(TEXTS, max_size=2),
}
TYPES = st.sampled_from(
    [
        *("Asset", "ObserverEvents", "Search", "GraphQLQuery", "GraphQLPart", "OptimizedView"),
        *("BulkExport", "BatchedQueries", "Nothing", "asset"),
    ]
)


@st.composite
def tickets(draw: st.DrawFn) -> bytes:
    """A ticket: most often with fields that some type has, and values that may fit."""
    names = draw(st.lists(st.sampled_from(sorted(FIELDS)), max_size=5, unique=True))
    made: dict[str, Any] = {name: draw(FIELDS[name]) for name in names}
    if draw(st.integers(0, 9)):
        made["type"] = draw(TYPES)
    if draw(st.integers(0, 5)) == 0:
        made[draw(TEXTS)] = draw(JSONS)
    data = json.dumps(made).encode()
    if draw(st.integers(0, 5)):
        return data
    at = draw(st.integers(0, len(data)))
    return data[:at] + draw(st.binary(max_size=4)) + data[at + draw(st.integers(0, 4)) :]


BYTES = (
    tickets()
    | st.binary(max_size=200)
    | st.sampled_from(WORDS).map(lambda text: text.encode(errors="replace"))
)
ACTIONS = st.sampled_from(
    [
        *("HealthCheck", "RefreshSchemaRegistry", "GetSchemaVersions", "ClearCache", "Nothing"),
        *(
            "ExplainGraphQLQuery",
            "CreatePreparedStatement",
            "CancelFlightInfo",
            "SetSessionOptions",
        ),
    ]
)
CALLS = st.one_of(
    st.tuples(st.sampled_from(["info", "schema", "get", "path", "criteria"]), BYTES),
    st.tuples(ACTIONS, BYTES),
)
CLAIMS = st.sampled_from(
    [{}, {"scope": "sql"}, {"scope": "admin"}, {"tenant_id": "t1"}, {"roles": ["admin"]}, None]
)


@contextmanager
def service() -> Iterator[FlightServer]:
    """A Flight service over PostgreSQL, ClickHouse and NATS."""
    with ExitStack() as stack:
        url = stack.enter_context(database())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        shop.create(url)
        settings = Settings(
            database_url=SecretStr(url),
            nats_url=SecretStr(stack.enter_context(running(servers.nats))),
            clickhouse_url=SecretStr(stack.enter_context(running(servers.clickhouse))),
            operational_plane=False,
            schema_path=shop.write_schema(folder),
            jwt_secret=SecretStr(SECRET),
            graphql_timeout_seconds=20,
        )
        plane = AnalyticsPlane(settings)
        set_up(settings, plane)
        plane.close()
        address = Address.parse("grpc://127.0.0.1:0", "", "grpc")
        server = FlightServer(address, settings, registry(settings, Unrecorded()))
        try:
            yield server
        finally:
            server.stop(5)


def call(client: flight.FlightClient, kind: str, data: bytes, options: Any) -> None:
    """Makes a call, and reads the beginning of its result."""
    if kind == "info":
        client.get_flight_info(flight.FlightDescriptor.for_command(data), options)
    elif kind == "schema":
        client.get_schema(flight.FlightDescriptor.for_command(data), options)
    elif kind == "path":
        # protobuf logs each path that is not UTF-8.
        path = data.decode(errors="replace")
        client.get_flight_info(flight.FlightDescriptor.for_path(path, b"a"), options)
    elif kind == "criteria":
        list(client.list_flights(data, options))
    elif kind == "get":
        reader = client.do_get(flight.Ticket(data), options)
        for _ in range(MOST_BATCHES):
            try:
                reader.read_chunk()
            except StopIteration:
                return
        reader.cancel()
    else:
        list(client.do_action(flight.Action(kind, data), options))


def failed(client: flight.FlightClient, kind: str, data: bytes, options: Any) -> Any:
    """Makes a call. Returns its error."""
    try:
        call(client, kind, data, options)
    except (Exception, KeyboardInterrupt) as error:
        # pyarrow raises KeyboardInterrupt for CANCELLED, and OSError for some statuses.
        return error
    return None


@contextmanager
def _tickets() -> Iterator[Check]:
    with service() as server, flight.connect(str(server.address)) as client:

        def check(example: tuple[tuple[str, bytes], dict[str, Any] | None]) -> None:
            (kind, data), claims = example
            headers = []
            if claims is not None:
                token = signed(SECRET, sub="ann", **claims)
                headers = [(b"authorization", f"Bearer {token}".encode())]
            options = flight.FlightCallOptions(timeout=TIMEOUT, headers=headers)
            failure = failed(client, kind, data, options)
            if failure is not None:
                check_message(failure)
            if claims is None:
                assert "authorization" in str(failure), failure

        yield check


TICKETS = Target(st.tuples(CALLS, CLAIMS), _tickets)
