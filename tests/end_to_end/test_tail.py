"""Tail over a real log: start, resume, filters, slow readers."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from log_server import ask, store, streams
from pyarrow import flight
from pydantic import SecretStr
from writing_service import SECRET, Service, events, token, writing_service

from flight_service.errors import sentence_of
from fraiseql_assets.events.encode import arrow_messages, observer_messages
from fraiseql_assets.settings import Settings

EVENTS = 100


@pytest.fixture
def service(nats_url: str) -> Iterator[Service]:
    with streams(nats_url) as settings, writing_service(settings) as running:
        yield running


def publish(
    settings: Settings, count: int = EVENTS, *, seed: int = 1, shape: str = "arrow"
) -> None:
    """Publishes events: of the shape `arrow` in messages of 40."""
    for batch in events(count, seed=seed, size=40):
        if shape == "arrow":
            subject = f"{settings.subject_prefix}.Batch.ARROW"
            store(settings, arrow_messages(batch, subject, max_payload=2**20))
        else:
            store(settings, observer_messages(batch, settings.subject_prefix))


Options = flight.FlightCallOptions | None


@contextmanager
def tailing(
    service: Service, options: Options = None, **fields: Any
) -> Iterator[flight.FlightStreamReader]:
    ticket = flight.Ticket(json.dumps({"type": "Tail", **fields}).encode())
    reader = service.client.do_get(ticket, options)
    try:
        _ = reader.schema
        yield reader
    finally:
        reader.cancel()


def rows(reader: flight.FlightStreamReader, count: int) -> list[dict[str, Any]]:
    """So many rows at least: whole batches."""
    found: list[dict[str, Any]] = []
    while len(found) < count:
        found += reader.read_chunk().data.to_pylist()
    return found


def positions(found: list[dict[str, Any]]) -> list[tuple[int, int]]:
    return [(row["stream_seq"], row["stream_row"]) for row in found]


EVERY = [(1, n) for n in range(40)] + [(2, n) for n in range(40)] + [(3, n) for n in range(20)]


def test_a_resumed_tail_has_each_event_once(service: Service) -> None:
    publish(service.settings)
    got: list[tuple[int, int]] = []
    goes_on: dict[str, int] = {"start_sequence": 1}
    while len(got) < EVENTS:
        with tailing(service, **goes_on, flush_rows=7) as reader:
            for _ in range(3):
                chunk = reader.read_chunk()
                got += positions(chunk.data.to_pylist())
                goes_on = json.loads(chunk.app_metadata.to_pybytes())["next"]
                if len(got) >= EVENTS:
                    break
    assert got == EVERY
    with tailing(service, **goes_on) as reader:
        publish(service.settings, 1, seed=2)
        assert positions(rows(reader, 1)) == [(4, 0)]


def test_a_tail_can_be_resumed_from_its_last_row(service: Service) -> None:
    publish(service.settings)
    with tailing(service, start_sequence=2, start_row=39) as reader:
        assert positions(rows(reader, 21)) == EVERY[79:]


def test_a_tail_can_start_at_a_time(service: Service) -> None:
    publish(service.settings, 40)
    between = datetime.now(UTC).isoformat()
    publish(service.settings, 40, seed=2)
    with tailing(service, start_date=between) as reader:
        assert positions(rows(reader, 40)) == EVERY[40:80]
    with tailing(service, start_date=f"{datetime.now(UTC):%Y-%m-%d}") as reader:
        assert len(rows(reader, 80)) == 80
    with tailing(service, start_date="2200-01-01") as reader:
        publish(service.settings, 1, seed=3)
        assert positions(rows(reader, 1)) == [(3, 0)]


def test_a_start_before_the_log_is_an_error(service: Service) -> None:
    publish(service.settings)
    stream = service.settings.stream
    ask(service.settings, lambda jetstream: jetstream.purge_stream(stream, seq=3))
    with pytest.raises(pa.ArrowKeyError) as caught, tailing(service, start_sequence=2):
        pass
    assert "no longer holds sequence 2: it begins at 3" in sentence_of(caught.value)
    with (
        pytest.raises(pa.ArrowInvalid, match="the log ends at 3"),
        tailing(service, start_sequence=5),
    ):
        pass


@pytest.mark.parametrize(
    ("fields", "fits"),
    [
        ({"entity_type": "Order"}, lambda row: row["entity_type"] == "Order"),
        (
            {"entity_type": ["Order", "User"], "event_type": "update"},
            lambda row: row["entity_type"] in ("Order", "User") and row["event_type"] == "UPDATE",
        ),
        ({"tenant_id": "acme"}, lambda row: row["tenant_id"] == "acme"),
        (
            {"filter": "status = 'paid' AND customer.country IN ('FR', 'DE')"},
            lambda row: (
                (data := json.loads(row["data"]))["status"] == "paid"
                and data["customer"]["country"] in ("FR", "DE")
            ),
        ),
    ],
)
def test_a_tail_is_filtered(service: Service, fields: dict[str, Any], fits: Any) -> None:
    publish(service.settings, 400)
    with tailing(service, start_sequence=1) as reader:
        wanted = [row for row in rows(reader, 400) if fits(row)]
    assert 0 < len(wanted) < 400
    with tailing(service, start_sequence=1, **fields) as reader:
        assert rows(reader, len(wanted)) == wanted


def test_events_are_sent_in_batches(service: Service) -> None:
    with tailing(service, flush_rows=EVENTS, flush_ms=60_000) as reader:
        publish(service.settings, shape="observer")
        assert reader.read_chunk().data.num_rows == EVENTS


def test_a_slow_reader_misses_nothing_and_delays_no_other(service: Service) -> None:
    large = "x" * 60_000
    batches = [
        batch.set_column(5, batch.schema.field("data"), pa.array([f'{{"x": "{n}{large}"}}'] * 40))
        for n, batch in enumerate(events(1000, size=40))
    ]
    subject = f"{service.settings.subject_prefix}.Batch.ARROW"
    with tailing(service) as slow, tailing(service) as fast:
        for batch in batches:
            store(service.settings, arrow_messages(batch, subject, max_payload=2**20))
        ids = pa.Table.from_batches(batches)["event_id"].to_pylist()
        assert [row["event_id"] for row in rows(fast, 1000)] == ids
        # 60 MB were published, of which 8 MiB may wait for a client.
        assert [row["event_id"] for row in rows(slow, 1000)] == ids


def test_a_tail_has_only_events_of_the_tenant(service: Service) -> None:
    publish(service.settings, 400)
    acme = token("read", tenant_id="acme")
    secret = SecretStr(SECRET)
    with writing_service(service.settings, jwt_secret=secret) as guarded:
        for asked in (None, ["globex", "acme"]):
            with tailing(guarded, acme, start_sequence=1, tenant_id=asked) as reader:
                assert {row["tenant_id"] for row in rows(reader, 1)} == {"acme"}
