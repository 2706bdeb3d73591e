"""A row of the change log is an event that the pipeline reads."""

import uuid
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from fraiseql_assets.bridge.position import Position
from fraiseql_assets.bridge.positions import captures
from fraiseql_assets.bridge.rows import message_of
from fraiseql_assets.events.decode import decode
from fraiseql_assets.events.messages import Messages, header_block

ID = uuid.UUID("0192f0c1-7b7e-7a53-9d7e-5d0f6a1b2c3d")
ROW: dict[str, Any] = {
    "number": 7,
    "id": ID,
    "object_type": "Order",
    "modification_type": "UPDATE",
    "object_id": "5f0f2f0e-0000-4000-8000-000000000001",
    "object_data": '{"id": 1, "note": "ü", "total": 12.50}',
    "object_data_before": '{"id": 1, "gone": true, "total": 10}',
    "tenant_id": "acme",
    "fk_contact": "12",
    "created_at": datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC),
    "commit_time": None,
    "duration_ms": 4,
    "seq": 42,
    "actor_type": "human_user",
    "acting_for": None,
    "schema_version": "v1",
    "extra_metadata": '{"cdc_source": "fallback_trigger"}',
}


def event(**changes: Any) -> dict[str, Any]:
    """The event that a message of the row becomes."""
    message = message_of({**ROW, **changes}, prefix="fraiseql.mutation", bridge="b")
    decoded = decode(
        Messages([1], [0], [message.subject], [header_block(message.headers)], [message.payload])
    )
    assert decoded.rejects == []
    [found] = pa.Table.from_batches(decoded.batches).to_pylist()
    return found


def test_every_column_of_an_event_is_filled_from_the_row() -> None:
    found = event()
    del found["stream_time"]
    assert found == {
        "event_id": str(ID),
        "event_type": "UPDATE",
        "entity_type": "Order",
        "entity_id": "5f0f2f0e-0000-4000-8000-000000000001",
        "timestamp": ROW["created_at"],
        "data": '{"id": 1, "note": "ü", "total": 12.50}',
        "user_id": "12",
        "tenant_id": "acme",
        "changes": '{"note":{"old":null,"new":"ü"},"total":{"old":10,"new":12.50},'
        '"gone":{"old":true,"new":null}}',
        "seq": 42,
        "actor_type": "human_user",
        "acting_for": None,
        "schema_version": "v1",
        "cdc_source": "fallback_trigger",
        "duration_ms": 4,
        "stream_seq": 1,
        "stream_row": 0,
    }


def test_the_commit_time_is_used_if_the_row_has_one() -> None:
    moment = datetime(2026, 2, 3, tzinfo=UTC)
    assert event(commit_time=moment)["timestamp"] == moment


def test_a_deletion_has_the_data_before_the_change() -> None:
    found = event(modification_type="DELETE", object_data=None)
    assert (found["event_type"], found["data"]) == ("DELETE", ROW["object_data_before"])
    assert found["changes"] is None


@pytest.mark.parametrize("nothing", [None, "null"])
def test_a_row_without_data_has_an_empty_object(nothing: str | None) -> None:
    assert event(object_data=nothing, object_data_before=None)["data"] == "{}"


def test_a_row_without_an_entity_has_an_empty_entity_id() -> None:
    assert event(object_id=None)["entity_id"] == ""


def test_an_id_is_derived_for_a_row_without_one() -> None:
    ids = {event(id=None)["event_id"], event(id=None)["event_id"]}
    assert len(ids) == 1
    assert event(id=None, number=8)["event_id"] not in ids


@pytest.mark.parametrize(
    ("entity", "verb", "subject"),
    [
        ("Order", "INSERT", "p.Order.INSERT"),
        ("Order", "update", "p.Order.UPDATE"),
        ("Order", "merge", "p.Order.CUSTOM"),
        ("Sales Order.v2>*", "INSERT", "p.Sales_Order_v2__.INSERT"),
        ("", "INSERT", "p._.INSERT"),
    ],
)
def test_a_subject_has_three_parts_for_any_type_name(entity: str, verb: str, subject: str) -> None:
    row = {**ROW, "object_type": entity, "modification_type": verb}
    assert message_of(row, prefix="p", bridge="b").subject == subject


def test_the_message_id_is_the_id_of_the_event() -> None:
    assert message_of(ROW, prefix="p", bridge="b").headers["Nats-Msg-Id"] == str(ID)


def test_a_stored_position_round_trips() -> None:
    position = Position(head=9, head_id="x", gaps=((3, 4), (7, 7)), stream_seq=5, published=6)
    assert Position.decode(position.encode()) == position


def test_unknown_fields_of_a_stored_position_are_ignored() -> None:
    assert Position.decode(b'{"head": 1, "stream_seq": 2, "later": 3}').head == 1


@pytest.mark.parametrize("stored", [b"", b"[]", b'{"head": "x", "stream_seq": 1}'])
def test_an_invalid_position_is_refused(stored: bytes) -> None:
    with pytest.raises(ValueError, match="is no position"):
        Position.decode(stored)


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ("fraiseql.mutation.>", True),
        ("fraiseql.>", True),
        ("fraiseql.*.Order.*", True),
        ("fraiseql.mutation.Order.INSERT", True),
        ("fraiseql.mutation.Order", False),
        ("fraiseql.mutation.Order.INSERT.>", False),
        ("entity.change.>", False),
    ],
)
def test_subject_patterns_match_as_in_nats(pattern: str, fits: bool) -> None:
    assert captures(pattern, "fraiseql.mutation.Order.INSERT") is fits
