# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute makes its functions at import, out of a type checker's sight)
"""Reading the operational assets: streamed from Elasticsearch as Arrow, a day or all of them."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from elasticsearch import Elasticsearch

from fraiseql_assets.catalogue import OPERATIONAL_EVENTS
from fraiseql_assets.events.schema import EVENT_SCHEMA, TIMESTAMP
from fraiseql_assets.operational.client import connect, translated
from fraiseql_assets.operational.indices import Names, live_days
from fraiseql_assets.operational.ledger import committed_at
from fraiseql_assets.operational.results import stream_day
from fraiseql_assets.planes import PartitionStats
from fraiseql_assets.settings import Settings

SCHEMAS = {OPERATIONAL_EVENTS.key: EVENT_SCHEMA}


class OperationalReader:
    """The operational plane's reading side; see `fraiseql_assets.planes.AssetReader`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._names = Names.of(settings)

    @cached_property
    def _client(self) -> Elasticsearch:
        return connect(self._settings, timeout=self._settings.request_timeout_seconds)

    def assets(self) -> Sequence[str]:
        return tuple(SCHEMAS)

    def schema(self, asset: str) -> pa.Schema:
        return SCHEMAS[asset]

    def partitions(self, asset: str) -> list[PartitionStats]:
        with translated(self._settings):
            days = live_days(self._client, self._names)
            if not days:
                return []
            held = self._client.indices.stats(
                index=self._names.events,
                metric=["docs", "store"],
                filter_path="indices.*.primaries",
            )["indices"]
            committed = committed_at(self._client, self._names)
        # A day that was replaced meanwhile is looked up again under its new index.
        if not set(days.values()) <= held.keys():
            return self.partitions(asset)
        counted = {day: held[index]["primaries"] for day, index in days.items()}
        return [
            PartitionStats(
                day, found["docs"]["count"], found["store"]["size_in_bytes"], committed.get(day)
            )
            for day, found in counted.items()
            if found["docs"]["count"]
        ]

    def batches(
        self,
        asset: str,
        days: Sequence[date] | None = None,
        *,
        entity_type: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        limit: int | None = None,
    ) -> Iterator[pa.RecordBatch]:
        del asset
        with translated(self._settings):
            held = live_days(self._client, self._names)
        wanted = held if days is None else sorted(set(days) & set(held))
        filters = _filters(entity_type, start, end)
        left = limit
        for day in wanted:
            for found in stream_day(self._client, self._settings, day, filters):
                batch = _within(found, start, end)
                if left is not None:
                    batch = batch.slice(0, left)
                    left -= batch.num_rows
                if batch.num_rows:
                    yield batch
                if left == 0:
                    return


def _filters(
    entity_type: str | None, start: datetime | None, end: datetime | None
) -> list[dict[str, Any]]:
    """What the server leaves out. It knows times to the millisecond, so `_within` is exact."""
    filters: list[dict[str, Any]] = []
    if entity_type is not None:
        filters.append({"term": {"entity_type": entity_type}})
    if start is not None:
        filters.append({"range": {"timestamp": {"gte": _text(start)}}})
    if end is not None:
        filters.append({"range": {"timestamp": {"lte": _text(end)}}})
    return filters


def _text(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def _within(batch: pa.RecordBatch, start: datetime | None, end: datetime | None) -> pa.RecordBatch:
    times = batch["timestamp"]
    if start is not None:
        batch = batch.filter(pc.greater_equal(times, pa.scalar(start, TIMESTAMP)))
        times = batch["timestamp"]
    if end is not None:
        batch = batch.filter(pc.less(times, pa.scalar(end, TIMESTAMP)))
    return batch
