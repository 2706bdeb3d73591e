"""The plane's ledger: which ranges of the log are begun and committed in ClickHouse."""

from datetime import UTC, date
from typing import Any

from clickhouse_connect.driver.client import Client

from fraiseql_assets.analytics.client import sql
from fraiseql_assets.analytics.setup import LEDGER_TABLE
from fraiseql_assets.planes import Batching, LedgerEntry, in_force
from fraiseql_assets.ranges import SequenceRange

COLUMNS = (
    "stream", "first", "last", "day", "kind", "state", "cut", "attempt", "run_id", "at",
    "messages", "rows", "duplicates", "dead_letters", "source",
)  # fmt: skip


def read_ledger(client: Client, stream: str, day: date | None) -> list[LedgerEntry]:
    """The newest entry of every range, of one day or of all, by first sequence."""
    found = client.query(sql("select_ledger"), parameters={"stream": stream, "day": day})
    return in_force(map(_entry, found.named_results()))


def write_entry(client: Client, entry: LedgerEntry) -> None:
    """Writes an entry over an older one of the same range."""
    row = [
        entry.stream, entry.range.first, entry.range.last, entry.day, entry.kind, entry.state,
        str(entry.batching), entry.attempt, entry.run_id, entry.at.astimezone(UTC), entry.messages,
        entry.rows, entry.duplicates, entry.dead_letters, entry.source,
    ]  # fmt: skip
    client.insert(LEDGER_TABLE, [row], column_names=COLUMNS, settings={"async_insert": 0})


def forget_others_of_day(client: Client, entry: LedgerEntry) -> None:
    """Removes the entries of the day that `entry` has replaced."""
    client.command(
        sql("delete_ledger_of_day"),
        parameters={
            "stream": entry.stream,
            "day": entry.day,
            "first": entry.range.first,
            "last": entry.range.last,
        },
    )


def forget_before(client: Client, day: date) -> int:
    """Removes the entries of the days before a day. Returns how many there were."""
    parameters = {"day": day}
    found = client.query(sql("count_ledger_before"), parameters=parameters).result_rows[0][0]
    if found:
        client.command(sql("delete_ledger_before"), parameters=parameters)
    return found


def _entry(row: dict[str, Any]) -> LedgerEntry:
    return LedgerEntry(
        stream=row["stream"],
        range=SequenceRange(row["first"], row["last"]),
        day=row["day"],
        state=row["state"],
        batching=Batching.parse(row["cut"]),
        attempt=row["attempt"],
        run_id=row["run_id"],
        at=row["at"].replace(tzinfo=UTC),
        messages=row["messages"],
        rows=row["rows"],
        duplicates=row["duplicates"],
        dead_letters=row["dead_letters"],
        kind=row["kind"],
        source=row["source"],
    )
