"""Tickets, descriptors, criteria, actions and envelopes, sent to a running Flight service.

The log and both planes hold events of two tenants. Texts of the second hold a word that no token of
the first may get, by whatever call.
"""

import asyncio
import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st
from pyarrow import flight
from pydantic import SecretStr

from flight_service.addresses import Address
from flight_service.registry import registry
from flight_service.server import FlightServer
from flight_service.sql.commands import expected, pack
from flight_service.sql.protocol import FlightSql_pb2 as protocol
from fraiseql_assets.analytics.plane import AnalyticsPlane
from fraiseql_assets.events.arrow_shape import PRODUCER_SCHEMA
from fraiseql_assets.events.encode import arrow_messages
from fraiseql_assets.operational.plane import OperationalPlane
from fraiseql_assets.request_log.publisher import Unrecorded
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.connection import connect
from fraiseql_assets.stream.publish import publish
from local_stack import servers
from tests.conftest import running
from tests.end_to_end import graphql_shop as shop
from tests.flights import events_of, fill, set_up
from tests.fuzz.servers import check_message, database
from tests.fuzz.target import Check, Target
from tests.fuzz.ticket_examples import ACTIONS, BYTES, ENVELOPES, PREPARED
from tests.tokens import signed

SECRET = "a secret that is long enough for HS256"
TIMEOUT = 60.0
ENDLESS_TIMEOUT = 0.5
"""How long a stream is read that ends only when its client cancels it."""
MOST_BATCHES = 20
DAY = date(2026, 1, 1)
ROWS = 40
FOREIGN = "seen-by-t2-only"
"""A word that every text of the second tenant's events holds."""
FOREIGN_COLUMNS = {
    "data": json.dumps({"note": FOREIGN}),
    **dict.fromkeys(("entity_id", "user_id"), FOREIGN),
}

CALLS = st.one_of(
    st.tuples(st.sampled_from(["info", "schema", "get", "get", "path", "criteria"]), BYTES),
    ACTIONS,
    st.tuples(st.just("exchange"), ENVELOPES),
)
CLAIMS = st.sampled_from(
    [
        *({}, {"scope": "sql"}, {"scope": "admin materialize"}, {"roles": ["admin"]}, None),
        {"tenant_id": "t1"},
        {"tenant_id": "t1", "scope": "sql"},
        {"tenant_id": "t1", "scope": "sql admin materialize metrics", "roles": ["admin"]},
    ]
)


def events_of_two_tenants() -> pa.Table:
    """Events of `t1` and `t2`, those of the latter with the word in their texts."""
    made = events_of(DAY, ROWS, first=1)
    rows = made.to_pylist()
    for number, row in enumerate(rows):
        row["tenant_id"] = "t1"
        if number % 2:
            row |= {"tenant_id": "t2", **FOREIGN_COLUMNS}
    return pa.Table.from_pylist(rows, made.schema)


@contextmanager
def service() -> Iterator[FlightServer]:
    """A Flight service over PostgreSQL, ClickHouse, Elasticsearch and NATS, which lets its clients
    send SQL."""
    with ExitStack() as stack:
        url = stack.enter_context(database())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        shop.create(url)
        settings = Settings(
            database_url=SecretStr(url),
            nats_url=SecretStr(stack.enter_context(running(servers.nats))),
            clickhouse_url=SecretStr(stack.enter_context(running(servers.clickhouse))),
            elasticsearch_url=SecretStr(stack.enter_context(running(servers.elasticsearch))),
            # Nothing listens there: no run is started on a Dagster of the developer's.
            dagster_url="http://127.0.0.1:9",
            schema_path=shop.write_schema(folder),
            jwt_secret=SecretStr(SECRET),
            raw_sql=True,
            writable=["events"],
            graphql_timeout_seconds=20,
        )
        planes = AnalyticsPlane(settings), OperationalPlane(settings)
        set_up(settings, *planes)
        events = events_of_two_tenants()
        for plane in planes:
            fill(plane, settings, DAY, events)
            plane.close()
        asyncio.run(_publish(settings, events))
        address = Address.parse("grpc://127.0.0.1:0", "", "grpc")
        server = FlightServer(address, settings, registry(settings, Unrecorded()))
        try:
            yield server
        finally:
            server.stop(5)


async def _publish(settings: Settings, events: pa.Table) -> None:
    [batch] = (
        events.select(PRODUCER_SCHEMA.names).cast(PRODUCER_SCHEMA).combine_chunks().to_batches()
    )
    async with connect(settings, name="fuzz") as client:
        subject = f"{settings.subject_prefix}.Batch.ARROW"
        await publish(client, arrow_messages(batch, subject, max_payload=client.max_payload))


