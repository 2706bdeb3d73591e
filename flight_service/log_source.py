"""The assets `stream/…`: the messages of a log, decoded while they are read, by day."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa

from flight_service.assets import Asset
from flight_service.flights import Extent, Part
from flight_service.stream_client import SharedLog
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.catalogue import STREAM_EVENTS
from fraiseql_assets.datasets import EVENTS, Dataset
from fraiseql_assets.planes import Batching
from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.log import Log
from fraiseql_assets.tenants import rows_of

AHEAD = 2
READ_BYTES = 2**20
"""Bytes of messages decoded at once. A compressed Arrow message may decode to six times that."""
ABOUT = (
    *("rows", "bytes", "messages", "first_sequence", "last_sequence"),
    *("partitions", "first_partition", "last_partition", "last_materialisation"),
)
"""The keys of an extent of the log."""


@dataclass(frozen=True, slots=True)
class LogSource:
    """The log of a dataset; see `flight_service.assets.AssetSource`.

    A row that was published twice occurs twice. Messages that cannot be decoded have no rows. The
    number of rows of a message is unknown before it is decoded, so an extent counts messages.
    """

    settings: Settings
    key: str = STREAM_EVENTS.key
    dataset: Dataset = EVENTS
    tenant: str | None = None
    """The tenant to which rows are limited; None for all rows."""
    log: SharedLog[Log] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "log", SharedLog(self._log))

    @property
    def schema(self) -> pa.Schema:
        return self.dataset.schema

    def of_tenant(self, tenant: str | None) -> "LogSource":
        limited = replace(self, tenant=tenant)
        # All tenants share a connection.
        object.__setattr__(limited, "log", self.log)
        return limited

    def extent(self, ticket: Asset, cancellation: Cancellation) -> Extent:
        if self.tenant is not None:
            # Positions, days and sizes of the log include the messages of every tenant.
            return Extent(about=dict.fromkeys(ABOUT))
        with self.log.opened() as log:
            bounds = log.bounds()
            days = dict(_ranges(log, ticket))
        return Extent(
            bytes=bounds.bytes if ticket.whole else None,
            parts=tuple(_part(self.key, day, sequences) for day, sequences in days.items()),
            about={
                "rows": None,
                "bytes": bounds.bytes if ticket.whole else None,
                "messages": bounds.messages if ticket.whole else None,
                "first_sequence": min(
                    (sequences.first for sequences in days.values()), default=None
                ),
                "last_sequence": max((sequences.last for sequences in days.values()), default=None),
                "partitions": len(days),
                "first_partition": f"{min(days)}" if days else None,
                "last_partition": f"{max(days)}" if days else None,
                "last_materialisation": None,
            },
        )

    def stream(self, ticket: Asset, cancellation: Cancellation) -> Iterator[pa.RecordBatch]:
        with self.log.opened() as log:
            for _, sequences in _ranges(log, ticket):
                for messages in log.read(sequences, batching_of(self.settings), ahead=AHEAD):
                    # There may be nothing to send for a long time, and a cancelled call must end.
                    if cancellation.over:
                        return
                    for batch in self.dataset.decode(messages).batches:
                        kept = rows_of(batch, self.tenant)
                        if kept.num_rows:
                            yield kept

    def _log(self) -> Log:
        return Log(
            self.settings, name="fraiseql flight", reconnect_seconds=30, dataset=self.dataset
        )


def batching_of(settings: Settings) -> Batching:
    """The batching for reading the log. Its block sizes are not used here."""
    return Batching(settings.batch_rows, READ_BYTES, settings.batch_rows, READ_BYTES)


def _ranges(log: Log, ticket: Asset) -> Iterator[tuple[date, SequenceRange]]:
    """The selected days of the log, each with its sequence range."""
    first = log.position_from(log.bounds().first)
    if first is None:
        return
    day, today = first.day, datetime.now(UTC).date()
    while day <= today:
        sequences = log.day_range(day) if ticket.covers(day) else None
        if sequences:
            yield day, sequences
        day += timedelta(days=1)


def _part(key: str, day: date, sequences: SequenceRange) -> Part:
    return Part(
        Asset(asset=key, partition=day),
        {"partition": f"{day}", "first_sequence": sequences.first, "last_sequence": sequences.last},
    )
