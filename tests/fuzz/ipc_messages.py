"""Arrow streams as messages of gRPC: whole ones, and with changed bytes."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
from hypothesis import strategies as st

ROWS = 3
AT = datetime(2026, 1, 31, tzinfo=UTC)
NUMBERS = st.sampled_from([0, 1, -1, 7, 8, 64, 2**16, 2**31 - 1, 2**31, 2**40, 2**62, -(2**63)])
"""What lengths and offsets are overwritten with."""


@dataclass(frozen=True)
class Message:
    """The header and the body of one IPC message."""

    header: bytes
    body: bytes = b""


def messages_of(batches: Sequence[pa.RecordBatch], compression: str | None = None) -> list[Message]:
    """The messages of a stream, the schema's first."""
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=compression, emit_dictionary_deltas=True)
    with pa.ipc.new_stream(sink, batches[0].schema, options=options) as writer:
        for batch in batches:
            writer.write_batch(batch)
    found = []
    for message in pa.ipc.MessageReader.open_stream(sink.getvalue()):
        body = message.body
        found.append(Message(message.metadata.to_pybytes(), body.to_pybytes() if body else b""))
    return found


def _events(texts: pa.DataType) -> pa.RecordBatch:
    def text(*values: str | None) -> pa.Array:
        return pa.array(values, pa.utf8()).cast(texts)

    return pa.RecordBatch.from_pydict(
        {
            "event_id": text("a", "b", "c"),
            "event_type": text("INSERT", "UPDATE", "DELETE"),
            "entity_type": text("Order", "Order", "User"),
            "entity_id": text("1", "2", "3"),
            "timestamp": pa.array([AT] * ROWS, pa.timestamp("us", "UTC")),
            "data": text('{"a": 1}', "{}", "[]"),
            "user_id": text(None, "", "x"),
            "seq": pa.array([1, None, 3]),
        }
    )


def _dictionaries() -> list[pa.RecordBatch]:
    """Events whose types are indices into dictionaries that grow."""
    batch = _events(pa.utf8())
    column = batch.schema.get_field_index("event_type")
    made = []
    for values in (["INSERT"] * ROWS, ["INSERT", "UPDATE", "UPDATE"]):
        encoded = pa.DictionaryArray.from_arrays(
            pa.array([0, len(set(values)) - 1, 0], pa.int8()), list(dict.fromkeys(values))
        )
        made.append(batch.set_column(column, "event_type", encoded))
    return made


def _all_types() -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(
        {
            "id": pa.array([1, 2, 3], pa.int64()),
            "body": pa.array([[1], None, []], pa.list_(pa.int32())),
            "view": pa.array(["a", "b" * 20, None], pa.string_view()),
            "struct": pa.array([{"a": 1, "b": "x"}, None, {"a": None, "b": "y"}]),
            "map": pa.array([[("a", 1)], [], None], pa.map_(pa.utf8(), pa.int32())),
            "fixed": pa.array([b"ab", b"cd", None], pa.binary(2)),
            "large": pa.array(["x", None, "y"], pa.large_utf8()),
            "exact": pa.array([Decimal("1.5")] * ROWS, pa.decimal128(10, 2)),
            "none": pa.nulls(ROWS),
            "flag": pa.array([True, None, False]),
            "ends": pa.RunEndEncodedArray.from_arrays(pa.array([3], pa.int32()), ["x"]),
        }
    )


STREAMS = [
    messages_of([_events(pa.utf8()), _events(pa.utf8())]),
    messages_of([_events(pa.large_utf8())]),
    messages_of([_events(pa.string_view())]),
    messages_of([_events(pa.utf8())], "zstd"),
    messages_of([_events(pa.utf8())], "lz4"),
    messages_of(_dictionaries()),
    messages_of([_all_types()]),
    messages_of([pa.RecordBatch.from_pydict({"id": pa.array([1, 2, 3])})]),
    messages_of([pa.RecordBatch.from_pydict({"x": pa.array(["a", "b", "c"])})]),
]
WITHOUT_DICTIONARIES = [one for one in STREAMS if len(one) < 5]
"""Those between whose messages others may come that have no header; see docs/security.md."""


@st.composite
def changed(draw: st.DrawFn, data: bytes) -> bytes:
    """Bytes that are cut, or of which some are others."""
    if not data:
        return draw(st.binary(max_size=16))
    at = draw(st.integers(0, len(data) - 1))
    kind = draw(st.integers(0, 3))
    if kind == 0:
        return data[:at]
    if kind == 1:
        return data[:at] + draw(st.binary(min_size=1, max_size=1)) + data[at + 1 :]
    # Lengths and offsets are whole words.
    width, form = ((8, "<q"), (4, "<i"))[kind - 2]
    at -= at % width
    number = draw(NUMBERS)
    if width == 4:
        number = (number + 2**31) % 2**32 - 2**31
    return (data[:at] + struct.pack(form, number) + data[at + width :])[: len(data)]


@st.composite
def streams(draw: st.DrawFn) -> list[Message]:
    """The messages of a stream: whole, or with some lost, doubled, in another order or changed."""
    made = list(draw(st.sampled_from(STREAMS)))
    for _ in range(draw(st.integers(0, 3))):
        if not made:
            break
        at = draw(st.integers(0, len(made) - 1))
        # The schema is left as it is most often: without it nothing else is read.
        at = max(at, min(1, len(made) - 1)) if draw(st.integers(0, 3)) else at
        one = made[at]
        match draw(st.integers(0, 6)):
            case 0:
                del made[at]
            case 1:
                made.insert(at, one)
            case 2:
                made[at] = draw(st.sampled_from(draw(st.sampled_from(STREAMS))))
            case 3 | 4:
                # Arrow's reader ends the process for a message without a header among
                # dictionaries; see docs/security.md.
                made[at] = replace(one, header=draw(changed(one.header)) or b"\x00")
            case _:
                made[at] = replace(one, body=draw(changed(one.body)))
    return made
