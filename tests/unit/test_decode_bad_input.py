"""Messages that give no event: each is a reject with a reason, whole, and alone."""

import pyarrow as pa
import pytest
from decoding import SUBJECT, cdc, messages, observer, reason, without

from fraiseql_assets.events.decode import decode

NOT_JSON = "not JSON: JSON is malformed: "
WRONG_TYPE = "a field has the wrong type: "
NO_TIME = "is no RFC 3339 time, such as 2026-01-01T00:00:00.123456Z"


def replaced(old: bytes, new: bytes) -> bytes:
    payload = observer()
    assert payload.count(old) == 1
    return payload.replace(old, new)


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (b"", "the message is empty"),
        (b" \r\n\t", "the message holds nothing but spaces"),
        (b"hello", NOT_JSON + "invalid character (byte 0)"),
        (b'{"id":', "not JSON: Input data was truncated"),
        (observer()[:-1], "not JSON: Input data was truncated"),
        (observer() + b",", NOT_JSON + "trailing characters (byte 138)"),
        (observer() + observer(), NOT_JSON + "trailing characters (byte 138)"),
        (b"\xef\xbb\xbf[]", "a JSON array instead of an object"),
        (b"[]", "a JSON array instead of an object"),
        (b'"text"', "a JSON string instead of an object"),
        (b"-12.5", "a JSON number instead of an object"),
        (b" true", "a JSON boolean instead of an object"),
        (b"false", "a JSON boolean instead of an object"),
        (b"null", "a JSON null instead of an object"),
        (replaced(b"e-1", b"\xff"), "not UTF-8: byte 0xff at offset 8"),
        (replaced(b"{}", b'{"k": "\xed\xa0\x80"}'), "not UTF-8: byte 0xed at offset 97"),
        (replaced(b"e-1", b"\0"), NOT_JSON + "invalid character (byte 8)"),
        (replaced(b"{}", b'{"a": "\n"}'), NOT_JSON + "invalid character (byte 97)"),
        (replaced(b"{}", b'{"a": 01}'), NOT_JSON + "invalid number (byte 97)"),
        (replaced(b"{}", b'{"a": NaN}'), NOT_JSON + "invalid character (byte 96)"),
        (
            replaced(b"e-1", rb"\ud800"),
            r"a text holds the lone surrogate \ud800: half of a pair is no character",
        ),
        (
            replaced(b"{}", rb'{"a": "\udc00"}'),
            r"a text holds the lone surrogate \udc00: half of a pair is no character",
        ),
        (
            replaced(b"{}", rb'{"a": "\ud800\u0041"}'),
            r"a text holds the lone surrogate \ud800: half of a pair is no character",
        ),
        (replaced(b"{}", b"[" * 100_000 + b"]" * 100_000), "nested too deeply to be read"),
    ],
)
def test_a_payload_that_is_not_a_json_object_is_reported(payload: bytes, said: str) -> None:
    assert reason(payload) == said


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (without(observer(), "id"), "the field id (in a CDC event: seq) is missing"),
        (observer(id=None), "the field id (in a CDC event: seq) is missing"),
        (without(cdc(), "seq"), "the field id (in a CDC event: seq) is missing"),
        (
            without(observer(), "entity_id"),
            "the field entity_id (in a CDC event: object_id) is missing",
        ),
        (without(cdc(), "object_id"), "the field entity_id (in a CDC event: object_id) is missing"),
        (without(cdc(), "op"), "the field event_type (in a CDC event: op) is missing"),
        (
            without(cdc(id="x"), "object_type"),
            "the field entity_type (in a CDC event: object_type) is missing",
        ),
        (
            without(observer(), "entity_type"),
            "the field entity_type (in a CDC event: object_type) is missing",
        ),
        (
            without(observer(), "timestamp"),
            "the field timestamp (in a CDC event: commit_time) is missing",
        ),
        (
            without(cdc(), "commit_time"),
            "the field timestamp (in a CDC event: commit_time) is missing",
        ),
        (
            b"{}",
            "fits no known shape: neither event_type and entity_type (observer event), nor "
            "object_type and op (CDC event), nor event and entity (documented form)",
        ),
        (observer(id=""), "the field id is empty"),
        (observer(event_type=""), "the field event_type is empty"),
        (observer(event_type="Order."), "the field event_type is empty"),
        (observer(entity_type=""), "the field entity_type is empty"),
    ],
)
def test_a_missing_field_is_named(payload: bytes, said: str) -> None:
    assert reason(payload) == said


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (observer(id=1.5), "Expected `int | str | null`, got `float` - at `$.id`"),
        (observer(id=True), "Expected `int | str | null`, got `bool` - at `$.id`"),
        (observer(entity_id={}), "Expected `int | str | null`, got `object` - at `$.entity_id`"),
        (observer(event_type=1), "Expected `str | null`, got `int` - at `$.event_type`"),
        (observer(timestamp=1), "Expected `str | null`, got `int` - at `$.timestamp`"),
        (observer(seq=1.5), "Expected `int | str | null`, got `float` - at `$.seq`"),
        (observer(seq=2**63), "Expected `int` <= 9223372036854775807 - at `$.seq`"),
        (observer(seq=-(2**63) - 1), "Expected `int` >= -9223372036854775808 - at `$.seq`"),
        (observer(duration_ms=2**63), "Expected `int` <= 9223372036854775807 - at `$.duration_ms`"),
        (
            observer(duration_ms=1e19),
            "Expected `float` < 9.223372036854776e+18 - at `$.duration_ms`",
        ),
    ],
)
def test_a_field_of_the_wrong_type_is_named(payload: bytes, said: str) -> None:
    assert reason(payload) == WRONG_TYPE + said


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("0001-01-01T00:00:00Z", "timestamp 0001-01-01T00:00:00Z lies outside 1900 to 2299"),
        (
            "0001-01-01T00:00:00+02:00",
            "timestamp 0001-01-01T00:00:00+02:00 lies outside 1900 to 2299",
        ),
        ("1899-12-31T23:59:59Z", "timestamp 1899-12-31T23:59:59Z lies outside 1900 to 2299"),
        ("2300-01-01T00:00:00Z", "timestamp 2300-01-01T00:00:00Z lies outside 1900 to 2299"),
        (
            "9999-12-31T23:59:59-12:00",
            "timestamp 9999-12-31T23:59:59-12:00 lies outside 1900 to 2299",
        ),
        ("10000-01-01T00:00:00Z", f"timestamp '10000-01-01T00:00:00Z' {NO_TIME}"),
        ("2026-02-30T00:00:00Z", f"timestamp '2026-02-30T00:00:00Z' {NO_TIME}"),
        ("yesterday", f"timestamp 'yesterday' {NO_TIME}"),
        ("", f"timestamp '' {NO_TIME}"),
        ("x" * 1000, f"timestamp '{'x' * 60}' {NO_TIME}"),
    ],
)
def test_a_time_out_of_range_is_reported(written: str, said: str) -> None:
    assert reason(observer(timestamp=written)) == said


