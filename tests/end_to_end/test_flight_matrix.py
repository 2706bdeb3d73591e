"""Access: every kind of flight and action, by every transport, for every kind of principal.

A new kind of ticket or action is one line of `KINDS`.
"""

import asyncio
import json
import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import graphql_shop as shop
import httpx
import pyarrow as pa
import pytest
from flights import events_of, fill, set_up
from google.protobuf.message import Message
from pyarrow import flight
from pydantic import SecretStr
from separate_names import separate_names
from test_graphql_service import ARROW, SECRET, bearing, running
from tokens import signed

from flight_service.registry import registry
from flight_service.sql.commands import pack
from flight_service.sql.protocol import FlightSql_pb2 as protocol
from flight_service.writing.ingest import Ingest, Options
from fraiseql_assets.analytics.plane import AnalyticsPlane
from fraiseql_assets.events.encode import Outgoing
from fraiseql_assets.operational.plane import OperationalPlane
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.connection import connect
from fraiseql_assets.stream.publish import publish

DAY = datetime.now(UTC).date() - timedelta(days=2)
TENANT = "tenant1"
SCOPES = ("sql", "admin", "materialize", "write")
RIGHT = {"sub": "ada", "tenant_id": TENANT, "roles": ["admin"], "scopes": list(SCOPES)}
PRINCIPALS: dict[str, dict[str, Any] | None] = {
    "no token": None,
    "wrong tenant": {**RIGHT, "tenant_id": "nobody"},
    "missing scope": {**RIGHT, "scopes": []},
    "missing role": {**RIGHT, "roles": []},
    "right": RIGHT,
}


@dataclass(frozen=True)
class Kind:
    """A request, and the scope that it requires."""

    name: str
    ticket: dict[str, Any] | Message | None = None
    action: str | None = None
    body: dict[str, Any] | None = None
    """What the action is called with."""
    get: str | None = None
    """The path of the same rows over HTTP."""
    query: str | None = None
    """The GraphQL query, over both transports."""
    scope: bool = False
    """Whether it needs one of the scopes of `RIGHT`."""
    role: bool = False
    """Whether it needs the role of `RIGHT`."""
    writes: bool = False
    """Whether it writes an event of the tenant of `RIGHT`: by DoPut, to what the ticket says, or by
    an upload of DoExchange."""
    has_tenants: bool = False
    """Whether its rows are those of the principal's tenant alone."""
    result: str = "rows"
    """What those get who may have it."""

    @property
    def transports(self) -> list[str]:
        return ["flight", *(["http"] if self.get or self.query else [])]

    def encoded(self) -> bytes:
        if isinstance(self.ticket, Message):
            return pack(self.ticket)
        return json.dumps(self.ticket or {"type": "GraphQLQuery", "query": self.query}).encode()


def asset(key: str) -> Kind:
    ticket = {"type": "Asset", "asset": key}
    return Kind(f"Asset {key}", ticket, get=f"/assets/{key}", has_tenants=True)


def asked(type: str, *, scope: bool = False, has_tenants: bool = False, **fields: Any) -> Kind:
    """A ticket, which `/query` takes too."""
    ticket = {"type": type, **fields}
    get = f"/query?ticket={quote(json.dumps(ticket))}"
    return Kind(type, ticket, get=get, scope=scope, has_tenants=has_tenants)


def metadata(command: Message) -> Kind:
    return Kind(command.DESCRIPTOR.name, command, scope=True)


def dagster_action(name: str, **body: Any) -> Kind:
    """An action on Dagster's runs. Without Dagster, a principal with the scope gets an error."""
    return Kind(name, action=name, body=body, scope=True, result="unavailable")


