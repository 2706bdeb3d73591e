"""Filters, batching and positions of a tail, over generated events."""

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest

from flight_service.authentication import ANYONE
from flight_service.data_conditions import parse_conditions
from flight_service.errors import InvalidRequest
from flight_service.event_filters import EventFilter, rows_from
from flight_service.flushing import Flushing, Position, flushed
from flight_service.messages import MESSAGE_BYTES, mark_of, marked, messages, with_marks
from flight_service.tail import Tail, TailFlights, new_events
from fraiseql_assets.events.schema import EVENT_SCHEMA
from fraiseql_assets.settings import Settings
from tests.event_tables import event

AT_ONCE = Flushing(rows=1000)
Found = Sequence[tuple[list[pa.RecordBatch], Position | None]]


def rows(*events: dict[str, Any]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(list(events), EVENT_SCHEMA)


def sequences(*numbers: int) -> pa.RecordBatch:
    return rows(*map(event, numbers))


def looked(*batches: pa.RecordBatch) -> tuple[list[pa.RecordBatch], Position]:
    """Everything that was looked at is wanted."""
    return list(batches), Position.behind(batches[-1])


def sent(found: Found, flushing: Flushing) -> list[tuple[list[int], int, int]]:
    """The sequences of each batch that is sent, and where the stream goes on behind it."""
    return [
        (one["stream_seq"].to_pylist(), *json.loads(mark_of(one) or b"")["next"].values())
        for one in flushed(found, EVENT_SCHEMA, flushing)
    ]


def test_rows_match_the_column_filters_and_the_data_condition() -> None:
    wanted = EventFilter(
        {"entity_type": ("Order", "User"), "tenant_id": ("acme",)},
        parse_conditions("status = 'paid'"),
    )
    batch = rows(
        event(1),
        event(2, entity_type="Product"),
        event(3, tenant_id=None),
        event(4, data='{"status": "new"}'),
        event(5, entity_type="User"),
    )
    assert wanted.rows(batch)["stream_seq"].to_pylist() == [1, 5]
    assert EventFilter().rows(batch) is batch


def test_a_tail_resumes_within_a_message() -> None:
    batch = rows(event(6), *(event(7, stream_row=row) for row in range(4)), event(8))
    kept = rows_from(batch, 7, 2)
    assert kept["stream_seq"].to_pylist() == [7, 7, 8]
    assert kept["stream_row"].to_pylist() == [2, 3, 0]
    assert rows_from(batch, 5, 9) is batch


def test_rows_are_sent_at_once_with_their_position() -> None:
    found = [looked(sequences(1, 2)), looked(sequences(3), sequences(4))]
    assert sent(found, AT_ONCE) == [([1, 2], 2, 1), ([3, 4], 4, 1)]


def test_the_position_includes_filtered_rows() -> None:
    assert sent([([sequences(1)], Position(9, 3))], AT_ONCE) == [([1], 9, 3)]


def test_rows_are_sent_when_there_are_enough() -> None:
    found = [looked(sequences(n)) for n in range(1, 6)]
    assert sent(found, Flushing(rows=2, seconds=60)) == [([1, 2], 2, 1), ([3, 4], 4, 1)]


def test_rows_are_sent_after_the_flush_interval() -> None:
    found: Found = [looked(sequences(1)), ([], None), looked(sequences(2))]
    assert [one for one, *_ in sent(found, Flushing(rows=10, seconds=0))] == [[1], [2]]


def test_many_rows_are_sent_in_parts() -> None:
    found = [looked(sequences(1, 2, 3, 4, 5))]
    assert sent(found, Flushing(rows=2)) == [([1, 2], 2, 1), ([3, 4], 4, 1), ([5], 5, 1)]


def test_the_position_is_metadata_of_the_last_part_of_a_batch() -> None:
    wide = rows(*(event(n, data="x" * MESSAGE_BYTES) for n in range(3)))
    parts = list(with_marks(messages(marked(wide, {"next": 1}))))
    assert [isinstance(part, tuple) for part in parts] == [False, False, True]
    last, about = parts[-1]
    assert about.to_pybytes() == b'{"next":1}'
    assert last.schema.metadata is None
    assert list(with_marks(iter([wide]))) == [wide]


@pytest.mark.parametrize(
    ("ticket", "said"),
    [
        (Tail(start_date="2026-01-01", start_sequence=1), "start_date and start_sequence"),
        (Tail(start_row=1), "start_row without start_sequence"),
        (Tail(start_date="yesterday"), "start_date"),
        (Tail(filter="status LIKE 'x'"), "filter"),
    ],
)
def test_contradicting_ticket_fields_are_refused(ticket: Tail, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        TailFlights(settings := Settings(), new_events(settings)).resolve(ticket, ANYONE)
