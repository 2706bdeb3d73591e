"""`fraiseql-assets events`."""

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from fraiseql_assets.cli.console import echo, err, exit_on, out, printable, read_settings

if TYPE_CHECKING:
    import pyarrow as pa

LIMIT = 100
COLUMNS = {
    "timestamp": 26,
    "entity_type": 14,
    "event_type": 10,
    "entity_id": 36,
    "tenant_id": 12,
    "data": None,
}
"""The columns of the table with their widths; the last column takes the remaining width."""


def events(
    entity_type: Annotated[
        str | None, typer.Option(help="Only events of this entity type, such as Order.")
    ] = None,
    start: Annotated[
        str | None, typer.Option(help="Start date or RFC 3339 time, inclusive.")
    ] = None,
    end: Annotated[
        str | None, typer.Option(help="End: a date (inclusive) or an RFC 3339 time (exclusive).")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help=f"Number of newest events to show; {LIMIT} by default."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object with all columns per line.")
    ] = False,
    follow: Annotated[
        bool,
        typer.Option(
            "--follow",
            "-f",
            help="Show new events as they arrive, or all from --start on, until Ctrl-C.",
        ),
    ] = False,
    where: Annotated[
        str | None,
        typer.Option(
            help="With --follow: only events whose data fits, such as \"status = 'paid'\"."
        ),
    ] = None,
) -> None:
    """Show the newest events over Flight, or new events as they arrive with --follow."""
    from fraiseql_assets.cli.flight_client import FlightProblem, read

    if follow and end:
        raise typer.BadParameter("it has no end", param_hint="--follow")
    if where and not follow:
        raise typer.BadParameter("it needs --follow", param_hint="--where")
    settings = read_settings()
    ticket: dict[str, Any] = {
        "type": "Tail",
        "entity_type": entity_type,
        "start_date": start,
        "filter": where,
    }
    if not follow:
        limit = limit or LIMIT
        ticket = {
            "type": "ObserverEvents",
            "entity_type": entity_type,
            "start_date": start,
            "end_date": end,
            "limit": limit,
            "newest": True,
        }
    shown = 0
    with exit_on(FlightProblem):
        try:
            for rows in _some(read(settings, ticket), limit):
                if not as_json and not shown:
                    echo(_line(dict(zip(COLUMNS, COLUMNS, strict=True))))
                shown += len(rows)
                echo("\n".join(map(_json if as_json else _line, rows)))
        except KeyboardInterrupt:
            # Ctrl-C is the normal way to stop following.
            if not follow:
                raise
    if not shown and not follow:
        err.print("There are no such events.")


def _some(batches: "Iterator[pa.RecordBatch]", limit: int | None) -> Iterator[list[dict[str, Any]]]:
    """Yields the rows of each batch, up to `limit` rows in total."""
    from fraiseql_assets.cli.flight_client import rows_of

    left = limit
    for batch in batches:
        rows = rows_of(batch if left is None else batch.slice(0, left))
        if rows:
            yield rows
        if left is not None:
            left -= len(rows)
            if not left:
                return


def _json(row: dict[str, Any]) -> str:
    return msgspec.json.encode(row).decode()


def _line(row: dict[str, Any]) -> str:
    """The row as a line of the table. On a terminal it is no wider than the terminal."""
    cells = [_cell(row[name], width) for name, width in COLUMNS.items()]
    line = "  ".join(cells)
    return _cut(line, out.width) if out.is_terminal else line


def _cell(value: Any, width: int | None) -> str:
    text = f"{value:%Y-%m-%d %H:%M:%S.%f}" if isinstance(value, datetime) else str(value or "–")
    text = printable(text)
    return text if width is None else _cut(text, width).ljust(width)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"