AUTHORS = {"type": "GraphQLQuery", "query": "{ authors { name } }"}
SELECT = "SELECT event_id FROM fraiseql_events"
STATEMENT = protocol.CommandStatementQuery(query=SELECT)
APPEND = Options(
    if_not_exist=Options.TABLE_NOT_EXIST_OPTION_FAIL, if_exists=Options.TABLE_EXISTS_OPTION_APPEND
)
INGEST = Ingest(table="events", table_definition_options=APPEND)
EXPORT = {"type": "BulkExport", "format": "arrow"}
KINDS = [
    asset("analytics/events"),
    asset("analytics/org_daily"),
    asset("analytics/events_hourly"),
    asset("operational/events"),
    asset("stream/events"),
    asked("ObserverEvents", start_date="2020-01-01", has_tenants=True),
    asked("OptimizedView", view="v_author"),
    asked("BatchedQueries", queries=[SELECT], scope=True, has_tenants=True),
    Kind("BulkExport", {**EXPORT, "table": "analytics/events"}, has_tenants=True),
    Kind("Search", {"type": "Search"}, get="/search", has_tenants=True),
    Kind("GraphQL", query="{ authors { name } }"),
    Kind("GraphQL of a tenant", query="{ myAuthors { name } }", has_tenants=True),
    Kind("GraphQL of a role", query="{ adminAuthors { name } }", role=True),
    Kind("Flight SQL", STATEMENT, scope=True, has_tenants=True),
    metadata(protocol.CommandGetCatalogs()),
    metadata(protocol.CommandGetDbSchemas()),
    metadata(protocol.CommandGetTables()),
    metadata(protocol.CommandGetTableTypes()),
    metadata(protocol.CommandGetSqlInfo()),
    metadata(protocol.CommandGetXdbcTypeInfo()),
    Kind("Tail", {"type": "Tail"}),
    Kind("Upload", {"type": "Upload", "table": "events"}, scope=True, writes=True),
    Kind("bulk ingest", INGEST, scope=True, writes=True),
    Kind("DoExchange", scope=True, writes=True),
    Kind("HealthCheck", action="HealthCheck"),
    Kind("GetSchemaVersions", action="GetSchemaVersions"),
    Kind("RefreshSchemaRegistry", action="RefreshSchemaRegistry", scope=True),
    Kind("ClearCache", action="ClearCache", scope=True),
    Kind("ExplainGraphQLQuery", action="ExplainGraphQLQuery", body=AUTHORS),
    dagster_action("MaterializeAsset", asset="analytics/events", partition=f"{DAY}"),
    dagster_action("BackfillAsset", asset="analytics/events", start=f"{DAY}", end=f"{DAY}"),
    dagster_action("RunStatus", run_id="a"),
]
ELSEWHERE = {
    "GraphQLPart": "an endpoint that only GetFlightInfo gives: test_graphql_endpoints.py",
    "SqlCommand": "what Flight SQL's commands are read as",
}
"""Kinds of tickets that are not in the table, and why."""


@dataclass(frozen=True)
class Service:
    client: flight.FlightClient
    web: httpx.Client


@pytest.fixture(scope="module")
def service(
    nats_url: str,
    clickhouse_url: str,
    elasticsearch_url: str,
    database_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Service]:
    shop.create(database_url)
    schema = shop.write_schema(tmp_path_factory.mktemp("schema"))
    urls = (nats_url, clickhouse_url, elasticsearch_url, database_url)
    with ExitStack() as opened:
        settings = opened.enter_context(separate_names(*urls))
        settings = settings.model_copy(
            update={
                "schema_path": schema,
                "jwt_secret": SecretStr(SECRET),
                "raw_sql": True,
                "writable": ["events"],
                "dagster_url": "http://127.0.0.1:9",
            }
        )
        write(settings)
        for one in running(settings):
            yield Service(one.client, one.web)


def write(settings: Settings) -> None:
    """Events of the right tenant, in both planes and the log."""
    planes = AnalyticsPlane(settings), OperationalPlane(settings)
    set_up(settings, *planes)
    events = events_of(DAY, 20, first=1)
    column = events.schema.get_field_index("tenant_id")
    events = events.set_column(column, events.field(column), pa.array([TENANT] * 20))
    for plane in planes:
        fill(plane, settings, DAY, events)
        plane.close()
    event = {
        "id": secrets.token_hex(8),
        "event_type": "INSERT",
        "entity_type": "Order",
        "entity_id": "1",
        "data": {},
        "tenant_id": TENANT,
        "timestamp": "2026-01-01T00:00:00Z",
    }

    async def send() -> None:
        async with connect(settings, name="test") as client:
            subject = f"{settings.subject_prefix}.Order.INSERT"
            await publish(client, [Outgoing(subject, json.dumps(event).encode(), {})])

    asyncio.run(send())


def expected(kind: Kind, who: str) -> str:
    """What a principal gets: rows, none, or the name of the one right error."""
    if who == "no token":
        return "unauthenticated"
    if who == "wrong tenant" and kind.writes:
        return "permission denied"
    if (who == "missing scope" and kind.scope) or (who == "missing role" and kind.role):
        return "permission denied"
    return "no rows" if who == "wrong tenant" and kind.has_tenants else kind.result


