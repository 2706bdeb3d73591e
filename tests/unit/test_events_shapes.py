"""The JSON shapes A to C of an event, and the older forms of them.

Each field of three shapes has a test, so the file is longer than others.
"""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from decoding import SUBJECT, TIME, cdc, messages, moment, observer, row, rows, without

from fraiseql_assets.events.decode import decode
from fraiseql_assets.events.schema import EVENT_SCHEMA

FULL = {
    "id": "6b1f6f0e-5f0b-4c1e-9c1a-2f4f4b8f2d10",
    "event_type": "INSERT",
    "entity_type": "Order",
    "entity_id": "0b7f6f0e-5f0b-4c1e-9c1a-2f4f4b8f2d11",
    "data": {},
    "changes": {"status": {"old": "a", "new": "b"}},
    "user_id": "u-1",
    "tenant_id": "acme",
    "timestamp": TIME,
    "duration_ms": 12,
    "seq": 42,
    "actor_type": "human_user",
    "acting_for": "u-2",
    "schema_version": "3",
    "cdc_source": "outbox",
}
OPTIONAL = (
    "changes", "user_id", "tenant_id", "duration_ms", "seq", "actor_type", "acting_for",
    "schema_version", "cdc_source",
)  # fmt: skip


# A: observer events.


def test_every_field_of_an_observer_event_has_its_column() -> None:
    assert row(json.dumps(FULL).encode()) == {
        "event_id": "6b1f6f0e-5f0b-4c1e-9c1a-2f4f4b8f2d10",
        "event_type": "INSERT",
        "entity_type": "Order",
        "entity_id": "0b7f6f0e-5f0b-4c1e-9c1a-2f4f4b8f2d11",
        "timestamp": datetime(2026, 1, 1, 0, 0, 0, 123456, UTC),
        "data": "{}",
        "user_id": "u-1",
        "tenant_id": "acme",
        "changes": '{"status": {"old": "a", "new": "b"}}',
        "seq": 42,
        "actor_type": "human_user",
        "acting_for": "u-2",
        "schema_version": "3",
        "cdc_source": "outbox",
        "duration_ms": 12,
        "stream_seq": 1,
        "stream_row": 0,
        "stream_time": datetime(2026, 2, 25, 6, 13, 20, 123456, UTC),
    }


@pytest.mark.parametrize("field", OPTIONAL)
def test_a_missing_field_of_an_observer_event_is_null(field: str) -> None:
    assert row(without(json.dumps(FULL).encode(), field))[field] is None


@pytest.mark.parametrize("field", OPTIONAL)
def test_a_null_field_of_an_observer_event_is_null(field: str) -> None:
    assert row(observer(**{field: None}))[field] is None


def test_unknown_fields_are_ignored() -> None:
    assert row(observer(trace={"id": [1, {"deep": None}]})) == row(observer())


def test_an_event_without_data_has_an_empty_object() -> None:
    assert row(without(observer(), "data"))["data"] == "{}"


@pytest.mark.parametrize("value", [None, "text", 5, [1, 2], True])
def test_data_may_be_any_json(value: Any) -> None:
    assert row(observer(data=value))["data"] == json.dumps(value)


def test_an_entity_may_have_an_empty_id() -> None:
    assert row(observer(entity_id=""))["entity_id"] == ""


# Older producers.


@pytest.mark.parametrize(
    ("written", "entity_type", "event_type"),
    [
        ("Order.Created", "Order", "INSERT"),
        ("Order.Updated", "Order", "UPDATE"),
        ("Order.Deleted", "Order", "DELETE"),
        ("Order.Custom", "Order", "CUSTOM"),
        ("Order.INSERT", "Order", "INSERT"),
        ("shop.Order.Created", "shop.Order", "INSERT"),
        ("Order.Shipped", "Order", "Shipped"),
    ],
)
def test_an_older_event_type_includes_the_entity_type(
    written: str, entity_type: str, event_type: str
) -> None:
    found = row(without(observer(event_type=written), "entity_type"))
    assert (found["entity_type"], found["event_type"]) == (entity_type, event_type)


