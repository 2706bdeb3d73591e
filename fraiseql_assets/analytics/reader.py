"""Reads the analytics assets from ClickHouse as Arrow streams, for single days or all days."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any

import pyarrow as pa
from clickhouse_connect.driver.client import Client

from fraiseql_assets.analytics.client import connect, sql, translated
from fraiseql_assets.analytics.results import stream_result
from fraiseql_assets.analytics.schemas import SCHEMAS
from fraiseql_assets.analytics.setup import AGGREGATES, EVENTS_TABLE
from fraiseql_assets.catalogue import BY_KEY
from fraiseql_assets.planes import PartitionStats
from fraiseql_assets.settings import Settings

BY_ASSET = {f"analytics/{aggregate.name}": aggregate for aggregate in AGGREGATES}


class AnalyticsReader:
    """The analytics plane's reading side; see `fraiseql_assets.planes.AssetReader`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def _client(self) -> Client:
        return connect(self._settings, timeout=self._settings.request_timeout_seconds)

    def assets(self) -> Sequence[str]:
        return tuple(SCHEMAS)

    def schema(self, asset: str) -> pa.Schema:
        return SCHEMAS[asset]

    def partitions(self, asset: str) -> list[PartitionStats]:
        with translated(self._settings):
            committed = self._committed_at()
            aggregate = BY_ASSET.get(asset)
            if aggregate:
                statement = sql(
                    "select_aggregate_partitions",
                    table=aggregate.state_table,
                    key=aggregate.key,
                )
            else:
                statement = sql("select_partitions")
            rows = self._client.query(statement, parameters={"table": EVENTS_TABLE}).result_rows
            return [PartitionStats(day, n, size, committed.get(day)) for day, n, size in rows]

    def rows(self, asset: str, days: Sequence[date] | None) -> int:
        if asset not in BY_ASSET:
            return sum(p.rows for p in self.partitions(asset) if days is None or p.day in days)
        parameters: dict[str, Any] = {}
        statement = f"SELECT count() FROM ({_merged(asset, days, parameters)})"
        with translated(self._settings):
            return int(self._client.query(statement, parameters=parameters).result_rows[0][0])

    def _committed_at(self) -> dict[date, datetime]:
        rows = self._client.query(sql("select_committed_at")).result_rows
        return {day: at.replace(tzinfo=UTC) for day, at in rows}

    def batches(
        self,
        asset: str,
        days: Sequence[date] | None = None,
        *,
        entity_type: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        limit: int | None = None,
        newest: bool = False,
    ) -> Iterator[pa.RecordBatch]:
        """See the protocol. With `newest`, yields the last `limit` events by their own timestamp,
        in ascending order."""
        statement, parameters = _query(asset, days, entity_type, start, end, limit, newest)
        return stream_result(self._client, self._settings, statement, parameters, SCHEMAS[asset])


def _query(
    asset: str,
    days: Sequence[date] | None,
    entity_type: str | None,
    start: datetime | None,
    end: datetime | None,
    limit: int | None,
    newest: bool,
) -> tuple[str, dict[str, Any]]:
    """Returns the statement and its bound parameters."""
    conditions: list[str] = []
    parameters: dict[str, Any] = {}
    source = BY_KEY[asset].table
    if asset in BY_ASSET:
        source = f"({_merged(asset, days, parameters)})"
    elif days is not None:
        conditions.append(_of_days("stream_time", days, parameters))

    def bind(condition: str, **values: Any) -> None:
        conditions.append(condition)
        parameters.update(values)

    if entity_type is not None:
        bind("entity_type = {entity_type:String}", entity_type=entity_type)
    if start is not None:
        bind("timestamp >= {start:DateTime64(6, 'UTC')}", start=_text(start))
    if end is not None:
        bind("timestamp < {end:DateTime64(6, 'UTC')}", end=_text(end))
    columns = ", ".join(SCHEMAS[asset].names)
    statement = f"SELECT {columns} FROM {source}"
    if conditions:
        statement += f" WHERE {' AND '.join(conditions)}"
    if newest:
        statement += " ORDER BY timestamp DESC, stream_seq DESC, stream_row DESC"
    elif asset in BY_ASSET:
        statement += " ORDER BY ALL"
    else:
        # This is the sort key of the events table, so ClickHouse need not sort.
        statement += " ORDER BY entity_type, timestamp, stream_seq, stream_row"
    if limit is not None:
        statement += " LIMIT {limit:UInt64}"
        parameters["limit"] = limit
    if newest:
        statement = f"SELECT * FROM ({statement}) ORDER BY timestamp, stream_seq, stream_row"
    return statement, parameters


def _merged(asset: str, days: Sequence[date] | None, parameters: dict[str, Any]) -> str:
    """The query of an aggregate over the events that were stored on given days, or on any."""
    if days is None:
        return BY_ASSET[asset].read()
    return BY_ASSET[asset].read(_of_days("stream_date", days, parameters))


def _of_days(column: str, days: Sequence[date], parameters: dict[str, Any]) -> str:
    """The condition that a time lies on one of the given days. Adds its parameters."""
    spans = []
    for number, (first, after) in enumerate(_ranges(days)):
        spans.append(
            f"({column} >= {{from_{number}:Date32}} AND {column} < {{to_{number}:Date32}})"
        )
        parameters |= {f"from_{number}": first, f"to_{number}": after}
    return f"({' OR '.join(spans)})" if spans else "false"


def _text(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"


def _ranges(days: Sequence[date]) -> list[tuple[date, date]]:
    """Groups consecutive days into half-open ranges."""
    spans: list[tuple[date, date]] = []
    for day in sorted(set(days)):
        if spans and spans[-1][1] == day:
            spans[-1] = (spans[-1][0], day + timedelta(days=1))
        else:
            spans.append((day, day + timedelta(days=1)))
    return spans