def test_an_event_of_nine_megabytes_is_decoded() -> None:
    text = "x" * 9_000_000
    [batch] = decode(messages([observer(data=text)])).batches
    assert batch["data"][0].as_py() == f'"{text}"'


def test_an_invalid_message_of_nine_megabytes_is_rejected() -> None:
    assert reason(b"\0" * 9_000_000) == NOT_JSON + "invalid character (byte 0)"


def test_a_repeated_field_has_its_last_value() -> None:
    payload = replaced(b'"id": "e-1"', b'"id": "first", "id": "last"')
    [batch] = decode(messages([payload])).batches
    assert batch["event_id"].to_pylist() == ["last"]


def test_a_reject_keeps_the_whole_message() -> None:
    headers = {"Nats-Msg-Id": "m-1"}
    [reject] = decode(messages([b"\xff\0{"], [headers])).rejects
    assert (reject.sequence, reject.subject, reject.headers, reject.payload, reject.row) == (
        1, SUBJECT, headers, b"\xff\0{", 0,
    )  # fmt: skip
    assert reject.time == messages([b""]).times[0]


# Arrow.

ARROW = {"Content-Type": "application/vnd.apache.arrow.stream"}


def stream(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def events(**columns: object) -> pa.Table:
    """Two events with the columns they must have, and others; None leaves one out."""
    required: dict[str, object] = {
        "event_id": ["a", "b"],
        "event_type": ["INSERT", "UPDATE"],
        "entity_type": ["Order", "Order"],
        "entity_id": ["1", "2"],
        "timestamp": pa.array([0, 1], pa.timestamp("us", "UTC")),
        "data": ["{}", "{}"],
    }
    kept = {name: value for name, value in {**required, **columns}.items() if value is not None}
    return pa.table(kept)


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (b"", "no Arrow IPC stream: Tried reading schema message, was null or length 0"),
        (
            b'{"id": 1}',
            "no Arrow IPC stream: Expected to read 1684611707 metadata bytes, but only read 5",
        ),
        (stream(pa.table({"x": [1]})), "the column event_id is missing"),
        (stream(events(event_id=None)), "the column event_id is missing"),
        (
            stream(events(event_id=["a", None])),
            "the column event_id holds 1 nulls and may hold none",
        ),
        (stream(events(event_id=["a", ""])), "the column event_id holds an empty text"),
        (stream(events(entity_type=["", "Order"])), "the column entity_type holds an empty text"),
        (stream(events().slice(0, 0)), "the Arrow stream holds no rows"),
        (
            stream(events(timestamp=pa.array([0, 2**62], pa.timestamp("us", "UTC")))),
            "timestamp 4611686018427387904 µs from 1970 lies outside 1900 to 2299",
        ),
        (
            stream(events(timestamp=pa.array([0, -(2**61)], pa.timestamp("us", "UTC")))),
            "timestamp -2305843009213693952 µs from 1970 lies outside 1900 to 2299",
        ),
    ],
)
def test_an_arrow_message_without_events_is_rejected_with_a_reason(
    payload: bytes, said: str
) -> None:
    assert reason(payload, ARROW) == said


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (events(seq=["one", "two"]), "the column seq is string and cannot become int64: "),
        (events(data=[b"\xff", b"{}"]), "the column data is binary and cannot become string: "),
        (
            events(duration_ms=[0.5, 1.0]),
            "the column duration_ms is double and cannot become int64: ",
        ),
        (
            events(timestamp=pa.array([0, 2**62], pa.timestamp("s", "UTC"))),
            "the column timestamp is timestamp[s, tz=UTC] and cannot become ",
        ),
        (
            events(data=[{"a": 1}, {"a": 2}]),
            "the column data is struct<a: int64> and cannot become string: ",
        ),
    ],
)
def test_an_arrow_column_of_the_wrong_type_is_named(table: pa.Table, said: str) -> None:
    assert reason(stream(table), ARROW).startswith(said)


