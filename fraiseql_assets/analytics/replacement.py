"""Rebuilding a day of the analytics plane beside the live one, and swapping it in."""

from datetime import date

from clickhouse_connect.driver.client import Client

from fraiseql_assets.analytics.client import translated
from fraiseql_assets.analytics.ledger import forget_others_of_day, read_ledger, write_entry
from fraiseql_assets.analytics.setup import AGGREGATES, EVENTS_TABLE
from fraiseql_assets.analytics.writer import write_block
from fraiseql_assets.planes import Block, LedgerEntry, PlaneError, Written
from fraiseql_assets.settings import Settings


class PartitionReplacement:
    """A day's events in staging tables, which take the place of the live partition in `swap`.

    Each table's partition is replaced in one atomic step, so a reader of one table sees the day as
    it was or as it will be, never half of it.
    """

    def __init__(self, client: Client, settings: Settings, day: date, run_id: str) -> None:
        self._client, self._settings = client, settings
        self._day = day
        # Runs of a plane are serialised and a day has one staging place: what a killed run left
        # there is dropped by the next.
        suffix = f"staging_{day:%Y%m%d}"
        self._run_id = run_id
        self._staging = {
            table: f"{table}_{suffix}"
            for table in (EVENTS_TABLE, *(aggregate.state_table for aggregate in AGGREGATES))
        }
        self.abandon()
        for table, staging in self._staging.items():
            self._client.command(f"CREATE TABLE {staging} AS {table}")

    def write(self, block: Block) -> Written:
        with translated(self._settings):
            return write_block(self._client, self._staging[EVENTS_TABLE], block)

    def swap(self, entry: LedgerEntry) -> None:
        with translated(self._settings):
            self._refuse_to_lose_events(entry)
            self._refuse_to_lose_ranges(entry)
            for aggregate in AGGREGATES:
                self._client.command(
                    f"INSERT INTO {self._staging[aggregate.state_table]} "
                    + aggregate.select(self._staging[EVENTS_TABLE])
                )
            for table, staging in self._staging.items():
                self._replace_partition(table, staging)
            write_entry(self._client, entry)
            forget_others_of_day(self._client, entry)
            self.abandon()

    def _replace_partition(self, table: str, staging: str) -> None:
        partition = f"PARTITION '{self._day:%Y-%m-%d}'"
        if self._client.command(f"SELECT count() FROM {staging}"):
            self._client.command(f"ALTER TABLE {table} REPLACE {partition} FROM {staging}")
        else:
            # ClickHouse replaces no partition by nothing.
            self._client.command(f"ALTER TABLE {table} DROP {partition}")

    def abandon(self) -> None:
        with translated(self._settings):
            for staging in self._staging.values():
                self._client.command(f"DROP TABLE IF EXISTS {staging} SYNC")

    def _refuse_to_lose_events(self, entry: LedgerEntry) -> None:
        """A run that is held to be dead and is not finds another at work in its staging place."""
        held = int(str(self._client.command(f"SELECT count() FROM {self._staging[EVENTS_TABLE]}")))
        if held != entry.rows:
            raise PlaneError(
                f"the new partition of {entry.day} holds {held:,} events instead of "
                f"{entry.rows:,}. Materialise the partition again."
            )

    def _refuse_to_lose_ranges(self, entry: LedgerEntry) -> None:
        outside = [
            str(other.range)
            for other in read_ledger(self._client, entry.stream, entry.day)
            if other.state == "committed" and not entry.range.covers(other.range)
        ]
        if outside:
            raise PlaneError(
                f"the day {entry.day} holds ranges that its replacement {entry.range} lacks: "
                f"{', '.join(outside)}. Materialise the partition again."
            )