def test_an_explicit_entity_type_takes_precedence() -> None:
    found = row(observer(event_type="Order.Created", entity_type="shop_order"))
    assert (found["entity_type"], found["event_type"]) == ("shop_order", "INSERT")


@pytest.mark.parametrize(
    ("written", "read"),
    [("insert", "INSERT"), ("Created", "INSERT"), ("updated", "UPDATE"), ("delete", "DELETE"),
     ("custom", "CUSTOM"), ("Shipped", "Shipped")],
)  # fmt: skip
def test_known_verbs_are_normalised_and_others_are_kept(written: str, read: str) -> None:
    assert row(observer(event_type=written))["event_type"] == read


@pytest.mark.parametrize(
    "field", ["id", "entity_id", "user_id", "tenant_id", "acting_for", "schema_version"]
)
@pytest.mark.parametrize(
    ("written", "read"),
    [("order-1", "order-1"), (17, "17"), (2**70, "1180591620717411303424")],
)
def test_ids_may_be_any_text_or_whole_number(field: str, written: object, read: str) -> None:
    assert row(observer(**{field: written}))[field if field != "id" else "event_id"] == read


def test_the_tenant_may_be_called_org_id() -> None:
    assert row(observer(org_id="acme"))["tenant_id"] == "acme"


def test_tenant_id_takes_precedence_over_org_id() -> None:
    assert row(observer(org_id="older", tenant_id="newer"))["tenant_id"] == "newer"


def test_the_id_may_be_called_event_id() -> None:
    assert row(without(observer(event_id="e-9"), "id"))["event_id"] == "e-9"


def test_fractions_of_durations_are_truncated() -> None:
    assert row(observer(duration_ms=12.9))["duration_ms"] == 12


# Times.


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00+00:00"),
        ("2026-01-01T00:00:00.1Z", "2026-01-01T00:00:00.1+00:00"),
        ("2026-01-01T00:00:00.123456789Z", "2026-01-01T00:00:00.123456+00:00"),
        ("2026-01-01T02:30:00.5+02:30", "2026-01-01T00:00:00.5+00:00"),
        ("2025-12-31T19:00:00-05:00", "2026-01-01T00:00:00+00:00"),
        ("2026-01-01 00:00:00Z", "2026-01-01T00:00:00+00:00"),
        ("2026-01-01t00:00:00z", "2026-01-01T00:00:00+00:00"),
        ("2026-01-01T00:00:00", "2026-01-01T00:00:00+00:00"),
        ("2026-01-01", "2026-01-01T00:00:00+00:00"),
        ("1900-01-01T00:00:00Z", "1900-01-01T00:00:00+00:00"),
        ("2299-12-31T23:59:59.999999Z", "2299-12-31T23:59:59.999999+00:00"),
    ],
)
def test_times_are_microseconds_in_utc(written: str, read: str) -> None:
    assert row(observer(timestamp=written))["timestamp"] == moment(read)


# B: CDC events.


def test_every_field_of_a_cdc_event_has_its_column() -> None:
    found = row(cdc(tenant_id="acme", after={"a": 1}))
    assert {name: value for name, value in found.items() if value is not None} == {
        "event_id": "Order:7",
        "event_type": "INSERT",
        "entity_type": "Order",
        "entity_id": "o-1",
        "timestamp": datetime(2026, 1, 1, 0, 0, 0, 123456, UTC),
        "data": '{"a": 1}',
        "tenant_id": "acme",
        "seq": 7,
        "cdc_source": "cdc",
        "stream_seq": 1,
        "stream_row": 0,
        "stream_time": datetime(2026, 2, 25, 6, 13, 20, 123456, UTC),
    }