def test_a_repeated_column_is_reported() -> None:
    columns = [*events().columns, events()["data"]]
    twice = pa.table(columns, names=[*events().column_names, "data"])
    assert reason(stream(twice), ARROW) == "the column data is there twice"


@pytest.mark.parametrize("field", ["seq", "duration_ms"])
@pytest.mark.parametrize("value", ["", "twelve", "1.5", "٣", "9223372036854775808"])
def test_a_text_that_is_not_an_integer_is_named(field: str, value: str) -> None:
    wanted = f"the field {field} holds {value!r}, which is no whole number of 64 bits"
    assert reason(observer(**{field: value})) == wanted


@pytest.mark.parametrize("behind", [b"x", b"\0" * 8, b"\xff\xff\xff\xff\x10\0\0\0"])
def test_bytes_after_an_arrow_stream_are_rejected(behind: bytes) -> None:
    said = reason(stream(events()) + behind, ARROW)
    assert said.startswith(f"{len(behind)} bytes behind the Arrow stream are no Arrow stream: ")


@pytest.mark.parametrize("missing", [9, 100, 500, 1_000])
def test_a_truncated_arrow_stream_is_rejected(missing: int) -> None:
    assert reason(stream(events())[:-missing], ARROW).startswith("no Arrow IPC stream: ")


def test_invalid_utf8_in_an_arrow_column_is_rejected() -> None:
    broken = stream(events(data=['{"broken"}', "{}"])).replace(b'{"broken"}', b'{"br\xffken"}')
    assert "Invalid UTF8 sequence" in reason(broken, ARROW)


def test_arrow_bytes_without_the_header_are_rejected() -> None:
    assert reason(stream(events())) == "not UTF-8: byte 0xff at offset 0"
