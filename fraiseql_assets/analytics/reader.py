"""Reads the analytics assets from ClickHouse as Arrow streams, for single days or all days."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
from clickhouse_connect.driver.client import Client

from fraiseql_assets.analytics.client import connect, sql, translated
from fraiseql_assets.analytics.layout import Layout
from fraiseql_assets.analytics.results import stream_result, whole_result
from fraiseql_assets.analytics.schemas import SCHEMAS
from fraiseql_assets.analytics.setup import AGGREGATES, EVENTS_TABLE
from fraiseql_assets.analytics.tenants import (
    KEY_OF_TENANT,
    OF_TENANT,
    TENANT,
    has_tenants,
    partitions,
    partitions_of_tenant,
    select_of_tenant,
)
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.catalogue import BY_KEY
from fraiseql_assets.planes import PartitionStats
from fraiseql_assets.settings import Settings
from fraiseql_assets.tenant_reader import TenantReader

BY_ASSET = {f"analytics/{aggregate.name}": aggregate for aggregate in AGGREGATES}


class AnalyticsReader(TenantReader[Client]):
    """The analytics plane's reading side; see `fraiseql_assets.planes.AssetReader`."""

    @staticmethod
    def _connect(settings: Settings) -> Client:
        return connect(settings, timeout=settings.request_timeout_seconds)

    def assets(self) -> Sequence[str]:
        return tuple(SCHEMAS)

    def schema(self, asset: str) -> pa.Schema:
        return SCHEMAS[asset]

    def partitions(
        self, asset: str, *, cancellation: Cancellation | None = None
    ) -> list[PartitionStats]:
        with translated(self._settings):
            committed = self._committed_at()
            layout = Layout.of(self._settings)
            events = {"database": layout.database, "table": layout.held(EVENTS_TABLE)}
            parameters = {**events, **self._parameters}
            statement = self._partitions(asset)
            rows = whole_result(self._client, statement, parameters, cancellation)
            return [PartitionStats(day, n, size, committed.get(day)) for day, n, size in rows]

    def _partitions(self, asset: str) -> str:
        aggregate = BY_ASSET.get(asset)
        if aggregate is None:
            if self._tenant is not None:
                return sql("select_partitions_of_tenant")
            return sql("select_partitions", parts=Layout.of(self._settings).parts)
        return (partitions if self._tenant is None else partitions_of_tenant)(aggregate)

    @property
    def _parameters(self) -> dict[str, Any]:
        """What every statement binds."""
        return {} if self._tenant is None else {TENANT: self._tenant}

    def rows(
        self,
        asset: str,
        days: Sequence[date] | None,
        *,
        cancellation: Cancellation | None = None,
    ) -> int:
        if asset not in BY_ASSET:
            found = self.partitions(asset, cancellation=cancellation)
            return sum(p.rows for p in found if days is None or p.day in days)
        parameters = self._parameters
        statement = f"SELECT count() FROM ({self._merged(asset, days, parameters)})"
        with translated(self._settings):
            [[count]] = whole_result(self._client, statement, parameters, cancellation)
            return int(count)

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
        cancellation: Cancellation | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """See the protocol. With `newest`, yields the last `limit` events by their own timestamp,
        in ascending order."""
        selected = self._selected(asset, days)
        statement = _query(asset, selected, entity_type, start, end, limit, newest)
        return stream_result(
            self._client,
            self._settings,
            statement,
            selected.parameters,
            SCHEMAS[asset],
            cancellation=cancellation,
        )

    def _selected(self, asset: str, days: Sequence[date] | None) -> "_Selected":
        """The rows that the reader has, of the given days or of all."""
        parameters = self._parameters
        if asset in BY_ASSET:
            return _Selected(f"({self._merged(asset, days, parameters)})", [], parameters)
        conditions = [] if self._tenant is None else [OF_TENANT]
        if days is not None:
            conditions.append(_of_days("stream_time", days, parameters))
        return _Selected(BY_KEY[asset].table, conditions, parameters)

    def _merged(self, asset: str, days: Sequence[date] | None, parameters: dict[str, Any]) -> str:
        """The query of an aggregate over the events that were stored on given days, or on any."""
        aggregate = BY_ASSET[asset]
        if self._tenant is not None and not has_tenants(aggregate):
            stored = "true" if days is None else _of_days("stream_time", days, parameters)
            return select_of_tenant(asset, stored)
        stored = "true" if days is None else _of_days("stream_date", days, parameters)
        return aggregate.read(stored if self._tenant is None else f"{stored} AND {KEY_OF_TENANT}")


@dataclass(frozen=True, slots=True)
class _Selected:
    """Rows to read: a relation, conditions on it, and what both bind."""

    source: str
    conditions: list[str]
    parameters: dict[str, Any]


def _query(
    asset: str,
    selected: _Selected,
    entity_type: str | None,
    start: datetime | None,
    end: datetime | None,
    limit: int | None,
    newest: bool,
) -> str:
    """Returns the statement. Adds its conditions and their parameters to what is selected."""
    conditions, parameters = selected.conditions, selected.parameters

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
    statement = f"SELECT {columns} FROM {selected.source}"
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
    return statement


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