def answers(
    client: flight.FlightClient, kind: str, data: bytes, options: flight.FlightCallOptions
) -> Iterator[bytes]:
    """Makes a call, and yields the beginning of its result as bytes."""
    if kind in ("info", "path"):
        if kind == "info":
            described = flight.FlightDescriptor.for_command(data)
        else:
            # protobuf logs each path that is not UTF-8.
            described = flight.FlightDescriptor.for_path(data.decode(errors="replace"))
        info = client.get_flight_info(described, options)
        # What a descriptor holds comes back with it.
        yield info.app_metadata + info.schema.serialize().to_pybytes()
        for endpoint in info.endpoints[:2]:
            yield from _rows(client.do_get(endpoint.ticket, options))
    elif kind == "schema":
        described = flight.FlightDescriptor.for_command(data)
        yield client.get_schema(described, options).schema.serialize().to_pybytes()
    elif kind == "criteria":
        for listed in client.list_flights(data, options):
            yield listed.app_metadata
    elif kind == "get":
        yield from _rows(client.do_get(flight.Ticket(data), options))
    elif kind == "exchange":
        yield from _exchanged(client, data, options)
    else:
        for result in client.do_action(flight.Action(kind, data), options):
            yield result.body.to_pybytes()


def _rows(reader: flight.FlightStreamReader) -> Iterator[bytes]:
    for _ in range(MOST_BATCHES):
        try:
            chunk = reader.read_chunk()
        except StopIteration:
            return
        if chunk.data is not None:
            yield chunk.data.serialize().to_pybytes()
    reader.cancel()


def _exchanged(
    client: flight.FlightClient, data: bytes, options: flight.FlightCallOptions
) -> Iterator[bytes]:
    descriptor = flight.FlightDescriptor.for_path("exchange")
    writer, reader = client.do_exchange(descriptor, options)
    with writer:
        writer.write_metadata(data)
        writer.done_writing()
        while True:
            try:
                chunk = reader.read_chunk()
            except StopIteration:
                return
            told = b"" if chunk.app_metadata is None else chunk.app_metadata.to_pybytes()
            if b'"Err"' in told:
                check_message(Exception(told.decode()))
            yield told
            if chunk.data is not None:
                yield chunk.data.serialize().to_pybytes()


def is_endless(kind: str, data: bytes) -> bool:
    """Whether the call may be one that ends only when its client cancels it."""
    return (kind in ("get", "info", "path") and b"Tail" in data) or b"Subscribe" in data


def prepared(client: flight.FlightClient, options: flight.FlightCallOptions) -> bytes:
    """The handle of a statement with a parameter."""
    request = protocol.ActionCreatePreparedStatementRequest(
        query="SELECT entity_id, data FROM fraiseql_events WHERE entity_type <> ?"
    )
    action = flight.Action("CreatePreparedStatement", pack(request))
    [answer] = client.do_action(action, options)
    result = expected(answer.body.to_pybytes(), protocol.ActionCreatePreparedStatementResult)
    return result.prepared_statement_handle


def calling(claims: dict[str, Any] | None, seconds: float) -> flight.FlightCallOptions:
    """The options of a call with a token of these claims, or without one."""
    headers = []
    if claims is not None:
        token = signed(SECRET, sub="ann", **claims)
        headers = [(b"authorization", f"Bearer {token}".encode())]
    return flight.FlightCallOptions(timeout=seconds, headers=headers)


Example = tuple[tuple[str, bytes], dict[str, Any] | None]


@contextmanager
def _tickets() -> Iterator[Check]:
    with service() as server, flight.connect(str(server.address)) as client:

        def check(example: Example) -> None:
            (kind, data), claims = example
            seconds = ENDLESS_TIMEOUT if is_endless(kind, data) else TIMEOUT
            options = calling(claims, seconds)
            if PREPARED in data and claims and "sql" in claims.get("scope", ""):
                data = data.replace(PREPARED, prepared(client, calling(claims, TIMEOUT)))
            seen: list[bytes] = []
            failure: BaseException | None = None
            try:
                seen.extend(answers(client, kind, data, options))
            except AssertionError:
                raise
            except (Exception, KeyboardInterrupt) as error:
                # pyarrow raises KeyboardInterrupt for CANCELLED, and OSError for some statuses.
                failure = error
            if failure is not None and not (
                seconds < TIMEOUT and isinstance(failure, flight.FlightTimedOutError)
            ):
                check_message(failure)
            if claims is None:
                assert "authorization" in str(failure), failure
            if claims is not None and claims.get("tenant_id") == "t1":
                told = b"".join([*seen, str(failure).encode(errors="replace")])
                assert FOREIGN.encode() not in told, "it returns another tenant's rows"

        yield check


TICKETS = Target(st.tuples(CALLS, CLAIMS), _tickets)
