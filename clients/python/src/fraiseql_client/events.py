"""Events as objects."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import pyarrow as pa


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Where an event stands in the log. `str(position)` and `Position.parse` store it as text."""

    sequence: int
    row: int
    """The row in a message that carries several events."""

    @classmethod
    def parse(cls, text: str) -> "Position":
        """The position of a text.

        Raises:
            ValueError: it is none.
        """
        sequence, _, row = text.partition(":")
        try:
            return cls(int(sequence), int(row or 0))
        except ValueError:
            raise ValueError(
                f"{text!r} is no position. One is written as str(position) does it: 1042:0."
            ) from None

    def __str__(self) -> str:
        return f"{self.sequence}:{self.row}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event, with the names of its columns."""

    event_id: str
    event_type: str
    """INSERT, UPDATE, DELETE or CUSTOM."""
    entity_type: str
    entity_id: str
    timestamp: datetime
    data: str
    """The entity after the change, as JSON text. `document()` parses it."""
    user_id: str | None = None
    tenant_id: str | None = None
    changes: str | None = None
    """Old and new value of each changed field, as JSON text."""
    seq: int | None = None
    actor_type: str | None = None
    acting_for: str | None = None
    schema_version: str | None = None
    cdc_source: str | None = None
    duration_ms: int | None = None
    stream_seq: int
    stream_row: int
    stream_time: datetime

    @property
    def position(self) -> Position:
        """Where it stands in the log."""
        return Position(self.stream_seq, self.stream_row)

    def document(self) -> Any:
        """`data`, parsed."""
        return json.loads(self.data)


_FIELDS = {field.name for field in fields(Event)}


def events_of(batch: pa.RecordBatch) -> Iterator[Event]:
    """The rows of a batch. Columns that this version does not know are left out."""
    known = [name for name in batch.schema.names if name in _FIELDS]
    columns = [batch.column(name).to_pylist() for name in known]
    for row in zip(*columns, strict=True):
        yield Event(**dict(zip(known, row, strict=True)))
