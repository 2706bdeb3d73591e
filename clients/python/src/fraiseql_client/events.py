"""Events as objects."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import pyarrow as pa

LAST_ROW = 2**32 - 1


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

    @classmethod
    def whole(cls, sequence: int) -> "Position":
        """The position behind all rows of a message."""
        return cls(sequence, LAST_ROW)

    @classmethod
    def of_last(cls, batch: pa.RecordBatch) -> "Position":
        """The position of the last event of a batch."""
        return cls(batch["stream_seq"][-1].as_py(), batch["stream_row"][-1].as_py())

    @property
    def next(self) -> dict[str, int]:
        """The fields of a ticket that goes on behind it."""
        if self.row == LAST_ROW or self.sequence == 0:
            return {"start_sequence": self.sequence + 1}
        return {"start_sequence": self.sequence, "start_row": self.row + 1}

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
