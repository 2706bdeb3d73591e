# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute makes its functions at import, out of a type checker's sight)
"""Filters of events: first by columns, then by values in their JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from flight_service.data_conditions import DataConditions


@dataclass(frozen=True, slots=True)
class EventFilter:
    """A filter of events. Without arguments it matches all."""

    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The accepted values of each column."""
    conditions: DataConditions | None = None
    """Conditions on `data`, for rows that match the columns."""

    def rows(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The matching rows."""
        for name, values in self.columns.items():
            wanted = pc.is_in(batch[name], pa.array(values, pa.utf8()))
            batch = batch.filter(wanted)
        if self.conditions is None or not batch.num_rows:
            return batch
        hold = self.conditions.hold
        return batch.filter(
            pa.array([hold(data) for data in batch["data"].to_pylist()], pa.bool_())
        )


def rows_from(batch: pa.RecordBatch, sequence: int, row: int) -> pa.RecordBatch:
    """The rows at or after a row of a message."""
    if not batch.num_rows or batch["stream_seq"][0].as_py() > sequence:
        return batch
    sequences = batch["stream_seq"]
    is_later = pc.greater(sequences, sequence)
    is_rest = pc.and_(pc.equal(sequences, sequence), pc.greater_equal(batch["stream_row"], row))
    return batch.filter(pc.or_(is_later, is_rest))
