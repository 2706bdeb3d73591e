"""What a plane promises to the pipeline that fills it and to the service that reads it.

Two planes implement these protocols, `analytics` over ClickHouse and `operational` over
Elasticsearch. They know datasets and ranges, never each other; one contract suite runs on both.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, Protocol

import pyarrow as pa

from fraiseql_assets.datasets import Dataset
from fraiseql_assets.erasures import Erasure
from fraiseql_assets.events.messages import Reject
from fraiseql_assets.ranges import SequenceRange


class PlaneError(Exception):
    """A plane could not do what was asked; the message says which, what and what to do."""


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
    """How a range is divided into blocks: the same range with the same batching gives the same
    blocks."""

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
    begun and not committed is asked for again with exactly its own bounds and batching. A whole
    partition is begun just before its replacement is swapped in; begun and not committed, it is
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
    """Where the rows came from: `log`, the other plane's name where the log no longer had them, or
    both, joined by `+`."""


@dataclass(frozen=True, slots=True)
class Block:
    """One unit of writing: consecutive rows of one range, never empty."""

    table: pa.Table
    stream: str
    range: SequenceRange
    day: date
    number: int
    """Its number in the range, from 0."""
    token: str
    """The same for the same block in every attempt, and for no other block. Opaque."""
    replay: bool = False
    """Rows that a run could not write and that are written after it: those that the day holds by
    now, from their own log position, are left as they are."""


@dataclass(frozen=True, slots=True)
class Written:
    """What became of one block."""

    rows: int
    """Rows that the plane holds of this block after the call, whether this call wrote them or an
    earlier attempt did."""
    duplicates: int
    """Rows left out since the day already holds a row of that id."""
    refused: list[Reject]
    """Rows that the plane will never take; they go to the dead letters."""


class Replacement(Protocol):
    """A partition being rebuilt beside the live one, which readers go on seeing until `swap`."""

    def write(self, block: Block) -> Written:
        """Adds a block to the new partition."""
        ...

    def count(self) -> int:
        """How many rows the new partition holds."""
        ...

    def missing(self, most: int) -> list[str]:
        """The ids of up to `most` rows that the live partition holds and this one lacks."""
        ...

    def swap(self, entry: LedgerEntry) -> None:
        """Replaces the live partition by the new one, atomically for readers, and records `entry`
        as the day's one committed range."""
        ...

    def abandon(self) -> None:
        """Drops what was built; the live partition stays."""
        ...


@dataclass(frozen=True, slots=True)
class DayCounts:
    """What a plane holds of one day, counted from the rows themselves."""

    rows: int
    distinct_ids: int
    first_seq: int
    last_seq: int


class Plane(Protocol):
    """The writing side of a plane, for one dataset."""

    name: str
    dataset: Dataset

    def ping(self) -> None:
        """Returns when the server answers and is set up.

        Raises:
            PlaneUnavailable: it does not answer in the probe time, or refuses the credentials.
            PlaneNotSetUp: it answers, but the tables or indices are missing.
        """
        ...

    def describe(self) -> str:
        """Where the server is and which version it has, in a few words."""
        ...

    def setup(self) -> list[str]:
        """Creates or migrates what the plane needs; idempotent. Returns what it did, in lines."""
        ...

    def ledger(self, stream: str, day: date | None = None) -> list[LedgerEntry]:
        """The newest entry of every range, of one day or of all, by first sequence."""
        ...

    def record(self, entry: LedgerEntry) -> None:
        """Writes an entry over an older one of the same range; durable when it returns."""
        ...

    def compact(self, entry: LedgerEntry) -> None:
        """Records `entry` and deletes the committed entries of its day that it covers. If the
        process dies in between, these are ignored."""
        ...

    def write(self, block: Block) -> Written:
        """Writes a block into the live partition, exactly once however often it is called."""
        ...

    def replace(self, day: date, run_id: str) -> Replacement:
        """Begins rebuilding a day."""
        ...

    def count(self, day: date, *, distinct: bool = True) -> DayCounts:
        """Counts a day's rows; without `distinct`, which costs most of the time, its ids are taken
        to be as many."""
        ...

    def events(self, day: date, last: int) -> Iterator[pa.RecordBatch]:
        """A day's rows up to the sequence `last`, in the log's order, in record batches of the
        dataset's schema: what a rebuild takes where the log is incomplete."""
        ...

    def record_erasure(self, erasure: Erasure) -> None:
        """Records that events are erased, before they are removed; durable when it returns."""
        ...

    def erasures(self, stream: str) -> list[Erasure]:
        """Every erasure that was recorded."""
        ...

    def erased_days(self, erasure: Erasure) -> list[date]:
        """The days that hold events of an erasure."""
        ...

    def enforce_retention(self, today: date) -> list[str]:
        """Drops what is past its retention, where the server does not do so itself."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class PartitionStats:
    """One partition of an asset as its plane holds it."""

    day: date
    rows: int
    bytes: int
    materialised_at: datetime | None


class AssetReader(Protocol):
    """The reading side of a plane: its public readers. Thread-safe."""

    def assets(self) -> Sequence[str]:
        """The asset keys it serves, such as `analytics/events`."""
        ...

    def schema(self, asset: str) -> pa.Schema:
        """The asset's Arrow schema; what `batches` yields is identical to it."""
        ...

    def partitions(self, asset: str) -> list[PartitionStats]:
        """The partitions that hold rows, ascending by day: of an aggregate those whose events were
        stored on the day."""
        ...

    def rows(self, asset: str, days: Sequence[date] | None) -> int:
        """How many rows `batches` yields of some days, or of all."""
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
    ) -> Iterator[pa.RecordBatch]:
        """Streams an asset, of some partitions or of all, in record batches of its schema.

        Rows of an aggregate are merged over the partitions.

        `entity_type`, `start` (included) and `end` (excluded, both by the events' own timestamp)
        narrow the `…/events` assets. Closing the iterator ends the query on the server.

        Raises:
            PlaneUnavailable: the server cannot be reached.
        """
        ...


def committed_ranges(entries: Iterable[LedgerEntry]) -> list[SequenceRange]:
    """The ranges that are committed in a ledger."""
    return [entry.range for entry in entries if entry.state == "committed"]
