"""The lag of a bridge behind its change log."""

from dataclasses import dataclass

from fraiseql_assets.bridge.change_log import open_change_log
from fraiseql_assets.bridge.gaps import GapTracker
from fraiseql_assets.bridge.positions import has_position, open_positions
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.connection import connect


@dataclass(frozen=True, slots=True)
class Lag:
    """A bridge's position, and what it has not published."""

    name: str
    started: bool
    """Whether it has a position."""
    published: int = 0
    head: int = 0
    saved_at: str = ""
    rows: int = 0
    """Visible rows that are not published, counted up to a million."""
    seconds: float = 0.0
    """The age of the first of them."""
    open_numbers: int = 0
    """Row numbers without a row, which may still be committed."""

    def __str__(self) -> str:
        if not self.started:
            return f"bridge {self.name}: has no position yet, {self.rows:,} rows to publish"
        waits = f"; {self.open_numbers:,} numbers without a row yet" if self.open_numbers else ""
        behind = f"{self.rows:,} rows behind, the first for {self.seconds:,.1f} s"
        return (
            f"bridge {self.name}: {self.published:,} events published, up to row {self.head:,} "
            f"at {self.saved_at}; {behind if self.rows else 'nothing to publish'}{waits}"
        )


async def lag_of(settings: Settings) -> Lag:
    """The lag of the bridge of these settings, whether it runs or not.

    Raises:
        BridgeError, DatabaseUnavailable, LogError: it cannot be found out.
    """
    async with (
        open_change_log(settings) as log,
        connect(settings, name="fraiseql-assets bridge status") as client,
    ):
        position = await (await open_positions(client, settings)).load()
        if position is None:
            rows, seconds = await log.behind(GapTracker(0).ranges(0))
            return Lag(settings.bridge_name, False, rows=rows, seconds=seconds)
        tracker = GapTracker(position.head, position.gaps)
        rows, seconds = await log.behind(tracker.ranges(len(position.gaps)))
        return Lag(
            name=settings.bridge_name,
            started=True,
            published=position.published,
            head=position.head,
            saved_at=position.saved_at,
            rows=rows,
            seconds=seconds,
            open_numbers=sum(last - first + 1 for first, last in position.gaps),
        )


async def lag_if_used(settings: Settings) -> Lag | None:
    """The lag of the bridge of these settings; None if no bridge has saved a position.

    Raises:
        BridgeError, DatabaseUnavailable, LogError: it cannot be found out.
    """
    async with connect(settings, name="fraiseql-assets bridge status") as client:
        if not await has_position(client, settings):
            return None
    return await lag_of(settings)
