# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute makes its functions at import, out of a type checker's sight)
"""Decoded events as the columns of one record batch."""

import re
from array import array
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from fraiseql_assets.events.messages import Messages
from fraiseql_assets.events.schema import EVENT_SCHEMA, TIMESTAMP
from fraiseql_assets.events.shapes import KNOWN_TYPES, WireEvent, as_observer_event

EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
LATEST = datetime(2299, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
"""The range of ClickHouse's DateTime64(6). Messages with other times are rejected."""
EARLIEST_US, LATEST_US = (int(pa.scalar(t, TIMESTAMP).value) for t in (EARLIEST, LATEST))


WHOLE = re.compile(r"-?[0-9]{1,19}")
LEAP_SECOND = re.compile(r"(?<=[0-9]:[0-5][0-9]:)60")

NO_CHANGES = pa.array(["", "null"])


class InvalidValues(ValueError):
    """A message cannot become an event; the text says why."""


def to_batch(events: Sequence[WireEvent], messages: Messages) -> pa.RecordBatch:
    """One row per event, with the log position of its message.

    The events must have been checked to be UTF-8.

    Raises:
        InvalidValues: an event lacks a required field, or holds a value that its column cannot.
    """
    ids, kinds, entities = _identities(events)
    if not _are_plain(ids, kinds, entities):
        origins = zip(messages.subjects, messages.headers, messages.sequences, strict=True)
        events = [as_observer_event(e, *origin) for e, origin in zip(events, origins, strict=True)]
        ids, kinds, entities = _identities(events)
    try:
        arrays = [
            _name("id", ids, events),
            _name("event_type", _types(kinds), events),
            _name("entity_type", entities, events),
            _text("entity_id", [e.entity_id for e in events], events),
            timestamps([e.timestamp for e in events]),
            _data([e.data for e in events]),
            _optional([e.user_id for e in events]),
            _optional([e.org_id if e.tenant_id is None else e.tenant_id for e in events]),
            _changes([e.changes for e in events]),
            _whole("seq", [e.seq for e in events]),
            pa.array([e.actor_type for e in events], pa.utf8()),
            _optional([e.acting_for for e in events]),
            _optional([e.schema_version for e in events]),
            pa.array([e.cdc_source for e in events], pa.utf8()),
            _whole("duration_ms", [e.duration_ms for e in events]),
            pa.array(messages.sequences, pa.uint64()),
            pa.repeat(pa.scalar(0, pa.uint32()), len(events)),
            stored_at(messages.times),
        ]
    except UnicodeEncodeError as error:
        raise InvalidValues(
            "a text holds half of a surrogate pair, which is no character"
        ) from error
    return pa.RecordBatch.from_arrays(arrays, schema=EVENT_SCHEMA)


def _identities(
    events: Sequence[WireEvent],
) -> tuple[list[str | int | None], list[str | None], list[str | int | None]]:
    """The columns that depend on the shape: ids, event types, entity types."""
    return (
        [event.id for event in events],
        [event.event_type for event in events],
        [event.entity_type for event in events],
    )


def _are_plain(
    ids: list[str | int | None], kinds: list[str | None], entities: list[str | int | None]
) -> bool:
    """Whether all are observer events in the form of newer producers."""
    return (
        None not in ids
        and None not in kinds
        and None not in entities
        and not any("." in kind for kind in set(kinds) if kind)
    )


def stored_at(nanoseconds: Sequence[int]) -> pa.Array:
    """JetStream's times as the column `stream_time`, truncated to microseconds."""
    return pc.divide(pa.array(nanoseconds, pa.int64()), 1000).cast(TIMESTAMP)


def _text(field: str, values: list[str | int | None], events: Sequence[WireEvent]) -> pa.Array:
    array = _optional(values)
    if array.null_count:
        raise InvalidValues(_missing(events[array.is_null().index(True).as_py()], field))
    return array


def _name(field: str, values: list[str | int | None], events: Sequence[WireEvent]) -> pa.Array:
    """A string that identifies an event or its type, and must not be empty."""
    array = _text(field, values, events)
    if array.index("").as_py() >= 0:
        raise InvalidValues(f"the field {field} is empty")
    return array


def _types(values: list[str | None]) -> list[str | int | None]:
    known = {value: value and KNOWN_TYPES.get(value.lower(), value) for value in set(values)}
    return [known[value] for value in values]


def _optional(values: list[str | int | None]) -> pa.Array:
    try:
        return pa.array(values, pa.utf8())
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        return pa.array([None if v is None else str(v) for v in values], pa.utf8())


def _data(values: list[msgspec.Raw]) -> pa.Array:
    texts = _joined(values)
    return texts if texts.index("").as_py() < 0 else pc.if_else(pc.equal(texts, ""), "{}", texts)


def _changes(values: list[msgspec.Raw]) -> pa.Array:
    texts = _joined(values)
    return pc.if_else(pc.is_in(texts, value_set=NO_CHANGES), None, texts)


def _joined(values: list[msgspec.Raw]) -> pa.Array:
    """The texts as a column, copied once."""
    ends = array("i", accumulate(map(len, values), initial=0))
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(values))]
    return pa.Array.from_buffers(pa.utf8(), len(values), buffers)


