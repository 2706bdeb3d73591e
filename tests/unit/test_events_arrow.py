"""Shape D: Arrow IPC streams as messages, read and written."""

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from decoding import messages, row, rows

from fraiseql_assets.events.arrow_shape import CONTENT_TYPE, PRODUCER_SCHEMA
from fraiseql_assets.events.decode import decode
from fraiseql_assets.events.encode import ARROW_ROWS, HEADER_ROOM, Outgoing, arrow_messages
from fraiseql_assets.events.generate import generate
from fraiseql_assets.events.schema import EVENT_SCHEMA

ARROW = {"Content-Type": CONTENT_TYPE}
MIB = 2**20


def events(count: int) -> pa.RecordBatch:
    made = generate(count, seed=5, start=datetime(2026, 1, 1, tzinfo=UTC))
    return pa.Table.from_batches(made).combine_chunks().to_batches()[0]


def stream(*batches: pa.RecordBatch, compression: str | None = None) -> bytes:
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(sink, batches[0].schema, options=options) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def with_column(name: str, values: Any) -> bytes:
    """Three events, a column of theirs in another type."""
    batch = events(3)
    return stream(batch.set_column(batch.schema.get_field_index(name), name, values))


# Reading.


@pytest.mark.parametrize("compression", [None, "zstd", "lz4"])
def test_every_column_of_a_batch_is_kept(compression: str | None) -> None:
    batch = events(50)
    [found] = decode(messages([stream(batch, compression=compression)], [ARROW])).batches
    assert found.select(PRODUCER_SCHEMA.names).equals(batch)


def test_rows_are_numbered_within_their_message() -> None:
    payload = stream(events(20_000))
    batches = decode(messages([payload, payload], [ARROW, ARROW])).batches
    table = pa.Table.from_batches(batches)
    assert table["stream_row"].to_pylist() == [*range(20_000), *range(20_000)]
    assert table["stream_seq"].to_pylist() == [1] * 20_000 + [2] * 20_000


def test_every_row_has_the_stream_time_of_its_message() -> None:
    [batch] = decode(messages([stream(events(2))], [ARROW])).batches
    stored = datetime(2026, 2, 25, 6, 13, 20, 123456, UTC)
    assert batch["stream_time"].to_pylist() == [stored, stored]


def test_batches_of_one_message_are_combined() -> None:
    batch = events(30)
    [found] = decode(messages([stream(batch.slice(0, 10), batch.slice(10))], [ARROW])).batches
    assert found.select(PRODUCER_SCHEMA.names).equals(batch)
    assert found["stream_row"].to_pylist() == list(range(30))


def test_a_stream_without_an_end_marker_is_complete() -> None:
    payload = stream(events(3))
    assert rows(payload[:-8], ARROW) == rows(payload, ARROW)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("event_type", pa.array(["INSERT", "UPDATE", "INSERT"]).dictionary_encode()),
        ("data", pa.array(["{}", '{"a":1}', "[]"], pa.large_utf8())),
        ("data", pa.array(["{}", '{"a":1}', "[]"], pa.string_view())),
        ("data", pa.array([b"{}", b'{"a":1}', b"[]"], pa.binary())),
        ("user_id", pa.nulls(3)),
        ("seq", pa.array([1, 2, None], pa.uint16())),
        ("duration_ms", pa.array([1.0, 2.0, None], pa.float32())),
    ],
)
def test_a_column_may_have_an_equivalent_type(name: str, values: pa.Array) -> None:
    found = [each[name] for each in rows(with_column(name, values), ARROW)]
    assert found == values.cast(EVENT_SCHEMA.field(name).type).to_pylist()


@pytest.mark.parametrize(
    ("values", "read"),
    [
        (pa.array([1], pa.timestamp("s", "UTC")), "1970-01-01T00:00:01+00:00"),
        (pa.array([1], pa.timestamp("ms", "Europe/Paris")), "1970-01-01T00:00:00.001+00:00"),
        (pa.array([1_999], pa.timestamp("ns", "UTC")), "1970-01-01T00:00:00.000001+00:00"),
        (pa.array([1], pa.timestamp("us")), "1970-01-01T00:00:00.000001+00:00"),
        (pa.array(["2026-01-01T00:00:00Z"]), "2026-01-01T00:00:00+00:00"),
    ],
)
def test_times_of_any_unit_are_truncated_to_microseconds(values: pa.Array, read: str) -> None:
    batch = events(1)
    at = batch.schema.get_field_index("timestamp")
    found = row(stream(batch.set_column(at, "timestamp", values)), ARROW)
    assert found["timestamp"] == datetime.fromisoformat(read)


def test_nullable_columns_may_be_omitted() -> None:
    batch = events(2).select([f.name for f in PRODUCER_SCHEMA if not f.nullable])
    [found] = decode(messages([stream(batch)], [ARROW])).batches
    assert found.schema.equals(EVENT_SCHEMA)
    nullable = [f.name for f in PRODUCER_SCHEMA if f.nullable]
    assert [found[name].null_count for name in nullable] == [2] * len(nullable)


