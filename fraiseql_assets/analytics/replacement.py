"""Rebuilds a day of the analytics plane in staging tables and swaps it in."""

from collections.abc import Generator, Iterable
from datetime import date

from clickhouse_connect.driver.client import Client

from fraiseql_assets.analytics.client import sql, translated
from fraiseql_assets.analytics.concurrent_inserts import write_overlapping
from fraiseql_assets.analytics.layout import Layout
from fraiseql_assets.analytics.ledger import delete_others_of_day, read_ledger, write_entry
from fraiseql_assets.analytics.setup import AGGREGATES, EVENTS_SHARD, EVENTS_TABLE, Aggregate
from fraiseql_assets.analytics.writer import write_block
from fraiseql_assets.ledger import require_ranges_covered, require_rows_held
from fraiseql_assets.planes import Block, LedgerEntry, Written
from fraiseql_assets.settings import Settings


class PartitionReplacement:
    """A day's events in staging tables, which replace the live partition in `swap`.

    The partition of each table is replaced in one atomic step. A reader of one table sees either
    the old or the new day, never a mixture. On a cluster this holds for each shard.
    """

    def __init__(self, client: Client, settings: Settings, day: date) -> None:
        self._client, self._settings = client, settings
        self._day, self._layout = day, Layout.of(settings)
        # Runs of a plane are serialised and each day has one staging area. The next run drops
        # what a killed run left there.
        suffix = f"staging_{day:%Y%m%d}"
        self._staging = {
            table: f"{table}_{suffix}"
            for table in (EVENTS_TABLE, *(aggregate.state_table for aggregate in AGGREGATES))
        }
        self.abandon()
        shards = {
            EVENTS_TABLE: EVENTS_SHARD,
            **{each.state_table: each.shard for each in AGGREGATES},
        }
        for table, staging in self._staging.items():
            for statement in self._layout.copy(table, staging, shards[table]):
                self._client.command(statement)

    def write(self, block: Block) -> Written:
        return self._write_after(None, block)

    def write_all(self, blocks: Iterable[Block]) -> Generator[Written]:
        return write_overlapping(blocks, self._write_after, at_a_time=self._layout.blocks_at_a_time)

    def _write_after(self, before: Block | None, block: Block) -> Written:
        with translated(self._settings):
            return write_block(self._client, self._staging[EVENTS_TABLE], block, before)

    def swap(self, entry: LedgerEntry) -> None:
        with translated(self._settings):
            require_rows_held(entry, self.count())
            require_ranges_covered(entry, read_ledger(self._client, entry.stream, entry.day))
            for aggregate in AGGREGATES:
                self._fill(aggregate)
            for table, staging in self._staging.items():
                self._replace_partition(table, staging)
            write_entry(self._client, entry)
            delete_others_of_day(self._client, entry)
            self.abandon()

    def _fill(self, aggregate: Aggregate) -> None:
        select = aggregate.select(self._staging[EVENTS_TABLE])
        # A table of an older release has the newer columns at its end.
        described = self._client.query(f"DESCRIBE TABLE ({select})").result_rows
        columns = ", ".join(str(row[0]) for row in described)
        self._client.command(
            f"INSERT INTO {self._staging[aggregate.state_table]} ({columns}) {select}"
        )

    def _replace_partition(self, table: str, staging: str) -> None:
        is_empty = not self._client.command(f"SELECT count() FROM {staging}")
        for statement in self._layout.replace_partition(
            table,
            staging,
            f"{self._day:%Y-%m-%d}",
            is_empty=is_empty,
            knows=self._client.server_settings,
        ):
            self._client.command(statement)

    def abandon(self) -> None:
        with translated(self._settings):
            for staging in self._staging.values():
                for statement in self._layout.drop(staging):
                    self._client.command(statement)

    def missing(self, most: int) -> list[str]:
        tables = {"table": EVENTS_TABLE, "staging": self._staging[EVENTS_TABLE]}
        parameters = {"day": self._day, "most": most}
        with translated(self._settings):
            same = self._client.query(sql("compare_staging", **tables), parameters=parameters)
            if same.result_rows[0][0]:
                return []
            found = self._client.query(sql("select_missing", **tables), parameters=parameters)
        return [str(row[0]) for row in found.result_rows]

    def count(self) -> int:
        staging = self._staging[EVENTS_TABLE]
        with translated(self._settings):
            return int(str(self._client.command(f"SELECT count() FROM {staging}")))
