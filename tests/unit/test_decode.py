"""The decoder over many messages: each gives the same result as alone, and affects no other."""

import json
from datetime import datetime

import pyarrow as pa
import pytest
from decoding import Headers, cdc, messages, observer
from hypothesis import given, settings
from hypothesis import strategies as st

from fraiseql_assets.events.arrow_shape import CONTENT_TYPE, PRODUCER_SCHEMA
from fraiseql_assets.events.decode import decode
from fraiseql_assets.events.encode import arrow_messages, cdc_messages, observer_messages
from fraiseql_assets.events.generate import generate
from fraiseql_assets.events.messages import Decoded
from fraiseql_assets.events.schema import EVENT_SCHEMA

ARROW = {"Content-Type": CONTENT_TYPE}
BATCH = next(generate(20, seed=11))
[ARROW_MESSAGE] = arrow_messages(BATCH, "s", max_payload=2**20)

texts = st.text(st.characters(codec="utf-8"))
names = st.text(st.characters(codec="utf-8"), min_size=1)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
json_texts = st.builds(
    lambda value, indent, escaped: json.dumps(value, indent=indent, ensure_ascii=escaped),
    json_values, st.sampled_from([None, None, 1]), st.booleans(),
)  # fmt: skip
whole = st.integers(-(2**63), 2**63 - 1)
times = st.datetimes(datetime(1900, 1, 1), datetime(2299, 12, 31, 23, 59, 59, 999_999))


def as_table(decoded: Decoded) -> pa.Table:
    return pa.Table.from_batches(decoded.batches, EVENT_SCHEMA)


# Round trips.


@st.composite
def producer_batches(draw: st.DrawFn) -> pa.RecordBatch:
    row = st.fixed_dictionaries(
        {
            "event_id": names,
            "event_type": st.sampled_from(["INSERT", "UPDATE", "DELETE", "CUSTOM", "Shipped"]),
            "entity_type": names,
            "entity_id": texts,
            "timestamp": times,
            "data": json_texts,
            "user_id": st.none() | texts,
            "tenant_id": st.none() | texts,
            "changes": st.none() | json_texts.filter(lambda text: text != "null"),
            "seq": st.none() | whole,
            "actor_type": st.none() | texts,
            "acting_for": st.none() | texts,
            "schema_version": st.none() | texts,
            "cdc_source": st.none() | texts,
            "duration_ms": st.none() | whole,
        }
    )
    return pa.RecordBatch.from_pylist(
        draw(st.lists(row, min_size=1, max_size=5)), schema=PRODUCER_SCHEMA
    )


@given(producer_batches())
def test_observer_events_round_trip(batch: pa.RecordBatch) -> None:
    outgoing = list(observer_messages(batch, "s"))
    found = decode(messages([m.payload for m in outgoing], [m.headers for m in outgoing]))
    assert found.rejects == []
    assert as_table(found).select(PRODUCER_SCHEMA.names).equals(pa.table(batch))


@given(producer_batches())
def test_arrow_messages_round_trip(batch: pa.RecordBatch) -> None:
    outgoing = list(arrow_messages(batch, "s", max_payload=2**20))
    found = decode(messages([m.payload for m in outgoing], [m.headers for m in outgoing]))
    assert found.rejects == []
    assert as_table(found).select(PRODUCER_SCHEMA.names).equals(pa.table(batch))


@given(producer_batches())
def test_cdc_events_round_trip_with_the_columns_of_their_shape(batch: pa.RecordBatch) -> None:
    seqs = pa.array(range(1, batch.num_rows + 1), pa.int64())
    batch = batch.set_column(
        batch.schema.get_field_index("seq"), PRODUCER_SCHEMA.field("seq"), seqs
    )
    outgoing = list(cdc_messages(batch, "{tenant_id}.{table}"))
    found = decode(messages([m.payload for m in outgoing], [m.headers for m in outgoing]))
    assert found.rejects == []
    kept = ["entity_type", "entity_id", "timestamp", "tenant_id", "seq"]
    assert as_table(found).select(kept).equals(pa.table(batch).select(kept))
    ids = [f"{row['entity_type']}:{row['seq']}" for row in batch.to_pylist()]
    assert as_table(found)["event_id"].to_pylist() == ids


# One bad message.

