"""The plane's ledger: the begun and committed ranges of the log in ClickHouse."""

from datetime import UTC, date

from clickhouse_connect.driver.client import Client

from fraiseql_assets.analytics.client import sql
from fraiseql_assets.analytics.setup import LEDGER_TABLE
from fraiseql_assets.ledger import entry_of, in_force, row_of
from fraiseql_assets.planes import LedgerEntry


def read_ledger(client: Client, stream: str, day: date | None) -> list[LedgerEntry]:
    """The newest entry of every range, of one day or of all, by first sequence."""
    found = client.query(sql("select_ledger"), parameters={"stream": stream, "day": day})
    return in_force(
        entry_of(row, day=row["day"], at=row["at"].replace(tzinfo=UTC))
        for row in found.named_results()
    )


def write_entry(client: Client, entry: LedgerEntry) -> None:
    """Writes an entry. It replaces an older entry of the same range."""
    row = row_of(entry)
    client.insert(
        LEDGER_TABLE, [list(row.values())], column_names=list(row), settings={"async_insert": 0}
    )


def delete_others_of_day(client: Client, entry: LedgerEntry) -> None:
    """Deletes the entries of the day other than `entry`, which replaced them."""
    client.command(
        sql("delete_ledger_of_day"),
        parameters=_bounds(entry),
    )


def delete_covered(client: Client, entry: LedgerEntry) -> None:
    """Deletes the other committed entries of the day that `entry` covers."""
    client.command(sql("delete_ledger_covered"), parameters=_bounds(entry))


def delete_entries_before(client: Client, day: date) -> int:
    """Deletes the entries of all days before a day. Returns their number."""
    parameters = {"day": day}
    found = client.query(sql("count_ledger_before"), parameters=parameters).result_rows[0][0]
    if found:
        client.command(sql("delete_ledger_before"), parameters=parameters)
    return found


def _bounds(entry: LedgerEntry) -> dict[str, object]:
    return {
        "stream": entry.stream,
        "day": entry.day,
        "first": entry.range.first,
        "last": entry.range.last,
    }
