"""Events by DoPut: what reaches the log, exactly once, and what is refused."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import adbc_driver_flightsql.dbapi as flightsql
import grpc
import pyarrow as pa
import pytest
from log_server import settings_for, streams
from pyarrow import flight
from pydantic import SecretStr
from writing_service import SECRET, Service, events, last, stored, token, writing_service

from flight_service.errors import sentence_of
from flight_service.sql.protocol import Flight_pb2 as base
from tests.flight_messages import flight_data

WRITABLE = {"writable": ["events"]}


@pytest.fixture(scope="module")
def service(nats_url: str) -> Iterator[Service]:
    with streams(nats_url) as settings, writing_service(settings, **WRITABLE) as running:
        yield running


@pytest.fixture(scope="module")
def guarded(service: Service) -> Iterator[Service]:
    """The same log behind a service that checks tokens."""
    with writing_service(service.settings, jwt_secret=SecretStr(SECRET)) as running:
        yield running


def test_events_are_published_unchanged_and_each_batch_is_acknowledged(
    service: Service,
) -> None:
    first = last(service.settings) + 1
    sent = events(250, seed=10)
    receipts = service.put("events", sent).receipts
    found = stored(service.settings, first)
    assert found.select(sent[0].schema.names).to_pylist() == pa.Table.from_batches(sent).to_pylist()
    assert [(one["batch"], one["rows"]) for one in receipts[:-1]] == [(0, 100), (1, 100), (2, 50)]
    assert [(one["first_sequence"], one["last_sequence"]) for one in receipts[:-1]] == [
        (first + n, first + n) for n in range(3)
    ]
    assert receipts[-1] == {
        "complete": True, "batches": 3, "rows": 250, "messages": 3, "duplicates": 0,
        "first_sequence": first, "last_sequence": first + 2,
    }  # fmt: skip


def test_a_client_may_wait_for_each_acknowledgement(service: Service) -> None:
    batches = events(30, seed=11, size=10)
    writer, reader = service.client.do_put(
        flight.FlightDescriptor.for_path("events"), batches[0].schema
    )
    with writer:
        for number, batch in enumerate(batches):
            writer.write_batch(batch)
            answer = reader.read()
            assert answer is not None
            assert json.loads(answer.to_pybytes())["batch"] == number


def test_a_client_may_read_no_acknowledgement(service: Service) -> None:
    first = last(service.settings) + 1
    batches = events(1200, seed=12, size=1)
    writer, _ = service.client.do_put(flight.FlightDescriptor.for_path("events"), batches[0].schema)
    for batch in batches:
        writer.write_batch(batch)
    writer.close()
    assert last(service.settings) - first + 1 == 1200


@pytest.mark.parametrize(
    "descriptor",
    [
        flight.FlightDescriptor.for_path('{"type": "Upload", "table": "events"}'),
        flight.FlightDescriptor.for_command(b'{"type": "Upload", "table": "events"}'),
        flight.FlightDescriptor.for_command(b"events"),
        flight.FlightDescriptor.for_command(b'{"query": "events"}'),
    ],
    ids=["path", "command", "name", "short"],
)
def test_every_form_of_descriptor_is_accepted(
    service: Service, descriptor: flight.FlightDescriptor
) -> None:
    assert service.put(descriptor, events(1, seed=13)).total["rows"] == 1


def test_a_resent_stream_is_stored_once(service: Service) -> None:
    batches = events(300, seed=14)
    once = service.put("events", batches).total
    again = service.put("events", batches).total
    assert (once["duplicates"], again["duplicates"]) == (0, 3)
    assert {key: once[key] for key in ("first_sequence", "last_sequence")} == {
        key: again[key] for key in ("first_sequence", "last_sequence")
    }
    assert last(service.settings) == once["last_sequence"]


KILLED = """
import sys, time, pyarrow as pa
from pyarrow import flight
from writing_service import events
client = flight.connect(sys.argv[1])
batches = events(500, seed=15)
writer, reader = client.do_put(flight.FlightDescriptor.for_path("events"), batches[0].schema)
for batch in batches[:3]:
    writer.write_batch(batch)
    reader.read()