@pytest.mark.parametrize("op", ["insert", "update", "delete", "custom"])
def test_a_cdc_op_is_mapped_to_an_event_type(op: str) -> None:
    assert row(cdc(op=op))["event_type"] == op.upper()


def test_the_data_of_a_change_is_the_after_image() -> None:
    assert row(cdc(op="update", after={"a": 2}, before={"a": 1}))["data"] == '{"a": 2}'


def test_the_data_of_a_deletion_is_the_before_image() -> None:
    assert row(cdc(op="delete", after=None, before={"a": 1}))["data"] == '{"a": 1}'


def test_a_change_without_before_and_after_has_an_empty_object() -> None:
    assert row(without(without(cdc(), "after"), "before"))["data"] == "{}"


def test_the_source_of_a_cdc_event_is_kept() -> None:
    assert row(cdc(cdc_source="wal"))["cdc_source"] == "wal"


# What identifies an event.


def test_a_change_is_identified_by_object_type_and_sequence() -> None:
    assert row(cdc(object_type="Payment", seq=12))["event_id"] == "Payment:12"


@pytest.mark.parametrize("field", ["id", "event_id"])
def test_a_change_with_an_event_id_has_that_id(field: str) -> None:
    assert row(cdc(**{field: "e-1"}))["event_id"] == row(observer(id="e-1"))["event_id"]


def test_a_numeric_id_of_a_change_is_not_an_event_id() -> None:
    assert row(cdc(id=3))["event_id"] == "Order:7"


def test_a_change_without_sequence_is_identified_by_its_message() -> None:
    found = row(without(cdc(), "seq"), {"Nats-Msg-Id": "Order:9"})
    assert (found["event_id"], found["seq"]) == ("Order:9", None)


def test_fields_of_other_shapes_do_not_change_an_observer_event() -> None:
    assert row(observer(object_type="X", op="delete", event="Y.DELETE")) == row(observer())


# C: the documented form.


def documented(**fields: Any) -> bytes:
    required = {"event": "Order.INSERT", "entity": "Order", "timestamp": TIME, "data": {"id": "9"}}
    return json.dumps({**required, **fields}).encode()


def test_every_field_of_the_documented_form_has_its_column() -> None:
    found = row(documented(), {"Nats-Msg-Id": "m-1"})
    assert {name: value for name, value in found.items() if value is not None} == {
        "event_id": "8de659fb-08c9-5872-818c-9da850a43fb3",
        "event_type": "INSERT",
        "entity_type": "Order",
        "entity_id": "9",
        "timestamp": datetime(2026, 1, 1, 0, 0, 0, 123456, UTC),
        "data": '{"id": "9"}',
        "stream_seq": 1,
        "stream_row": 0,
        "stream_time": datetime(2026, 2, 25, 6, 13, 20, 123456, UTC),
    }


def test_the_documented_event_may_be_a_verb_alone() -> None:
    found = row(documented(event="UPDATE"))
    assert (found["entity_type"], found["event_type"]) == ("Order", "UPDATE")


def test_the_documented_event_may_name_the_entity_alone() -> None:
    assert row(without(documented(), "entity"))["entity_type"] == "Order"


@pytest.mark.parametrize("data", [{}, {"id": 1.5}, [1], None])
def test_an_entity_without_an_id_has_an_empty_one(data: Any) -> None:
    assert row(documented(data=data))["entity_id"] == ""


def test_the_message_id_identifies_a_documented_event() -> None:
    headers = {"Nats-Msg-Id": "m-1"}
    assert row(documented(), headers)["event_id"] == row(documented(data={}), headers)["event_id"]


def test_without_a_message_id_the_sequence_identifies_the_event() -> None:
    [batch] = decode(messages([documented(), documented()])).batches
    assert len(set(batch["event_id"].to_pylist())) == 2
    [again] = decode(messages([documented(), documented()])).batches
    assert again.equals(batch)


def test_an_event_id_of_the_documented_form_is_kept() -> None:
    assert row(documented(id="e-5"))["event_id"] == "e-5"