def test_columns_may_come_in_any_order() -> None:
    batch = events(3)
    turned = batch.select(batch.schema.names[::-1])
    assert rows(stream(turned), ARROW) == rows(stream(batch), ARROW)


def test_stream_columns_of_a_producer_are_ignored() -> None:
    claimed = events(1).append_column("stream_seq", pa.array([99], pa.uint64()))
    assert row(stream(claimed), ARROW)["stream_seq"] == 1


def test_the_content_type_is_case_insensitive() -> None:
    assert len(rows(stream(events(3)), {"Content-Type": CONTENT_TYPE.upper()})) == 3


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": CONTENT_TYPE},
        {"CONTENT-TYPE": f"{CONTENT_TYPE}; codecs=zstd"},
        {"Content-Type": f"{CONTENT_TYPE} ;q=1"},
    ],
)
def test_header_names_are_case_insensitive_and_media_types_may_have_parameters(
    headers: dict[str, str],
) -> None:
    assert len(rows(stream(events(3)), headers)) == 3


def test_concatenated_streams_are_all_read() -> None:
    batch = events(5)
    parts = (stream(batch.slice(0, 2)), stream(batch.slice(2, 0)), stream(batch.slice(2, 3)))
    found = rows(b"".join(parts), ARROW)
    assert [each["event_id"] for each in found] == batch["event_id"].to_pylist()
    assert [each["stream_row"] for each in found] == [0, 1, 2, 3, 4]


def test_unknown_columns_are_dropped() -> None:
    batch = events(3)
    more = batch.append_column("region", pa.array(["a", "b", "c"]))
    more = more.append_column("region", pa.array([1, 2, 3]))
    assert rows(stream(more), ARROW) == rows(stream(batch), ARROW)


def test_org_id_is_read_as_tenant_id() -> None:
    batch = events(3)
    at = batch.schema.get_field_index("tenant_id")
    older = batch.set_column(at, "org_id", pa.array(["a", None, "c"]))
    assert [each["tenant_id"] for each in rows(stream(older), ARROW)] == ["a", None, "c"]
    both = batch.set_column(at, "tenant_id", pa.array(["x", None, None]))
    both = both.append_column("org_id", pa.array(["a", "b", None]))
    assert [each["tenant_id"] for each in rows(stream(both), ARROW)] == ["x", "b", None]


@pytest.mark.parametrize(
    ("name", "values", "read"),
    [
        ("entity_id", pa.array([1, 2, 3]), ["1", "2", "3"]),
        ("seq", pa.array([1.0, 2.0, None]), [1, 2, None]),
        ("duration_ms", pa.array(["7", "8", None]), [7, 8, None]),
        (
            "event_id",
            pa.ExtensionArray.from_storage(
                pa.uuid(), pa.array([bytes([n]) * 16 for n in range(3)], pa.binary(16))
            ),
            [f"{n}{n}-{n}-{n}-{n}-{n}{n}{n}" for n in ("0000", "0101", "0202")],
        ),
    ],
)
def test_lossless_casts_are_made(name: str, values: pa.Array, read: list[Any]) -> None:
    assert [each[name] for each in rows(with_column(name, values), ARROW)] == read


# Writing.


def published(batch: pa.RecordBatch, max_payload: int) -> list[Outgoing]:
    return list(arrow_messages(batch, "s", max_payload=max_payload))


def read_back(outgoing: list[Outgoing]) -> pa.Table:
    found = decode(messages([m.payload for m in outgoing], [m.headers for m in outgoing]))
    assert found.rejects == []
    return pa.Table.from_batches(found.batches).select(PRODUCER_SCHEMA.names)


@pytest.mark.parametrize("max_payload", [8 * MIB, MIB, 64 * 1024, 16 * 1024])
def test_messages_have_every_event_once_and_stay_within_the_limit(max_payload: int) -> None:
    batch = events(2_000)
    outgoing = published(batch, max_payload)
    assert read_back(outgoing).to_batches() != []
    assert read_back(outgoing).combine_chunks().to_batches()[0].equals(batch)
    assert max(len(m.payload) for m in outgoing) <= max_payload - HEADER_ROOM
    assert sum(m.events for m in outgoing) == 2_000


def test_a_message_has_up_to_ten_thousand_events() -> None:
    outgoing = published(events(25_000), 8 * MIB)
    assert [m.events for m in outgoing] == [ARROW_ROWS, ARROW_ROWS, 5_000]


def test_the_same_events_give_the_same_message() -> None:
    [first], [again], [other] = (published(events(n), MIB) for n in (10, 10, 11))
    assert first.headers["Nats-Msg-Id"] == again.headers["Nats-Msg-Id"]
    assert first.headers["Nats-Msg-Id"] != other.headers["Nats-Msg-Id"]


def test_an_event_above_the_message_limit_is_refused_by_its_id() -> None:
    one = events(1)
    with pytest.raises(ValueError, match=f"event {one['event_id'][0]} takes .* Raise max_payload"):
        published(one, HEADER_ROOM + 100)