print("sent", flush=True)
time.sleep(60)
"""


def test_a_killed_client_that_sends_again_stores_each_event_once(service: Service) -> None:
    first = last(service.settings) + 1
    client = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(service.server.address)],
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert client.stdout
    assert client.stdout.readline() == b"sent\n"
    client.kill()
    client.wait()
    client.stdout.close()
    batches = events(500, seed=15)
    total = service.put("events", batches).total
    assert (total["messages"], total["duplicates"]) == (5, 3)
    ids = stored(service.settings, first)["event_id"].to_pylist()
    assert ids == pa.Table.from_batches(batches)["event_id"].to_pylist()


def test_a_batch_larger_than_a_message_is_split(nats_url: str) -> None:
    with streams(nats_url) as settings, writing_service(settings, **WRITABLE) as small:
        total = small.put("events", events(25_000, seed=16, size=25_000)).total
        assert (total["rows"], total["messages"]) == (25_000, 3)
        assert stored(settings, 1).num_rows == 25_000


def test_columns_are_matched_by_name_and_cast_without_loss(service: Service) -> None:
    first = last(service.settings) + 1
    batch = pa.record_batch(
        {
            "data": pa.array(['{"a": 1}'], pa.large_utf8()),
            "timestamp": pa.array(["2026-01-31T12:00:00Z"]),
            "entity_id": pa.array([7], pa.int32()),
            "entity_type": pa.array(["Order"]).dictionary_encode(),
            "event_type": ["INSERT"],
            "event_id": ["a-1"],
            "colour": ["red"],
        }
    )
    receipts = service.put("events", [batch]).receipts
    [row] = stored(service.settings, first).to_pylist()
    assert (row["entity_id"], row["user_id"]) == ("7", None)
    assert f"{row['timestamp']:%Y-%m-%d %H}" == "2026-01-31 12"
    assert "'colour'" in receipts[0]["warnings"][0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"timestamp": pa.array([1], pa.timestamp("ns", "UTC"))}, "column timestamp"),
        ({"duration_ms": pa.array([1.5])}, "column duration_ms is double and cannot become int64"),
        ({"event_id": pa.array([None], pa.utf8())}, "column event_id holds 1 nulls"),
        ({"data": pa.array([{"a": 1}])}, "It fits as string, JSON text, without nulls"),
        ({"entity_type": None}, "column entity_type is missing"),
    ],
)
def test_a_column_of_a_wrong_type_is_named(
    service: Service, change: dict[str, pa.Array | None], said: str
) -> None:
    [good] = events(1, seed=17)
    before = last(service.settings)
    columns = {name: good[name] for name in good.schema.names} | change
    batch = pa.record_batch(
        {name: column for name, column in columns.items() if column is not None}
    )
    with pytest.raises(pa.ArrowInvalid) as caught:
        service.put("events", [batch])
    assert said in sentence_of(caught.value)
    assert last(service.settings) == before


def test_an_error_names_its_batch_and_the_published_count(service: Service) -> None:
    batches = events(300, seed=18)
    column = batches[2].schema.get_field_index("event_id")
    batches[2] = batches[2].set_column(
        column, batches[2].schema.field(column).with_nullable(False), pa.array([""] * 100)
    )
    with pytest.raises(pa.ArrowInvalid) as caught:
        service.put("events", batches)
    said = sentence_of(caught.value)
    assert said.startswith("Batch 2: The column event_id holds an empty text.")
    assert f"The batches 0 to 1 were published, up to sequence {last(service.settings)}" in said


def test_writing_needs_the_setting(nats_url: str) -> None:
    refused = pytest.raises(pa.ArrowNotImplementedError, match="FRAISEQL_WRITABLE")
    with writing_service(settings_for(nats_url)) as off, refused:
        off.put("events", events(1))


def test_only_listed_targets_can_be_written(service: Service) -> None:
    with pytest.raises(flight.FlightUnauthorizedError, match="does not list"):
        service.put("tb_order", events(1))


def test_writing_needs_the_scope(guarded: Service) -> None:
    with pytest.raises(flight.FlightUnauthorizedError, match="'write'"):
        guarded.put("events", events(1), token("read"))


def test_events_without_a_tenant_get_the_tenant_of_the_token(guarded: Service) -> None:
    first = last(guarded.settings) + 1
    [batch] = events(10, seed=19)
    guarded.put("events", [batch.drop_columns(["tenant_id"])], token("write", tenant_id="acme"))
    assert stored(guarded.settings, first)["tenant_id"].to_pylist() == ["acme"] * 10


def test_an_event_of_another_tenant_is_refused(guarded: Service) -> None:
    [batch] = events(10, seed=20)
    tenants = batch["tenant_id"].to_pylist()
    row = next(n for n, tenant in enumerate(tenants) if tenant not in ("acme", None))
    with pytest.raises(flight.FlightUnauthorizedError, match=f"Row {row} is of another tenant"):
        guarded.put("events", [batch], token("write", tenant_id="acme"))


def raw_put(service: Service, *messages: base.FlightData) -> list[dict[str, Any]]:
    """The receipts of a client of gRPC, which sends what no library of Arrow does."""
    descriptor = base.FlightDescriptor(type=base.FlightDescriptor.PATH, path=["events"])
    with grpc.insecure_channel(f"127.0.0.1:{service.server.port}") as channel:
        call = channel.stream_stream(
            "/arrow.flight.protocol.FlightService/DoPut",
            base.FlightData.SerializeToString,
            base.PutResult.FromString,
        )
        sent = iter([base.FlightData(flight_descriptor=descriptor), *messages])
        return [json.loads(one.app_metadata) for one in call(sent, timeout=10)]


def test_empty_messages_between_batches_end_nothing(service: Service) -> None:
    first, second = events(20, seed=41, size=10)
    empty = base.FlightData()
    sent = [first.schema, first, second]
    schema, *batches = [flight_data(one.serialize()) for one in sent]
    receipts = raw_put(service, schema, empty, batches[0], empty, empty, batches[1])
    assert receipts[-1]["rows"] == 20


def test_a_stream_without_a_schema_is_refused(service: Service) -> None:
    """FraiseQL's own test of uploads sends whole Arrow streams as bodies without a header."""
    sink = pa.BufferOutputStream()
    [batch] = events(1, seed=42)
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    before = last(service.settings)
    with pytest.raises(grpc.RpcError) as raised:
        raw_put(service, base.FlightData(data_body=sink.getvalue().to_pybytes()))
    error: Any = raised.value
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "No message with a schema" in error.details()
    assert last(service.settings) == before


def test_adbc_ingests_events(service: Service) -> None:
    first = last(service.settings) + 1
    sent = pa.Table.from_batches(events(250, seed=40))
    url = str(service.server.address)
    with flightsql.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        assert cursor.adbc_ingest("events", sent, "append") == 250
        assert cursor.adbc_ingest("events", sent, "append") == 250
    assert stored(service.settings, first).select(sent.column_names).equals(sent)