def test_the_subject_field_of_the_documented_form_is_ignored() -> None:
    assert row(documented(subject="elsewhere")) == row(documented(subject=SUBJECT))


# Bytes.


@pytest.mark.parametrize(
    "text",
    [
        "{ }",
        '{"b":1,"a":2}',
        '{"a":1,"a":2}',
        '{"n":1.0,"m":1e400,"k":123456789012345678901234567890,"z":-0.0,"l":1E+2}',
        r'{"s":"é\u00e9\/\n\u0000\ud83d\ude00"}',
        '{"é":"🍓","t":"a\u2028b\x7f"}',
        '{"deep":[[[{"a":[]}]]]}',
        '{\t"a"\r : [ 1 , 2 ] }',
    ],
)
@pytest.mark.parametrize("field", ["data", "changes"])
def test_json_inside_an_event_keeps_its_bytes(field: str, text: str) -> None:
    payload = without(without(observer(changes=1), "changes"), "data")
    payload = payload[:-1] + f', "{field}":  {text} }}'.encode()
    assert row(payload)[field] == text


@pytest.mark.parametrize("field", ["after", "before"])
def test_json_inside_a_change_keeps_its_bytes(field: str) -> None:
    text = '{ "b" : 1.50, "a" : "\\u00e9" }'
    payload = without(without(cdc(op="delete"), "after"), "before")
    assert row(payload[:-1] + f',"{field}":{text}}}'.encode())["data"] == text


def test_a_message_over_several_lines_is_one_event() -> None:
    pretty = json.dumps(json.loads(observer(data={"a": 1})), indent=2).encode()
    found = rows(pretty + b"\n")
    assert [each["data"] for each in found] == ['{\n    "a": 1\n  }']


def test_an_id_may_contain_nul() -> None:
    assert row(observer(id="a\0b"))["event_id"] == "a\0b"


def test_the_first_eight_columns_are_those_of_fraiseql() -> None:
    assert EVENT_SCHEMA.names[:8] == [
        "event_id", "event_type", "entity_type", "entity_id", "timestamp", "data", "user_id",
        "tenant_id",
    ]  # fmt: skip


# What other producers' libraries write.


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
        ("2016-12-31T23:59:60.25Z", datetime(2017, 1, 1, 0, 0, 0, 250_000, UTC)),
        ("2017-01-01T00:59:60+01:00", datetime(2017, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_leap_second_is_read_as_the_next_second(written: str, moment: datetime) -> None:
    assert row(observer(timestamp=written))["timestamp"] == moment


def test_integers_may_be_quoted() -> None:
    found = row(observer(seq="12", duration_ms="-3"))
    assert (found["seq"], found["duration_ms"]) == (12, -3)
    assert row(cdc(seq="12"))["event_id"] == "Order:12"


def test_a_byte_order_mark_is_skipped() -> None:
    payloads = [observer(id="1"), b"\xef\xbb\xbf" + observer(id="2")]
    [batch] = decode(messages(payloads)).batches
    assert batch["event_id"].to_pylist() == ["1", "2"]


@pytest.mark.parametrize(
    "payload",
    [
        observer(subject={}, entity={"id": 1}, event=[], op={}, object_type=1, commit_time=5),
        cdc(subject=1, entity={"id": 1}, event=[], entity_type={}, entity_id=[], id={}),
        json.dumps(
            {
                "event": "Order.INSERT",
                "subject": {},
                "timestamp": TIME,
                "data": {},
                "object_id": {},
                "commit_time": 7,
            }
        ).encode(),
    ],
)
def test_fields_of_other_shapes_may_have_any_value(payload: bytes) -> None:
    assert row(payload)["entity_type"] == "Order"
    # Among others too, where all are decoded together.
    found = decode(messages([observer(id="a"), payload, observer(id="b")]))
    assert (found.rows, found.rejects) == (3, [])
