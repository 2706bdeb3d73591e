"""Results: asked for, and not yet read."""

import html
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyarrow import flight

from fraiseql_client.errors import FraiseqlError, Incomplete
from fraiseql_client.events import Event, events_of
from fraiseql_client.listing import known
from fraiseql_client.progress import Progress, shown
from fraiseql_client.reading import collected, streamed
from fraiseql_client.transport import Connection, Ticket

if TYPE_CHECKING:
    import polars as pl

PARALLEL = 4
"""Endpoints that are read at once."""
PREVIEW = 10
"""Rows that a notebook shows."""


class Result:
    """The rows of a ticket. Nothing is read before a method asks for rows; each asks anew.

    Every method raises:
        FraiseqlError: see `fraiseql_client.errors`.
    """

    def __init__(self, connection: Connection, ticket: Ticket) -> None:
        self._connection = connection
        self.ticket = ticket

    @property
    def schema(self) -> pa.Schema:
        """The schema, which all rows have."""
        return self._info.schema

    @property
    def rows(self) -> int | None:
        """The number of rows that the service announces; None where it does not know it."""
        return known(self._info.total_records)

    @property
    def endpoints(self) -> int:
        """How many parts can be read at once."""
        return len(self._info.endpoints)

    def batches(self) -> Generator[pa.RecordBatch]:
        """The rows as they arrive, in bounded memory. Closing the generator ends the query.

        Nothing is asked again once rows were handed out: an error then is raised.
        """
        info, arrived = self._connection.info(self.ticket), 0
        for endpoint in info.endpoints:
            with closing(streamed(self._connection, endpoint.ticket)) as batches:
                for batch in batches:
                    arrived += batch.num_rows
                    yield batch
        _check(info, arrived)

    def to_reader(self) -> pa.RecordBatchReader:
        """The rows as they arrive, for DuckDB and everything else that reads Arrow streams."""
        return pa.RecordBatchReader.from_batches(self.schema, self.batches())

    def to_arrow(self, *, parallel: int = PARALLEL, progress: Progress = False) -> pa.Table:
        """All rows as a table, read from several endpoints at once, in the endpoints' order.

        An endpoint that broke off is read again. `progress` shows how many rows have arrived.

        Raises:
            Incomplete: fewer rows arrived than were announced.
        """
        info = self._connection.info(self.ticket)
        with shown(progress, self.name, known(info.total_records)) as advance:
            batches = collected(self._connection, info.endpoints, parallel, advance)
        _check(info, sum(batch.num_rows for batch in batches))
        return pa.Table.from_batches(batches, info.schema)

    def to_polars(self, *, parallel: int = PARALLEL, progress: Progress = False) -> "pl.DataFrame":
        """All rows as a polars frame; otherwise as `to_arrow`."""
        return _polars(self.to_arrow(parallel=parallel, progress=progress))

    def lazy(self) -> "pl.LazyFrame":
        """A lazy polars frame. Of an asset it reads only the columns that the query uses, and of
        every result only the rows that a `head` needs."""
        import polars as pl
        from polars.io.plugins import register_io_source

        def frames(
            columns: list[str] | None, predicate: pl.Expr | None, rows: int | None, _: int | None
        ) -> Iterator[pl.DataFrame]:
            with closing(self._narrowed(columns).batches()) as batches:
                for batch in batches:
                    frame = _polars(batch)
                    if columns:
                        frame = frame.select(columns)
                    if rows is not None:
                        frame = frame.head(rows)
                        rows -= frame.height
                    yield frame if predicate is None else frame.filter(predicate)
                    if rows == 0:
                        return

        return register_io_source(frames, schema=_polars(self.schema.empty_table()).schema)

    def head(self, rows: int = PREVIEW) -> pa.Table:
        """The first rows. The rest is not read."""
        found: list[pa.RecordBatch] = []
        missing = rows
        with closing(streamed(self._connection, self.ticket)) as batches:
            for batch in batches:
                found.append(batch.slice(0, missing))
                missing -= found[-1].num_rows
                if not missing:
                    break
        return pa.Table.from_batches(found, self.schema)

    @property
    def name(self) -> str:
        """What it is, in a word or two."""
        if isinstance(self.ticket, str):
            return self.ticket
        return str(self.ticket.get("asset") or self.ticket.get("type") or "result")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: the first rows, and how many there are."""
        try:
            return _html(f"{self.name}: {_counted(self.rows)}", self.head())
        except FraiseqlError as error:
            return f"<p><b>{html.escape(self.name)}</b>: {html.escape(str(error))}</p>"

    @cached_property
    def _info(self) -> flight.FlightInfo:
        return self._connection.info(self.ticket)

    def _narrowed(self, columns: list[str] | None) -> "Result":
        """The result with these columns alone, where the service can leave the others out."""
        ticket = self.ticket
        if not columns or not isinstance(ticket, Mapping) or ticket.get("type") != "Asset":
            return self
        return Result(self._connection, {**ticket, "columns": columns})


class EventResult(Result):
    """Events. Iterate over it for objects instead of columns."""

    def __iter__(self) -> Iterator[Event]:
        with closing(self.batches()) as batches:
            for batch in batches:
                yield from events_of(batch)


def _check(info: flight.FlightInfo, arrived: int) -> None:
    """Refuses a short result. There may be more rows than announced: events arrive meanwhile."""
    announced = known(info.total_records)
    if announced is not None and arrived < announced:
        raise Incomplete(
            f"{arrived:,} of {announced:,} announced rows arrived. Read it again; if that happens "
            "again, look whether a retention or an erasure runs."
        )


def _polars(rows: Any) -> Any:
    import polars as pl

    return pl.from_arrow(rows)


def _counted(rows: int | None) -> str:
    return "rows of unknown number" if rows is None else f"{rows:,} rows"


def _html(title: str, rows: pa.Table) -> str:
    heads = "".join(
        f"<th>{html.escape(field.name)}<br><small>{html.escape(str(field.type))}</small></th>"
        for field in rows.schema
    )
    lines = (
        "".join(f"<td>{html.escape(_shown(cell))}</td>" for cell in row.values())
        for row in rows.to_pylist()
    )
    cells = "".join(f"<tr>{line}</tr>" for line in lines)
    return (
        f"<p><b>{html.escape(title)}</b></p>"
        f"<table><thead><tr>{heads}</tr></thead><tbody>{cells}</tbody></table>"
    )


def _shown(value: object, longest: int = 60) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= longest else f"{text[:longest]}…"
