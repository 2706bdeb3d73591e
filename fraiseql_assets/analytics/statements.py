"""Statements of clients: the relations they read, their columns, results and cancellation."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from functools import cached_property
from typing import Any

import pyarrow as pa
from clickhouse_connect.driver.client import Client

from fraiseql_assets.analytics.client import connect, sql, translated
from fraiseql_assets.analytics.layout import Layout
from fraiseql_assets.analytics.results import stream_result
from fraiseql_assets.analytics.schemas import SCHEMAS
from fraiseql_assets.analytics.setup import EVENTS_TABLE
from fraiseql_assets.analytics.tenants import TENANT as TENANT
from fraiseql_assets.analytics.tenants import select_of_tenant
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.catalogue import BY_KEY
from fraiseql_assets.planes import PlaneError, PlaneNotSetUp, PlaneUnavailable
from fraiseql_assets.settings import Settings

_CODE = re.compile(r"Code: (\d+)\. ?(?:DB::Exception: )?(.*)")
_OF_LIMITS = {"159": "ran too long", "241": "needs too much memory", "396": "gives too many rows"}
_TOO_LONG_A_COUNT = ("158", "159")
_CANCELLED = "394"
_NOT_OF_STATEMENTS = ("60", "81", "202", "243", "252", "516", "192", "193", "194", "497")
"""Error codes that concern the server, not the statement."""
_NAME = re.compile(r"\.? \([A-Z_]+\)\Z")
"""The name of an error code, at the end of a ClickHouse message."""

FIRST_TIME, LAST_TIME = "first_time", "last_time"
OF_DAYS = " AND ".join(
    f"stream_time {compared} {{{name}:DateTime64(6, 'UTC')}}"
    for compared, name in ((">=", FIRST_TIME), ("<=", LAST_TIME))
)
"""The condition on events that they were stored between two times, both included."""
NARROW = frozenset(
    ("event_type", "entity_type", "timestamp", "tenant_id", "seq", "actor_type", "schema_version",
     "cdc_source", "duration_ms", "stream_seq", "stream_row", "stream_time")
)  # fmt: skip
"""The columns of events that are numbers, times or one of a few texts, and are read fast."""


class StatementRefused(Exception):
    """ClickHouse rejects a statement; the message is from ClickHouse."""


class StatementLimited(Exception):
    """A statement exceeded a limit."""


class AnalyticsStatements:
    """Runs read-only statements that were validated before. Thread-safe; connects on first use."""

    def __init__(self, settings: Settings, *, timeout_seconds: float, memory_bytes: int) -> None:
        self._settings = settings
        self._timeout = timeout_seconds
        self._limits: dict[str, Any] = {
            # Whatever its text, a statement can neither write nor change its own limits.
            "readonly": 2,
            "max_execution_time": timeout_seconds,
            "max_memory_usage": memory_bytes,
            "max_bytes_before_external_group_by": memory_bytes // 2,
            "max_bytes_before_external_sort": memory_bytes // 4,
            "cancel_http_readonly_queries_on_client_close": 1,
        }

    @cached_property
    def _client(self) -> Client:
        return connect(self._settings, timeout=self._timeout + 10)

    def select(self, asset: str, tenant: str | None, days: str = "true") -> str:
        """A SELECT of an asset's columns. With a tenant, it selects only that tenant's rows;
        its id must be bound to the parameter `TENANT`. `days` is a condition on the days of
        events: `true` or `OF_DAYS`."""
        columns = ", ".join(SCHEMAS[asset].names)
        if tenant is None:
            return f"SELECT {columns} FROM {BY_KEY[asset].table} WHERE {days}"
        return select_of_tenant(asset, days)

    def rows_by_day(self) -> dict[date, int]:
        """How many events each day has, as ClickHouse counts them without reading any.

        Raises:
            PlaneError: the server cannot be reached.
        """
        layout = Layout.of(self._settings)
        names = {"database": layout.database, "table": layout.held(EVENTS_TABLE)}
        with translated(self._settings):
            rows = self._client.query(
                sql("select_partitions", parts=layout.parts), parameters=names
            ).result_rows
        return {day: count for day, count, _ in rows}

    def counts(
        self, statement: str, values: Mapping[str, Any], *, most_rows: int, seconds: float
    ) -> dict[date, int] | None:
        """The result of a statement that counts rows by days; None if it would read more than
        `most_rows`, or does not end within `seconds`.

        Raises:
            StatementRefused: the statement is not valid.
            StatementLimited: it exceeds another limit.
            PlaneError: the server cannot be reached.
        """
        limits = {**self._limits, "max_rows_to_read": most_rows, "max_execution_time": seconds}
        with _statement_errors():
            try:
                with translated(self._settings):
                    rows = self._client.query(
                        statement, parameters=dict(values), settings=limits
                    ).result_rows
            except PlaneError as error:
                found = _CODE.search(str(error))
                if found is not None and found[1] in _TOO_LONG_A_COUNT:
                    return None
                raise
        return {row[0]: row[1] for row in rows}

    def describe(self, statement: str, values: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Returns name and ClickHouse type of each column of a statement.

        Raises:
            StatementRefused: the statement is not valid.
            PlaneError: the server cannot be reached.
        """
        with _statement_errors(), translated(self._settings):
            rows = self._client.query(
                f"DESCRIBE TABLE ({statement})",
                parameters=dict(values),
                settings={"readonly": 2, "max_execution_time": self._timeout},
            ).result_rows
            return [(row[0], row[1]) for row in rows]

    def batches(
        self,
        statement: str,
        values: Mapping[str, Any],
        schema: pa.Schema,
        cancellation: Cancellation,
    ) -> Iterator[pa.RecordBatch]:
        """Streams a statement's result in `schema`; see `analytics.results.stream_result`.

        Raises:
            StatementRefused: the statement is not valid.
            StatementLimited: it exceeds a limit.
            PlaneError: the server cannot be reached, or aborted the result.
        """
        with _statement_errors():
            yield from stream_result(
                self._client,
                self._settings,
                statement,
                values,
                schema,
                extra=self._limits,
                cancellation=cancellation,
            )


@contextmanager
def _statement_errors() -> Iterator[None]:
    """Distinguishes errors of a statement from errors of the server."""
    try:
        yield
    except PlaneError as error:
        found = _CODE.search(str(error))
        if found is None or found[1] in (*_NOT_OF_STATEMENTS, _CANCELLED):
            raise
        sentence = _sentence(found[2])
        if (what := _OF_LIMITS.get(found[1])) is not None:
            raise StatementLimited(f"The statement {what}: {sentence}") from error
        if isinstance(error, PlaneUnavailable) and not isinstance(error, PlaneNotSetUp):
            raise
        raise StatementRefused(sentence) from error


def _sentence(text: str) -> str:
    """The ClickHouse message without scope, version and stack trace."""
    for end in (": In scope ", " In scope ", " (version ", ": while ", " in scope "):
        text = text.partition(end)[0]
    return f"{_NAME.sub('', text.strip()).rstrip('.')}."
