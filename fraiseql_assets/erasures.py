# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute creates its functions at import, so a type checker cannot see them)
"""Erased events, which no run and no rebuild writes again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True, slots=True)
class Erasure:
    """One event, or all events of one entity, up to a sequence of the log."""

    stream: str
    upto: int
    """The last sequence of the log at the time of the request. Later events are not erased."""
    at: datetime
    event_id: str = ""
    """The id of the event; empty if an entity is erased."""
    entity_type: str = ""
    entity_id: str = ""

    @property
    def key(self) -> str:
        """Identifies the erasure; repeated requests have the same key."""
        return self.event_id or f"{self.entity_type}/{self.entity_id}"

    def __str__(self) -> str:
        if self.event_id:
            return f"event {self.event_id}"
        return f"entity {self.entity_type} {self.entity_id}"

    def matches(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        """Which events of a batch are erased."""
        early = pc.less_equal(batch["stream_seq"], self.upto)
        if self.event_id:
            return pc.and_(early, pc.equal(batch["event_id"], self.event_id))
        same = pc.and_(
            pc.equal(batch["entity_type"], self.entity_type),
            pc.equal(batch["entity_id"], self.entity_id),
        )
        return pc.and_(early, same)


def without_erased(batch: pa.RecordBatch, erasures: Sequence[Erasure]) -> pa.RecordBatch:
    """The events of a batch that are not erased; the batch itself if none is erased."""
    for erasure in erasures:
        found = erasure.matches(batch)
        if pc.any(found).as_py():
            batch = batch.filter(pc.invert(found))
    return batch
