"""Reads FraiseQL's change log in PostgreSQL. It needs SELECT on the table and writes nothing."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import asyncpg

from fraiseql_assets.addresses import without_credentials
from fraiseql_assets.bridge.database import sql, translated
from fraiseql_assets.bridge.errors import BridgeError, NumberingRestarted
from fraiseql_assets.bridge.gaps import Activity
from fraiseql_assets.bridge.position import Position
from fraiseql_assets.bridge.table import Table, check_table
from fraiseql_assets.settings import Settings

STATEMENT_SECONDS = 60.0
CLOSE_SECONDS = 1.0
RECENT_NUMBERS = 10_000
"""How many of the last numbers may belong to open transactions when a bridge starts with new
rows."""
MOST_COUNTED = 1_000_000
LOCK = "fraiseql-assets bridge "


@dataclass(frozen=True, slots=True)
class Page:
    """The next rows."""

    rows: Sequence[Mapping[str, Any]]
    is_last: bool
    """Whether no more rows were visible."""

    @property
    def numbers(self) -> list[int]:
        return [row["number"] for row in self.rows]


class ChangeLog:
    """The change log over one connection."""

    def __init__(self, connection: asyncpg.Connection, table: Table, where: str) -> None:
        self._connection, self._table, self._where = connection, table, where

    async def claim(self, bridge: str) -> bool:
        """Whether this is the only bridge of its name, until the connection ends."""
        with translated(self._where):
            claimed = await self._connection.fetchval(
                "SELECT pg_try_advisory_lock(hashtextextended($1, 0))", LOCK + bridge
            )
        return bool(claimed)

    async def listen(self, channel: str, wake: Callable[[], None]) -> None:
        """Calls `wake` for every notification on the channel."""

        def notified(*_: object) -> None:
            wake()

        with translated(self._where):
            await self._connection.add_listener(channel, notified)

    async def activity(self) -> Activity:
        """The transactions that run now."""
        with translated(self._where):
            row = await self._connection.fetchrow(sql("read_activity"), self._table.oid)
        assert row is not None
        return Activity(frozenset(row["writers"]), row["oldest"], row["next"])

    async def page(self, ranges: tuple[list[int], list[int]], *, rows: int, size: int) -> Page:
        """The next rows in these ranges of numbers, limited in number and approximate size."""
        statement = sql(
            "read_rows",
            table=self._table.name,
            columns=self._table.selected,
            bytes=self._table.size,
            rows=rows,
        )
        with translated(self._where):
            found = await self._connection.fetch(statement, *ranges, size)
        is_last = not found or len(found) == found[0]["found"] < rows
        return Page([dict(row) for row in found], is_last)

    async def id_of(self, number: int) -> str | None:
        """The id of the row with a number, None if there is no such row or id."""
        return (await self._bounds(number))["id"]

    async def first_number(self) -> int | None:
        """The smallest number of a row."""
        return (await self._bounds(0))["first"]

    async def recent_numbers(self) -> list[int]:
        """The last row numbers, ascending."""
        statement = sql("read_recent_numbers", table=self._table.name, rows=RECENT_NUMBERS)
        with translated(self._where):
            found = await self._connection.fetch(statement)
        return [row["number"] for row in reversed(found)]

    async def check_numbering(self, position: Position) -> None:
        """Checks that the position belongs to this table.

        Raises:
            NumberingRestarted: the table has been rebuilt, or restored to an earlier state.
        """
        bounds = await self._bounds(position.head)
        last, own = bounds["last"], bounds["id"]
        if last is not None and last < position.head:
            what = f"ends at row {last:,}"
        elif None not in (own, position.head_id) and own != position.head_id:
            what = f"has another row {position.head:,}"
        else:
            return
        raise NumberingRestarted(
            f"{self._table.name} {what}, and the bridge has published up to row "
            f"{position.head:,}: the table was rebuilt, or restored to an earlier state. To "
            "publish what it holds now, give the bridge a new name in FRAISEQL_BRIDGE_NAME; with "
            "--start now it leaves out the rows that are there."
        )

    async def behind(self, ranges: tuple[list[int], list[int]]) -> tuple[int, float]:
        """The number of visible rows in the ranges, counted up to a million, and the age of the
        first in seconds."""
        statement = sql("count_behind", table=self._table.name, most=MOST_COUNTED)
        with translated(self._where):
            row = await self._connection.fetchrow(statement, *ranges)
        assert row is not None
        return row["rows"], row["seconds"] or 0.0

    async def _bounds(self, number: int) -> asyncpg.Record:
        own = "id" if "id" in self._table.columns else "NULL"
        with translated(self._where):
            row = await self._connection.fetchrow(
                sql("read_bounds", table=self._table.name, id=own), number
            )
        assert row is not None
        return row


@asynccontextmanager
async def open_change_log(settings: Settings) -> AsyncIterator[ChangeLog]:
    """Connects to the database and checks the table, for the duration of the block.

    Raises:
        DatabaseUnavailable: PostgreSQL does not answer.
        BridgeError: it refuses the credentials, or the table cannot be read completely.
    """
    url = settings.database_url.get_secret_value()
    where = without_credentials(url)
    with translated(where):
        try:
            connection = await asyncpg.connect(
                url,
                timeout=max(1, int(settings.probe_timeout_seconds)),
                command_timeout=STATEMENT_SECONDS,
                server_settings={
                    "application_name": "fraiseql-assets bridge",
                    # For times without a zone, in older tables.
                    "timezone": "UTC",
                },
            )
        except asyncpg.ClientConfigurationError as error:
            raise BridgeError(f"FRAISEQL_DATABASE_URL: {error}") from error
    try:
        table = await check_table(connection, settings.bridge_table, where)
        yield ChangeLog(connection, table, where)
    finally:
        # Closing a lost connection fails, which does not matter.
        with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            await connection.close(timeout=CLOSE_SECONDS)
