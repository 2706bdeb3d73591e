"""The interface of a plane for the pipeline that fills it and the service that reads it.

Two planes implement these protocols, `analytics` over ClickHouse and `operational` over
Elasticsearch. They know datasets and ranges, but not each other. One contract suite tests both.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, Protocol, Self

import pyarrow as pa

from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.datasets import Dataset
from fraiseql_assets.erasures import Erasure
from fraiseql_assets.events.messages import Reject
from fraiseql_assets.ranges import SequenceRange


class PlaneError(Exception):
    """A request to a plane failed; the message says which plane, what failed and what to do."""


class PlaneUnavailable(PlaneError):
    """The plane's server cannot be reached, refuses the credentials, or has no room: try later."""


class PlaneNotSetUp(PlaneError):
    """The server answers but the tables or indices are missing: run `fraiseql-assets setup`."""


class PlaneOff(PlaneError):
    """The plane is switched off by a setting."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The {name} plane is switched off. FRAISEQL_{name.upper()}_PLANE switches it on."
        )


@dataclass(frozen=True, slots=True)
class Batching:
    """How a range is divided into blocks. The same range and batching give the same blocks."""

    batch_messages: int
    batch_bytes: int
    block_rows: int
    block_bytes: int

    def __str__(self) -> str:
        return f"{self.batch_messages}/{self.batch_bytes}/{self.block_rows}/{self.block_bytes}"

    @classmethod
    def parse(cls, text: str) -> "Batching":
        return cls(*map(int, text.split("/")))


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """A range of the log in a plane's ledger.

    A range is *begun* before its first block is written and *committed* after its last. A range
    that was begun and not committed is requested again with the same bounds and batching. A whole
    partition is begun just before its replacement is swapped in. If it is not committed, it is
    rebuilt again.
    """

    stream: str
    range: SequenceRange
    day: date
    state: Literal["begun", "committed"]
    batching: Batching
    attempt: int
    run_id: str
    at: datetime
    messages: int = 0
    """Messages that the log held in the range when it was read."""
    rows: int = 0
    """Rows of the range that the plane holds."""
    duplicates: int = 0
    dead_letters: int = 0
    kind: Literal["range", "partition"] = "range"
    source: str = "log"
    """Where the rows came from: `log`, or the name of the other plane if the log no longer had
    them, or both, joined by `+`."""


@dataclass(frozen=True, slots=True)
class Block:
    """One unit of writing: consecutive rows of one range, never empty."""

    table: pa.Table
    stream: str
    range: SequenceRange
    day: date
    number: int
    """The UTC day of its rows, by the time when the log stored them."""
    token: str
    """Identifies the block; it is the same in every attempt. Opaque."""
    replay: bool = False
    """The rows are replayed after a run could not write them. Rows that the day now holds from the
    same log position are not changed."""


@dataclass(frozen=True, slots=True)
class Written:
    """The result of writing one block."""

    rows: int
    """Rows of this block that the plane holds after the call, written by this call or by an
    earlier attempt."""
    duplicates: int
    """Rows left out because the day already holds a row with the same id."""
    refused: list[Reject]
    """Rows that the plane rejects permanently; they are stored as dead-letter messages."""


class Replacement(Protocol):
    """A partition that is being rebuilt. Readers see the live partition until `swap`."""

    def write(self, block: Block) -> Written:
        """Adds a block to the new partition."""
        ...

    def write_all(self, blocks: Iterable[Block]) -> Generator[Written]:
        """Adds blocks to the new partition, as `Plane.write_all` does to the live one."""
        ...

    def count(self) -> int:
        """How many rows the new partition holds."""
        ...

    def missing(self, most: int) -> list[str]:
        """The ids of up to `most` rows that are in the live partition and not in this one."""
        ...

    def swap(self, entry: LedgerEntry) -> None:
        """Replaces the live partition with the new one, atomically for readers, and records `entry`
        as the only committed range of the day."""
        ...

    def abandon(self) -> None:
        """Drops the new partition; the live partition is unchanged."""
        ...


@dataclass(frozen=True, slots=True)
class DayCounts:
    """What a plane holds for one day, counted from the rows."""

    rows: int
    distinct_ids: int
    first_seq: int
    last_seq: int


class Plane(Protocol):
    """The writing side of a plane, for one dataset."""

    name: str
    dataset: Dataset

    def ping(self) -> None:
        """Returns if the server answers and is set up.

        Raises:
            PlaneUnavailable: it does not answer within the probe timeout, or refuses the
                credentials.
            PlaneNotSetUp: it answers, but the tables or indices are missing.
        """
        ...

    def describe(self) -> str:
        """A short description of the server: its address and version."""
        ...

    def setup(self) -> list[str]:
        """Creates or migrates what the plane needs; idempotent. Returns what was done, as lines."""
        ...

    def ledger(self, stream: str, day: date | None = None) -> list[LedgerEntry]:
        """The newest entry of every range, of one day or of all, by first sequence."""
        ...

    def record(self, entry: LedgerEntry) -> None:
        """Writes an entry, which replaces an older one of the same range. Durable on return."""
        ...

    def compact(self, entry: LedgerEntry) -> None:
        """Records `entry` and deletes the committed entries of its day that it covers. If the
        process dies in between, the covered entries are ignored."""
        ...

    def write(self, block: Block) -> Written:
        """Writes a block into the live partition, exactly once however often it is called."""
        ...

    def write_all(self, blocks: Iterable[Block]) -> Generator[Written]:
        """Writes blocks of one range as `write` does, and yields the results in order.

        It may take blocks before it yields the results of the ones before. After an error, a block
        that was taken may have been written or not.
        """
        ...

    def replace(self, day: date) -> Replacement:
        """Begins rebuilding a day."""
        ...

    def count(self, day: date, *, distinct: bool = True) -> DayCounts:
        """Counts the rows of a day. Without `distinct`, which takes most of the time, all ids are
        assumed to be distinct."""
        ...

    def events(self, day: date, last: int) -> Iterator[pa.RecordBatch]:
        """Yields a day's rows up to the sequence `last`, in log order, in record batches of the
        dataset's schema. A rebuild uses them where the log is incomplete."""
        ...

    def record_erasure(self, erasure: Erasure) -> None:
        """Records an erasure before the events are removed. Durable on return."""
        ...

    def erasures(self, stream: str) -> list[Erasure]:
        """All recorded erasures."""
        ...

    def erased_days(self, erasure: Erasure) -> list[date]:
        """The days that hold events matched by an erasure."""
        ...

    def enforce_retention(self, today: date) -> list[str]:
        """Drops expired data that the server does not drop by itself."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class PartitionStats:
    """Statistics of one partition of an asset in its plane."""

    day: date
    rows: int
    bytes: int
    materialised_at: datetime | None


class AssetReader(Protocol):
    """The reading side of a plane. Thread-safe."""

    def of_tenant(self, tenant: str | None) -> Self:
        """A reader to which the plane has this tenant's rows alone, all tenants' if it is None.

        Rows, partitions, sizes and aggregates are those of the tenant's own events. An aggregate
        that counts all tenants together is computed from the tenant's raw events, so it reaches as
        far back as these are kept.
        """
        ...

    def assets(self) -> Sequence[str]:
        """The asset keys it serves, such as `analytics/events`."""
        ...

    def schema(self, asset: str) -> pa.Schema:
        """The Arrow schema of an asset. `batches` yields exactly this schema."""
        ...

    def partitions(
        self, asset: str, *, cancellation: Cancellation | None = None
    ) -> list[PartitionStats]:
        """The partitions that hold rows, ascending by day. For an aggregate, the day is the one on
        which its events were stored. `cancellation` cancels the query on the server, which then
        raises some error."""
        ...

    def rows(
        self,
        asset: str,
        days: Sequence[date] | None,
        *,
        cancellation: Cancellation | None = None,
    ) -> int:
        """The number of rows that `batches` yields for the given days, or for all. `cancellation`
        is that of `partitions`."""
        ...

    def batches(
        self,
        asset: str,
        days: Sequence[date] | None = None,
        *,
        entity_type: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        limit: int | None = None,
        cancellation: Cancellation | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Streams an asset in record batches of its schema, for some partitions or for all.

        Rows of an aggregate are merged over the partitions.

        `entity_type`, `start` (inclusive) and `end` (exclusive) filter the `…/events` assets; both
        times apply to the events' own timestamps. Closing the iterator cancels the query on the
        server. So does `cancellation`, also while the next batch is awaited, which then raises
        some error.

        Raises:
            PlaneUnavailable: the server cannot be reached.
        """
        ...


def committed_ranges(entries: Iterable[LedgerEntry]) -> list[SequenceRange]:
    """The committed ranges of a ledger."""
    return [entry.range for entry in entries if entry.state == "committed"]
