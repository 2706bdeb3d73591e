"""The catalogue `fraiseql`: the relations of the compiled schema in PostgreSQL."""

from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any

import pyarrow as pa

from flight_service.authentication import Principal
from flight_service.errors import InvalidRequest
from flight_service.graphql.errors import DatabaseFailed
from flight_service.graphql.execution.session import session_settings
from flight_service.graphql.postgres.database import Database
from flight_service.graphql.postgres.pool import PoolLimits
from flight_service.graphql.postgres.sql import quoted
from flight_service.graphql.postgres.sqlstates import state_of
from flight_service.graphql.service import GraphQL
from flight_service.limits import reader_of
from flight_service.sql.catalogue import (
    Binding,
    Dialect,
    Execution,
    Relation,
    Statement,
)
from flight_service.sql.engines.postgres_relations import relations_key, relations_of
from flight_service.sql.engines.postgres_types import (
    Shown,
    bound_text,
    bound_type,
    read_setting,
    received,
    shown,
)
from flight_service.sql.engines.postgres_views import AllowedViews
from flight_service.sql.recently_used import RecentlyUsed
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.iterators import close_iterator
from fraiseql_assets.settings import Settings

PARAMETER = "fraiseql.s"
"""The prefix of the settings for a statement's parameters, followed by a number."""
HELD_SECONDS = 2.0
"""How long the relations of a principal are cached. New relations may be created at any time."""
MOST_HELD = 200
OF_STATEMENTS = ("0A", "20", "21", "22", "26", "2B", "2F", "34", "38", "42", "54")
"""The SQLSTATE classes of errors that the statement causes."""


class FraiseqlCatalogue:
    """See `flight_service.sql.catalogue.Catalogue`."""

    name = "fraiseql"
    dialect: Dialect = "postgres"

    def __init__(self, settings: Settings, graphql: GraphQL) -> None:
        self._graphql = graphql
        self._database = Database(
            settings.database_url.get_secret_value(),
            limits=PoolLimits(
                settings.sql_connections,
                settings.graphql_wait_seconds,
                setting="FRAISEQL_SQL_CONNECTIONS",
            ),
            timeout_seconds=settings.sql_timeout_seconds,
            connect_seconds=settings.probe_timeout_seconds,
            stall_seconds=settings.graphql_stall_seconds,
        )
        self._is_guarded = settings.is_guarded
        self._held: RecentlyUsed[tuple[float, Sequence[Relation]]] = RecentlyUsed(MOST_HELD)
        self._views = AllowedViews(settings.views, self._database.ask)
        self._memory = {
            "work_mem": f"{max(64, settings.sql_memory_bytes // 16 // 1024)}kB",
        }

    def relations(self, principal: Principal) -> Sequence[Relation]:
        key = relations_key(self._graphql, principal)
        held = self._held.get(key)
        if held is None or monotonic() - held[0] > HELD_SECONDS:
            held = monotonic(), relations_of(self._graphql, principal)
            size = sum(2000 + 2 * len(one.select) for one in held[1])
            self._held.put(key, held, size=size)
        known = {(one.schema_name, one.name) for one in held[1]}
        views = self._views.relations(principal)
        return [*held[1], *(one for one in views if (one.schema_name, one.name) not in known)]

    def execution(self, statement: Statement, binding: Binding, principal: Principal) -> Execution:
        variables = self._graphql.registry.current().schema.compiled.session_variables
        settings = {
            **self._memory,
            **session_settings(variables, principal),
            **statement.values,
        }
        for row in binding.rows:
            # What does not fit is refused now. The texts of all rows would take too much memory.
            _values(statement, binding, row)
        first = binding.rows[0] if binding.rows else _nulls(binding)
        every = {**settings, **_values(statement, binding, first)}
        with self._database.transaction(every) as transaction, _refused():
            described = _sql(statement, binding, first)
            limited = f"SELECT * FROM ({described}) AS described LIMIT 0"
            found = transaction.table(limited).schema
        columns = [shown(one) for one in found]
        schema = pa.schema(
            [pa.field(one.name, column.type) for one, column in zip(found, columns, strict=True)]
        )
        reader = reader_of(principal, is_guarded=self._is_guarded)
        return _Execution(self._database, settings, reader, statement, binding, columns, schema)


@dataclass(frozen=True, slots=True)
class _Execution:
    database: Database
    settings: dict[str, str]
    reader: Hashable | None
    statement: Statement
    binding: Binding
    columns: Sequence[Shown]
    schema: pa.Schema

    def batches(self, cancellation: Cancellation) -> Iterator[pa.RecordBatch]:
        with self.database.transaction(
            self.settings, cancellation, large=True, reader=self.reader
        ) as transaction:
            for row in self.binding.rows:
                if values := _values(self.statement, self.binding, row):
                    transaction.set(values)
                sql = _sql(self.statement, self.binding, row)
                found = transaction.batches(_converted(sql, self.columns))
                try:
                    with _refused():
                        for batch in found:
                            yield _cast(batch, self.schema)
                finally:
                    close_iterator(found)


def _values(statement: Statement, binding: Binding, row: tuple[Any, ...]) -> dict[str, str]:
    """The values of a row that are not null, as settings."""
    return {
        f"{PARAMETER}{parameter.name}": bound_text(kind, value)
        for parameter, kind, value in zip(statement.parameters, binding.types, row, strict=True)
        if value is not None
    }


def _sql(statement: Statement, binding: Binding, row: tuple[Any, ...]) -> str:
    """The statement with what reads the values of a row."""
    sql = statement.sql
    for parameter, kind, value in zip(statement.parameters, binding.types, row, strict=True):
        read = read_setting(f"{PARAMETER}{parameter.name}", kind)
        sql = sql.replace(
            f'"{parameter.mark}"', f"(NULL::{bound_type(kind)})" if value is None else read
        )
    return sql


def _nulls(binding: Binding) -> tuple[Any, ...]:
    return (None,) * len(binding.types)


def _converted(sql: str, columns: Sequence[Shown]) -> str:
    """The statement, with conversions of columns whose type the driver does not support."""
    if not any(one.convert for one in columns):
        return sql
    names = [f"a{n}" for n in range(len(columns))]
    parts = [
        f"{(one.convert or '{}').format(f'q.{name}')} AS {quoted(name)}"
        for name, one in zip(names, columns, strict=True)
    ]
    return f"SELECT {', '.join(parts)} FROM ({sql}) AS q({', '.join(names)})"


def _cast(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    columns = []
    for column, announced in zip(batch.columns, schema, strict=True):
        if isinstance(column, pa.ExtensionArray):
            column = column.storage
        if column.type != received(announced.type):
            column = column.cast(received(announced.type))
        columns.append(_read(column, announced))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _read(column: pa.Array, announced: pa.Field) -> pa.Array:
    try:
        return column.cast(announced.type)
    except pa.ArrowInvalid as error:
        raise InvalidRequest(
            f"A value of the column {announced.name} does not fit into {announced.type}. Cast it "
            "in the statement, such as to text or float8."
        ) from error


@contextmanager
def _refused() -> Iterator[None]:
    """An error of the statement is the client's error."""
    try:
        yield
    except DatabaseFailed as error:
        cause = error.__cause__
        if cause is not None and state_of(cause).startswith(OF_STATEMENTS):
            raise InvalidRequest(f"{error}") from error
        raise
