# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute makes its functions at import, out of a type checker's sight)
"""Reads the operational assets from Elasticsearch as Arrow streams, for single days or all days."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from elasticsearch import Elasticsearch

from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.catalogue import BY_KEY, OPERATIONAL_EVENTS, OPERATIONAL_REQUESTS
from fraiseql_assets.datasets import DATASETS, Dataset
from fraiseql_assets.events.schema import TIMESTAMP
from fraiseql_assets.operational.availability import IndexState
from fraiseql_assets.operational.client import connect, translated
from fraiseql_assets.operational.counts import rows_by_day
from fraiseql_assets.operational.filters import is_indexed, term
from fraiseql_assets.operational.indices import Names, live_days
from fraiseql_assets.operational.interruption import Interruption
from fraiseql_assets.operational.ledger import committed_at, committed_rows
from fraiseql_assets.operational.results import stream_day
from fraiseql_assets.planes import PartitionStats
from fraiseql_assets.settings import Settings
from fraiseql_assets.tenant_reader import TenantReader
from fraiseql_assets.tenants import COLUMN, rows_of

ASSETS = (OPERATIONAL_EVENTS.key, OPERATIONAL_REQUESTS.key)


class OperationalReader(TenantReader[Elasticsearch]):
    """The operational plane's reading side; see `fraiseql_assets.planes.AssetReader`."""

    @staticmethod
    def _connect(settings: Settings) -> Elasticsearch:
        return connect(settings, timeout=settings.request_timeout_seconds)

    def assets(self) -> Sequence[str]:
        return ASSETS

    def schema(self, asset: str) -> pa.Schema:
        return _dataset(asset).schema

    def partitions(
        self, asset: str, *, cancellation: Cancellation | None = None
    ) -> list[PartitionStats]:
        """See the protocol. Closed days are omitted. For a day whose shard is not started, the
        counts are those of the ledger."""
        names = Names.of(self._settings, _dataset(asset))
        with translated(self._settings), Interruption(cancellation).applies():
            days = live_days(self._client, names)
            committed = committed_at(self._client, names) if days else {}
            days = {day: held for day, held in days.items() if not held.closed}
            counted = self._counted(asset, names, days, cancellation)
        return [
            PartitionStats(day, rows, size, committed.get(day))
            for day, (rows, size) in counted.items()
            if rows
        ]

    def _counted(
        self,
        asset: str,
        names: Names,
        days: dict[date, IndexState],
        cancellation: Cancellation | None,
    ) -> dict[date, tuple[int, int]]:
        """The rows and bytes of the days. The bytes of a single tenant are unknown."""
        if self._tenant is None:
            return {day: (self._rows(names, day, held), held.bytes) for day, held in days.items()}
        if is_indexed(COLUMN, self._tenant):
            rows = rows_by_day(self._client, names, days, term(COLUMN, self._tenant))
        else:
            # The server finds more than the tenant's rows, so they must be read to be counted.
            rows = {
                day: sum(b.num_rows for b in self.batches(asset, [day], cancellation=cancellation))
                for day in days
            }
        return {day: (count, 0) for day, count in rows.items()}

    def rows(
        self,
        asset: str,
        days: Sequence[date] | None,
        *,
        cancellation: Cancellation | None = None,
    ) -> int:
        found = self.partitions(asset, cancellation=cancellation)
        return sum(p.rows for p in found if days is None or p.day in days)

    def _rows(self, names: Names, day: date, held: IndexState) -> int:
        if held.rows is not None:
            return held.rows
        return committed_rows(self._client, names, day)

    def batches(
        self,
        asset: str,
        days: Sequence[date] | None = None,
        *,
        entity_type: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        limit: int | None = None,
        cancellation: Cancellation | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """See the protocol. Reading all days skips closed days; requesting a closed day is an
        error."""
        dataset = _dataset(asset)
        with translated(self._settings):
            found = live_days(self._client, Names.of(self._settings, dataset))
        if days is None:
            wanted = [day for day, held in found.items() if not held.closed]
        else:
            wanted = sorted(set(days) & set(found))
        filters = _filters(entity_type, start, end)
        interruption = Interruption(cancellation)
        if self._tenant is not None:
            filters.append(term(COLUMN, self._tenant))
        left = limit
        for day in wanted:
            for batch in stream_day(
                self._client, self._settings, dataset, day, filters, interruption
            ):
                batch = _narrowed(rows_of(batch, self._tenant), entity_type, start, end)
                if left is not None:
                    batch = batch.slice(0, left)
                    left -= batch.num_rows
                if batch.num_rows:
                    yield batch
                if left == 0:
                    return


def _dataset(asset: str) -> Dataset:
    return DATASETS[BY_KEY[asset].dataset]


def _filters(
    entity_type: str | None, start: datetime | None, end: datetime | None
) -> list[dict[str, Any]]:
    """Filters for the server. They may match more rows, which `_narrowed` removes."""
    filters: list[dict[str, Any]] = []
    if entity_type is not None:
        filters.append(term("entity_type", entity_type))
    if start is not None:
        filters.append({"range": {"timestamp": {"gte": _text(start)}}})
    if end is not None:
        filters.append({"range": {"timestamp": {"lte": _text(end)}}})
    return filters


def _text(moment: datetime) -> str:
    """A time as the server reads it, with four digits for the year; it rounds to milliseconds."""
    return moment.astimezone(UTC).isoformat()


def _narrowed(
    batch: pa.RecordBatch, entity_type: str | None, start: datetime | None, end: datetime | None
) -> pa.RecordBatch:
    if entity_type is not None:
        batch = batch.filter(pc.equal(batch["entity_type"], entity_type))
    if start is not None:
        batch = batch.filter(pc.greater_equal(batch["timestamp"], pa.scalar(start, TIMESTAMP)))
    if end is not None:
        batch = batch.filter(pc.less(batch["timestamp"], pa.scalar(end, TIMESTAMP)))
    return batch
