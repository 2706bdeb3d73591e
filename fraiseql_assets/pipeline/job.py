"""The parameters of a materialisation, and its report."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

import pyarrow as pa

from fraiseql_assets.planes import Batching
from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.settings import Settings


class IngestError(Exception):
    """A range or day cannot be materialised as requested; a retry would not help."""


def never_stop() -> None:
    """The checkpoint of a job that is never stopped."""


@dataclass(frozen=True, slots=True)
class Job:
    """The run that materialises, and its parameters."""

    run_id: str
    attempt: int
    batching: Batching
    ahead: int
    """The most batches that are queued between two stages."""
    checkpoint: Callable[[], None] = never_stop
    """Called before every block. It raises an error if the work must stop."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a materialisation did."""

    range: SequenceRange | None = None
    messages: int = 0
    rows: int = 0
    duplicates: int = 0
    dead_letters: int = 0
    blocks: int = 0
    seconds: float = 0.0
    source: str = "log"
    already_committed: bool = False
    missing: int = 0
    """Sequences that the log no longer held."""
    newest: datetime | None = None
    preview: pa.Table | None = field(default=None, repr=False)

    def plus(self, part: "Report") -> "Report":
        """This report plus the counts of another part; range and source are unchanged."""
        return replace(
            self,
            messages=self.messages + part.messages,
            rows=self.rows + part.rows,
            duplicates=self.duplicates + part.duplicates,
            dead_letters=self.dead_letters + part.dead_letters,
            blocks=self.blocks + part.blocks,
            missing=self.missing + part.missing,
            newest=part.newest or self.newest,
            preview=part.preview or self.preview,
        )


def default_batching(settings: Settings) -> Batching:
    """The batching in the settings."""
    return Batching(
        settings.batch_rows, settings.batch_bytes, settings.block_rows, settings.block_bytes
    )
