"""The analytics plane: ClickHouse as the pipeline uses it."""

from collections.abc import Generator, Iterable, Iterator
from datetime import date, timedelta
from functools import cached_property

import pyarrow as pa
from clickhouse_connect.driver.client import Client

from fraiseql_assets.analytics.client import address, connect, sql, translated
from fraiseql_assets.analytics.concurrent_inserts import write_overlapping
from fraiseql_assets.analytics.erasures import erased_days, read_erasures, write_erasure
from fraiseql_assets.analytics.layout import Layout
from fraiseql_assets.analytics.ledger import (
    delete_covered,
    delete_entries_before,
    read_ledger,
    write_entry,
)
from fraiseql_assets.analytics.replacement import PartitionReplacement
from fraiseql_assets.analytics.results import stream_result
from fraiseql_assets.analytics.setup import AGGREGATES, EVENTS_TABLE, LEDGER_TABLE, setup_tables
from fraiseql_assets.analytics.writer import write_live_block
from fraiseql_assets.datasets import EVENTS
from fraiseql_assets.erasures import Erasure
from fraiseql_assets.events.schema import EVENT_SCHEMA
from fraiseql_assets.planes import Block, DayCounts, LedgerEntry, PlaneNotSetUp, Written
from fraiseql_assets.settings import Settings


class AnalyticsPlane:
    """ClickHouse as a plane; `fraiseql_assets.planes.Plane` documents the methods."""

    name = "analytics"
    dataset = EVENTS

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def _client(self) -> Client:
        return connect(
            self._settings,
            timeout=self._settings.request_timeout_seconds,
            defaults=Layout.of(self._settings).exact,
        )

    def ping(self) -> None:
        client = connect(self._settings, timeout=self._settings.probe_timeout_seconds)
        try:
            with translated(self._settings):
                if not client.command(f"EXISTS TABLE {LEDGER_TABLE}"):
                    raise PlaneNotSetUp(
                        "ClickHouse has no table fraiseql_ledger. Run `fraiseql-assets setup`."
                    )
        finally:
            client.close()

    def describe(self) -> str:
        with translated(self._settings):
            version = self._client.command("SELECT version()")
        return f"ClickHouse {version} at {address(self._settings)}"

    def setup(self) -> list[str]:
        return setup_tables(self._settings)

    def ledger(self, stream: str, day: date | None = None) -> list[LedgerEntry]:
        with translated(self._settings):
            return read_ledger(self._client, stream, day)

    def record(self, entry: LedgerEntry) -> None:
        with translated(self._settings):
            write_entry(self._client, entry)

    def compact(self, entry: LedgerEntry) -> None:
        with translated(self._settings):
            write_entry(self._client, entry)
            delete_covered(self._client, entry)

    def write(self, block: Block) -> Written:
        return self._write_after(None, block)

    def write_all(self, blocks: Iterable[Block]) -> Generator[Written]:
        together = Layout.of(self._settings).blocks_at_a_time
        return write_overlapping(blocks, self._write_after, at_a_time=together)

    def _write_after(self, before: Block | None, block: Block) -> Written:
        with translated(self._settings):
            return write_live_block(self._client, EVENTS_TABLE, block, before)

    def replace(self, day: date) -> PartitionReplacement:
        with translated(self._settings):
            return PartitionReplacement(self._client, self._settings, day)

    def count(self, day: date, *, distinct: bool = True) -> DayCounts:
        statement = sql("count_day", ids="uniqExact(event_id)" if distinct else "count()")
        with translated(self._settings):
            rows = self._client.query(statement, parameters={"day": day}).result_rows
        return DayCounts(*rows[0])

    def events(self, day: date, last: int) -> Iterator[pa.RecordBatch]:
        return stream_result(
            self._client,
            self._settings,
            sql("select_day"),
            {"day": day, "last": last},
            EVENT_SCHEMA,
        )

    def compare_aggregates(self, day: date) -> dict[str, int]:
        """The number of a day's events, from the raw rows (`events`) and from each aggregate."""
        with translated(self._settings):
            found = self._client.query(sql("compare_aggregates"), parameters={"day": day})
        return dict(zip(found.column_names, found.result_rows[0], strict=True))

    def aggregate_rows(self, day: date) -> dict[str, int]:
        """How many rows each aggregate has for the events that were stored on a day."""
        with translated(self._settings):
            return {
                aggregate.name: self._client.query(
                    sql("count_aggregate", table=aggregate.state_table, key=aggregate.key),
                    parameters={"day": day},
                ).result_rows[0][0]
                for aggregate in AGGREGATES
            }

    def record_erasure(self, erasure: Erasure) -> None:
        with translated(self._settings):
            write_erasure(self._client, erasure)

    def erasures(self, stream: str) -> list[Erasure]:
        with translated(self._settings):
            return read_erasures(self._client, stream)

    def erased_days(self, erasure: Erasure) -> list[date]:
        with translated(self._settings):
            return erased_days(self._client, erasure)

    def enforce_retention(self, today: date) -> list[str]:
        """Deletes the ledger entries of expired days. The TTL of the tables drops the rows."""
        oldest = today - timedelta(days=self._settings.retention_raw_days - 1)
        with translated(self._settings):
            deleted = delete_entries_before(self._client, oldest)
        if not deleted:
            return []
        return [f"table {LEDGER_TABLE}: {deleted} entries of dropped days deleted"]

    def close(self) -> None:
        if "_client" in self.__dict__:
            self._client.close()
