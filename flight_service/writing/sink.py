"""The protocol of a sink, which writes the rows of a client, and its receipts."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

import msgspec
import pyarrow as pa

BATCH_BYTES = 64 * 2**20
"""The maximum size of a batch in memory."""


class Receipt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The result of one batch, or of several consecutive ones. Sent as JSON."""

    complete: bool = False
    """Whether it covers the whole stream."""
    batch: int | None = None
    """The number of the last batch that it covers; the first of a stream is 0."""
    batches: int = 0
    """How many batches it covers."""
    rows: int = msgspec.field(default_factory=int)
    table: str | None = None
    messages: int | None = None
    """The number of messages in the log for these rows."""
    duplicates: int | None = None
    """How many of them the log already had and did not store again."""
    first_sequence: int | None = None
    last_sequence: int | None = None
    warnings: tuple[str, ...] = ()

    def encode(self) -> bytes:
        """The receipt as JSON."""
        return msgspec.json.encode(self)

    def merged(self, later: "Receipt") -> "Receipt":
        """One receipt for the batches of this one and a later one."""
        return Receipt(
            batch=self.batch if later.batch is None else later.batch,
            batches=self.batches + later.batches,
            rows=self.rows + later.rows,
            table=self.table or later.table,
            messages=_sum(self.messages, later.messages),
            duplicates=_sum(self.duplicates, later.duplicates),
            first_sequence=_least(self.first_sequence, later.first_sequence),
            last_sequence=_most(self.last_sequence, later.last_sequence),
            warnings=tuple(dict.fromkeys((*self.warnings, *later.warnings))),
        )


Stored = Callable[[Receipt], None]
"""Called for each stored batch, in order, from any thread. Returns at once."""


class Sink(Protocol):
    """Writes the rows of one stream."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Writes a batch. Returns when it can accept another one.

        Raises:
            InvalidRequest: the rows are invalid; the message names the column.
            Forbidden: the principal may not write them.
            LogError, ServiceError: an earlier batch, or this one, could not be stored.
        """
        ...

    def waiting(self) -> AbstractContextManager[None]:
        """Surrounds a wait for the client."""
        ...

    def finish(self, has_gone: Callable[[], bool]) -> Receipt:
        """Waits until everything is stored. Returns the final receipt. `has_gone` says whether the
        client has disconnected. A transaction is not committed then, because the stream may be
        incomplete.

        Raises:
            LogError, ServiceError: a batch could not be stored.
        """
        ...

    def abandon(self) -> str:
        """Ends the stream after an error. Returns a sentence on what is stored nevertheless."""
        ...


def _sum(one: int | None, other: int | None) -> int | None:
    return one if other is None else other + (one or 0)


def _least(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else min(one, other)


def _most(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else max(one, other)
