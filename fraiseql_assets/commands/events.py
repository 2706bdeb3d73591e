"""`fraiseql-assets events`."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from fraiseql_assets.commands.console import err, out, read_settings, said_plainly

if TYPE_CHECKING:
    import pyarrow as pa

EMPTY = "no events"


def events(
    entity_type: Annotated[
        str | None, typer.Option(help="Only events of this entity type, such as Order.")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(help="From this date or RFC 3339 time on."),
    ] = None,
    end: Annotated[str | None, typer.Option(help="Up to this date (whole day) or time.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object per line, every column.")
    ] = False,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Wait for new events and show them as they come.")
    ] = False,
) -> None:
    """Show events, over Flight."""
    import pyarrow as pa

    settings = read_settings()
    if follow:
        ticket: dict[str, Any] = {"type": "Tail", "entity_type": entity_type}
    else:
        ticket = {
            "type": "ObserverEvents",
            "entity_type": entity_type,
            "start_date": start,
            "end_date": end,
            "limit": limit,
        }
    shown = 0
    with said_plainly(pa.ArrowException):
        for batch in _read(settings.flight_url, ticket):
            shown += batch.num_rows
            for row in batch.to_pylist():
                out.print(_as_json(row) if as_json else _as_line(row), soft_wrap=True)
    if not shown:
        err.print(EMPTY)


def _read(url: str, ticket: dict[str, Any]) -> "Iterator[pa.RecordBatch]":
    from pyarrow import flight

    with flight.connect(url) as client:
        reader = client.do_get(flight.Ticket(json.dumps(ticket).encode()))
        for chunk in reader:
            yield chunk.data


def _as_json(row: dict[str, Any]) -> str:
    return escape(json.dumps(row, default=str, ensure_ascii=False))


def _as_line(row: dict[str, Any]) -> str:
    who = row["tenant_id"] or "–"
    return (
        f"[dim]{row['timestamp']:%Y-%m-%d %H:%M:%S.%f}[/dim] "
        f"[bold]{escape(row['entity_type'])}[/bold] {escape(row['event_type']):8} "
        f"{escape(row['entity_id'])} [dim]{escape(who)}[/dim] {escape(_short(row['data']))}"
    )


def _short(text: str, most: int = 100) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
