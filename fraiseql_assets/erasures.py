# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute creates its functions at import, so a type checker cannot see them)
"""Erased events and requests, which no run and no rebuild writes again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True, slots=True)
class Erasure:
    """Rows that were erased up to a sequence of the log: one event, all events of one entity, one
    request, or all requests of one user."""

    stream: str
    upto: int
    """The last sequence of the log at the time of the request. Later rows are not erased."""
    at: datetime
    event_id: str = ""
    """The id of the event; empty if something else is erased, as all that follow."""
    entity_type: str = ""
    entity_id: str = ""
    request_id: str = ""
    user_id: str = ""
    """The user of requests."""

    @property
    def columns(self) -> dict[str, str]:
        """The columns that name the rows, with their values. A row has all of them."""
        names = ("event_id", "entity_type", "entity_id", "request_id", "user_id")
        return {name: value for name in names if (value := getattr(self, name))}

    @property
    def key(self) -> str:
        """Identifies the erasure; repeated requests have the same key."""
        if self.request_id or self.user_id:
            [[name, value]] = self.columns.items()
            return f"{name}:{value}"
        return self.event_id or f"{self.entity_type}/{self.entity_id}"

    def __str__(self) -> str:
        if self.event_id:
            return f"event {self.event_id}"
        if self.request_id:
            return f"request {self.request_id}"
        if self.user_id:
            return f"requests of user {self.user_id}"
        return f"entity {self.entity_type} {self.entity_id}"

    def matches(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        """Which rows of a batch are erased."""
        found = pc.less_equal(batch["stream_seq"], self.upto)
        for name, value in self.columns.items():
            found = pc.and_(found, pc.fill_null(pc.equal(batch[name], value), False))
        return found


def without_erased(batch: pa.RecordBatch, erasures: Sequence[Erasure]) -> pa.RecordBatch:
    """The rows of a batch that are not erased; the batch itself if none is erased."""
    for erasure in erasures:
        found = erasure.matches(batch)
        if pc.any(found).as_py():
            batch = batch.filter(pc.invert(found))
    return batch
