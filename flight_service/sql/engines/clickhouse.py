"""The catalogue `analytics`: events and their aggregates in ClickHouse."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from flight_service.access import tenant_of
from flight_service.authentication import Principal
from flight_service.errors import InvalidRequest
from flight_service.sql.catalogue import (
    TABLE,
    VIEW,
    Binding,
    DayRange,
    Dialect,
    Execution,
    Parameter,
    Relation,
    Statement,
)
from flight_service.sql.engines.clickhouse_days import EventDays, bound_days
from flight_service.sql.engines.clickhouse_types import Shown, bound_type, bound_value, shown
from fraiseql_assets.analytics.schemas import SCHEMAS
from fraiseql_assets.analytics.statements import (
    TENANT,
    AnalyticsStatements,
    StatementLimited,
    StatementRefused,
)
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.catalogue import ANALYTICS_EVENTS, BY_KEY
from fraiseql_assets.iterators import close_iterator
from fraiseql_assets.settings import Settings

SCHEMA_NAME = "public"
"""The only schema of the catalogue, independent of the database's name."""
KEYS = {"analytics/events": ("event_id",)}


class AnalyticsCatalogue:
    """See `flight_service.sql.catalogue.Catalogue`."""

    name = "analytics"
    dialect: Dialect = "clickhouse"

    def __init__(self, settings: Settings) -> None:
        self._statements = AnalyticsStatements(
            settings,
            timeout_seconds=settings.sql_timeout_seconds,
            memory_bytes=settings.sql_memory_bytes,
        )
        self._days = EventDays(self._statements, settings)

    def relations(self, principal: Principal) -> Sequence[Relation]:
        tenant = tenant_of(principal)
        values = {} if tenant is None else {TENANT: tenant}
        found = [
            Relation(
                schema_name=SCHEMA_NAME,
                name=BY_KEY[key].table,
                kind=VIEW if "view" in BY_KEY[key].kinds else TABLE,
                columns=schema,
                select=self._statements.select(key, tenant),
                values=values,
                key=KEYS.get(key, ()),
                description=BY_KEY[key].description,
                by_day=self._days.division(tenant) if key == ANALYTICS_EVENTS.key else None,
            )
            for key, schema in SCHEMAS.items()
        ]
        return sorted(found, key=lambda one: one.name)

    def execution(self, statement: Statement, binding: Binding, principal: Principal) -> Execution:
        sql = _placed(statement.sql, statement, binding)
        for row in binding.rows:
            # What does not fit is refused now. The values of all rows would take too much memory.
            _values(statement, binding, row)
        first = _values(statement, binding, binding.rows[0]) if binding.rows else {}
        with _refused():
            described = self._statements.describe(sql, first)
        columns = tuple((name, shown(kind)) for name, kind in described)
        schema = pa.schema([pa.field(name, one.type, one.nullable) for name, one in columns])
        sql = _converted(sql, columns)
        return _Execution(self._statements, self._days, statement, binding, columns, schema, sql)


@dataclass(frozen=True, slots=True)
class _Execution:
    """See `flight_service.sql.catalogue.DivisibleExecution`."""

    statements: AnalyticsStatements
    days: EventDays
    statement: Statement
    binding: Binding
    columns: tuple[tuple[str, Shown], ...]
    schema: pa.Schema
    sql: str

    def batches(self, cancellation: Cancellation) -> Iterator[pa.RecordBatch]:
        for row in self.binding.rows:
            if cancellation.over:
                return
            values = _values(self.statement, self.binding, row)
            found = self.statements.batches(self.sql, values, self.schema, cancellation)
            try:
                with _refused():
                    for batch in found:
                        _check_texts(batch)
                        yield batch
            finally:
                close_iterator(found)

    def day_ranges(self) -> Sequence[DayRange]:
        division = self.statement.division
        if division is None or len(self.binding.rows) != 1:
            return ()
        count, [row] = division.count, self.binding.rows
        if count is not None:
            count = _placed(count, self.statement, self.binding)
        return self.days.ranges(count, _values(self.statement, self.binding, row))

    def of_days(self, days: DayRange) -> Execution:
        division = self.statement.division
        if division is None or len(self.binding.rows) != 1:
            raise InvalidRequest("The statement has no parts. Call GetFlightInfo again.")
        values = {**self.statement.values, **bound_days(days)}
        part = Statement(division.sql, values, self.statement.parameters)
        sql = _converted(_placed(division.sql, part, self.binding), self.columns)
        return replace(self, statement=part, sql=sql)


def _check_texts(batch: pa.RecordBatch) -> None:
    """Refuses strings that are not UTF-8: ClickHouse's String can hold any bytes."""
    try:
        batch.validate(full=True)
    except pa.ArrowInvalid as error:
        raise InvalidRequest(
            "The result has a text that is not UTF-8. Write hex(x) or toValidUTF8(x) for it."
        ) from error


def _placed(sql: str, statement: Statement, binding: Binding) -> str:
    """A text of the statement with ClickHouse's placeholders for its parameters."""
    for number, parameter in enumerate(statement.parameters):
        sql = sql.replace(f'"{parameter.mark}"', _placeholder(parameter, binding, number))
    return sql


def _placeholder(parameter: Parameter, binding: Binding, number: int) -> str:
    kind = binding.types[number]
    name = bound_type(kind)
    if any(row[number] is None for row in binding.rows):
        name = f"Nullable({name})" if not name.startswith("Array") else name
    written = f"{{p{parameter.name}:{name}}}"
    return f"unhex({written})" if pa.types.is_binary(kind) else written


def _values(statement: Statement, binding: Binding, row: tuple[Any, ...]) -> dict[str, Any]:
    own = {
        f"p{parameter.name}": bound_value(kind, value)
        for parameter, kind, value in zip(statement.parameters, binding.types, row, strict=True)
    }
    return {**statement.values, **own}


def _converted(sql: str, columns: Sequence[tuple[str, Shown]]) -> str:
    """The statement, with conversions of columns that have no Arrow type."""
    if not any(column.convert for _, column in columns):
        return sql
    names = [name for name, _ in columns]
    if len(set(names)) < len(names):
        double = next(name for name in names if names.count(name) > 1)
        raise InvalidRequest(f"Two columns of the result are called {double}. Give one an alias.")
    parts = [
        f"{(one.convert or '{}').format(_quoted(name))} AS {_quoted(name)}" for name, one in columns
    ]
    return f"SELECT {', '.join(parts)} FROM ({sql})"


def _quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace("`", "\\`")
    return f"`{escaped}`"


@contextmanager
def _refused() -> Iterator[None]:
    try:
        yield
    except StatementRefused as error:
        raise InvalidRequest(f"ClickHouse refuses the statement: {error}") from error
    except StatementLimited as error:
        raise InvalidRequest(
            f"{error} Narrow it, or raise FRAISEQL_SQL_TIMEOUT_SECONDS or "
            "FRAISEQL_SQL_MEMORY_BYTES."
        ) from error