def _whole(field: str, values: list[int | float | str | None]) -> pa.Array:
    """Integers; digits in quotes are accepted, and fractions are truncated.

    Raises:
        InvalidValues: a string is not an integer of 64 bits.
    """
    try:
        return pa.array(values, pa.int64())
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([_one_whole(field, value) for value in values], pa.int64())


def _one_whole(field: str, value: int | float | str | None) -> int | None:
    if value is None or isinstance(value, int | float):
        return None if value is None else int(value)
    number = int(value) if WHOLE.fullmatch(value) else None
    if number is None or not -(2**63) <= number < 2**63:
        raise InvalidValues(
            f"the field {field} holds {value[:60]!r}, which is no whole number of 64 bits"
        )
    return number


def timestamps(values: Sequence[str | None]) -> pa.Array:
    """RFC 3339 times as microseconds UTC, in one cast if all have the same form, else one by one.

    Raises:
        InvalidValues: one is missing, unreadable or outside the years that the planes can hold.
    """
    try:
        array = pa.array(values, pa.utf8()).cast(TIMESTAMP)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        array = pa.array([_one_time(value) for value in values], TIMESTAMP)
    if array.null_count:
        raise InvalidValues("the field timestamp (in a CDC event: commit_time) is missing")
    wrong = outside_range(array)
    if wrong is not None:
        raise InvalidValues(outside(values[array.cast(pa.int64()).index(wrong).as_py()] or ""))
    return array


def outside_range(array: pa.Array | pa.ChunkedArray) -> int | None:
    """A time in microseconds that the planes cannot store, if there is one."""
    found = pc.min_max(array.cast(pa.int64())).as_py()
    if found["min"] is None or (found["min"] >= EARLIEST_US and found["max"] <= LATEST_US):
        return None
    return found["min"] if found["min"] < EARLIEST_US else found["max"]


def _one_time(value: str | None) -> datetime | None:
    """Parses a time in any form of ISO 8601; a time without an offset is UTC."""
    if value is None:
        return None
    # A leap second is the second that follows it, as POSIX and the planes count.
    text, leap_seconds = LEAP_SECOND.subn("59", value.strip().upper())
    try:
        moment = datetime.fromisoformat(text) + timedelta(seconds=leap_seconds)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError as error:
        raise InvalidValues(outside(value)) from error
    except ValueError as error:
        raise InvalidValues(
            f"timestamp {value[:60]!r} is no RFC 3339 time, such as 2026-01-01T00:00:00.123456Z"
        ) from error


def outside(value: str) -> str:
    """The message for a time that the planes cannot store."""
    return f"timestamp {value[:60]} lies outside {EARLIEST.year} to {LATEST.year}"


def _missing(event: WireEvent, field: str) -> str:
    if event.entity_type is None and event.event_type is None:
        return (
            "fits no known shape: neither event_type and entity_type (observer event), nor "
            "object_type and op (CDC event), nor event and entity (documented form)"
        )
    cdc = {"id": "seq", "event_type": "op", "entity_type": "object_type", "entity_id": "object_id"}
    name = f"{field} (in a CDC event: {cdc[field]})" if field in cdc else field
    return f"the field {name} is missing"