def over_flight(service: Service, kind: Kind, claims: dict[str, Any] | None) -> str:
    options = bearing(**(claims or {}))
    try:
        if kind.writes:
            count = written(service, kind, options)
        elif kind.action:
            action = flight.Action(kind.action, json.dumps(kind.body).encode())
            count = len(list(service.client.do_action(action, options)))
        elif kind.name == "Tail":
            # Its schema comes when it is permitted, and its rows when there are new events.
            reader = service.client.do_get(flight.Ticket(kind.encoded()), options)
            count = len(reader.schema)
            reader.cancel()
        else:
            descriptor = flight.FlightDescriptor.for_command(kind.encoded())
            info = service.client.get_flight_info(descriptor, options)
            count = sum(
                service.client.do_get(one.ticket, options).read_all().num_rows
                for one in info.endpoints
            )
    except flight.FlightUnauthenticatedError:
        return "unauthenticated"
    except flight.FlightUnauthorizedError:
        return "permission denied"
    except flight.FlightUnavailableError:
        return "unavailable"
    return "rows" if count else "no rows"


def written(service: Service, kind: Kind, options: flight.FlightCallOptions) -> int:
    """Writes an event. Returns the number of rows that the service says it has written."""
    batch = pa.RecordBatch.from_pydict(
        {
            **{key: ["x"] for key in ("event_id", "event_type", "entity_type", "entity_id")},
            "timestamp": [datetime.now(UTC)],
            "data": ["{}"],
            "tenant_id": [TENANT],
        }
    )
    if kind.ticket is None:
        return exchanged(service, batch, options)
    descriptor = flight.FlightDescriptor.for_command(kind.encoded())
    writer, reader = service.client.do_put(descriptor, batch.schema, options)
    with writer:
        writer.write_batch(batch)
        writer.done_writing()
        answer = reader.read()
    return 1 if answer else 0


def exchanged(service: Service, batch: pa.RecordBatch, options: flight.FlightCallOptions) -> int:
    """Writes an event by an upload of DoExchange, whose errors are answers."""
    descriptor = flight.FlightDescriptor.for_path("exchange")
    upload = {"correlation_id": "1", "request_type": {"Upload": {"table": "events"}}}
    writer, reader = service.client.do_exchange(descriptor, options)
    with writer:
        writer.begin(batch.schema)
        writer.write_with_metadata(batch, json.dumps({"Request": upload}).encode())
        writer.done_writing()
        answer = json.loads(reader.read_chunk().app_metadata.to_pybytes())
    result = answer["Response"]["result"]
    if "Err" in result:
        assert "the scope 'write'" in result["Err"] or "another tenant" in result["Err"]
        raise flight.FlightUnauthorizedError(result["Err"])
    return len(result["Ok"])


def over_http(service: Service, kind: Kind, claims: dict[str, Any] | None) -> str:
    headers = {"accept": ARROW}
    if claims is not None:
        headers["authorization"] = f"Bearer {signed(SECRET, **claims)}"
    if kind.query:
        answer = service.web.post("/graphql", json={"query": kind.query}, headers=headers)
    else:
        answer = service.web.get(kind.get or "", headers=headers)
    if answer.status_code != 200:
        return {401: "unauthenticated", 403: "permission denied"}.get(
            answer.status_code, answer.text
        )
    count = pa.ipc.open_stream(answer.content).read_all().num_rows
    return "rows" if count else "no rows"


CALLS = {"flight": over_flight, "http": over_http}


@pytest.mark.parametrize("who", PRINCIPALS)
@pytest.mark.parametrize(
    ("kind", "transport"),
    [
        pytest.param(kind, transport, id=f"{kind.name} over {transport}")
        for kind in KINDS
        for transport in kind.transports
    ],
)
def test_a_principal_gets_the_rows_or_the_expected_error(
    service: Service, kind: Kind, transport: str, who: str
) -> None:
    assert CALLS[transport](service, kind, PRINCIPALS[who]) == expected(kind, who)


def test_every_ticket_and_action_of_the_service_is_in_the_table() -> None:
    served = registry(Settings())
    flights = [kind for kind in KINDS if not sql(kind) and not kind.writes]
    tickets = {json.loads(kind.encoded())["type"] for kind in flights}
    assert {kind.__name__ for kind in served.resolvers} == tickets | set(ELSEWHERE)
    actions = {kind.action for kind in KINDS if kind.action}
    assert {action.name for action in served.actions} == actions


def sql(kind: Kind) -> bool:
    return isinstance(kind.ticket, Message)