GOOD: list[tuple[bytes, Headers]] = [
    (observer(), None),
    (observer(data={"a": [1, {"b": "}\\n{"}]}), {"Trace": "1"}),
    (observer(event_type="Order.Created"), None),
    (observer(timestamp="2026-01-01T00:00:00"), None),
    (json.dumps(json.loads(observer()), indent=1).encode(), None),
    (observer() + b"\n", None),
    (b"  " + observer(), None),
    (cdc(), {"Nats-Msg-Id": "Order:7"}),
    (ARROW_MESSAGE.payload, ARROW),
]
BAD: list[tuple[bytes, Headers]] = [
    (b"", None),
    (b" ", None),
    (b"\n", None),
    (b"{", None),
    (b"}", None),
    (b"{}", None),
    (b"[]", None),
    (b"\xff", None),
    (observer()[:-1], None),
    (observer()[1:], None),
    (observer()[:20], None),
    (observer()[20:] + observer(), None),
    (observer() + observer(), None),
    (observer() + b"\n" + observer(), None),
    # Were a newline let into a string, these two would be one object.
    (b'{"id":"}', None),
    (b'{"}', None),
    (observer(seq=2**63), None),
    (observer(timestamp="0001-01-01T00:00:00Z"), None),
    (observer(timestamp="soon"), None),
    (observer(id=None), None),
    (b"[" * 5_000, None),
    (ARROW_MESSAGE.payload[:-100], ARROW),
    (observer(), ARROW),
    (ARROW_MESSAGE.payload, None),
]
some = st.lists(st.sampled_from([*GOOD, *BAD]), max_size=12)


def together(parts: list[tuple[bytes, Headers]]) -> Decoded:
    return decode(messages([payload for payload, _ in parts], [headers for _, headers in parts]))


@pytest.mark.parametrize("bad", range(len(BAD)))
def test_a_single_invalid_message_is_rejected(bad: int) -> None:
    found = together([BAD[bad]])
    assert (found.rows, len(found.rejects)) == (0, 1)


@pytest.mark.parametrize("good", range(len(GOOD)))
def test_a_single_valid_message_is_decoded(good: int) -> None:
    found = together([GOOD[good]])
    assert found.rows >= 1
    assert found.rejects == []


@settings(max_examples=300)
@given(some)
def test_a_message_is_decoded_independently_of_its_neighbours(
    parts: list[tuple[bytes, Headers]],
) -> None:
    found = together(parts)
    rows = as_table(found).to_pylist()
    reasons = {reject.sequence: reject.reason for reject in found.rejects}
    for number, (payload, headers) in enumerate(parts, 1):
        alone = messages([payload] * number, [headers] * number).slice(number - 1, number)
        expected = decode(alone)
        assert [row for row in rows if row["stream_seq"] == number] == as_table(
            expected
        ).to_pylist()
        assert [reject.reason for reject in expected.rejects] == (
            [reasons[number]] if number in reasons else []
        )


@given(st.integers(1, 40), st.data())
def test_an_invalid_message_at_any_position_rejects_only_itself(
    count: int, data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, count - 1))
    bad = data.draw(st.sampled_from(BAD))
    found = together([bad if n == index else GOOD[0] for n in range(count)])
    assert [reject.sequence for reject in found.rejects] == [index + 1]
    sequences = as_table(found)["stream_seq"].to_pylist()
    assert sequences == [n + 1 for n in range(count) if n != index]


@given(some)
def test_events_and_rejects_come_in_stream_order(parts: list[tuple[bytes, Headers]]) -> None:
    found = together(parts)
    table = as_table(found)
    places = list(
        zip(table["stream_seq"].to_pylist(), table["stream_row"].to_pylist(), strict=True)
    )
    assert places == sorted(set(places))
    sequences = [reject.sequence for reject in found.rejects]
    assert sequences == sorted(set(sequences))


@settings(max_examples=500)
@given(st.binary(max_size=60) | st.builds(
    lambda payload, index, byte: payload[:index] + bytes([byte]) + payload[index + 1 :],
    st.sampled_from([payload for payload, _ in GOOD]), st.integers(0, 400), st.integers(0, 255),
), st.sampled_from([None, ARROW]))  # fmt: skip
def test_any_bytes_are_an_event_or_a_reject(payload: bytes, headers: Headers) -> None:
    found = together([(payload, headers)])
    assert (found.rows > 0) != (len(found.rejects) == 1)
    for batch in found.batches:
        batch.validate(full=True)


def test_no_messages_give_no_batches() -> None:
    assert together([]) == Decoded([], [])


def test_rejects_between_json_messages_do_not_split_a_batch() -> None:
    found = together([GOOD[0], BAD[0], GOOD[0], BAD[4], GOOD[1]])
    assert [batch.num_rows for batch in found.batches] == [3]


def test_a_batch_has_the_exact_schema_of_events() -> None:
    [batch] = together([GOOD[0]]).batches
    assert batch.schema.equals(EVENT_SCHEMA, check_metadata=True)


@given(json_texts, json_texts)
def test_data_and_changes_keep_their_published_bytes(data: str, changes: str) -> None:
    payload = observer()[:-1].replace(b'"data": {}', b'"data":' + data.encode())
    payload += b', "changes" : ' + changes.encode() + b"\n}"
    [batch] = together([(payload, None)]).batches
    assert batch["data"][0].as_py() == data
    assert batch["changes"][0].as_py() == (None if changes == "null" else changes)
