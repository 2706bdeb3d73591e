"""`fraiseql-assets search`."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from fraiseql_assets.cli.console import echo, err, exit_on, out, read_settings
from fraiseql_assets.cli.timeline import counted, line_of

if TYPE_CHECKING:
    import pyarrow as pa

LIMIT = 50


class Format(StrEnum):
    """The output format of hits."""

    timeline = "timeline"
    json = "json"
    arrow = "arrow"


class Count(StrEnum):
    """What hits are grouped by for counting."""

    error = "error"
    type = "type"
    hour = "hour"
    tenant = "tenant"
    operation = "operation"


def search(
    text: Annotated[
        str,
        typer.Argument(
            help="Words, and conditions such as entity_type:Order or duration_ms:>100.",
            show_default=False,
        ),
    ] = "",
    since: Annotated[
        str | None, typer.Option(help="Start: an age (30m, 1h, 7d), a date or a time, inclusive.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="End: an age, a date or a time, exclusive.")
    ] = None,
    id_: Annotated[
        str | None,
        typer.Option("--id", help="Show everything that mentions this id, in time order."),
    ] = None,
    entity: Annotated[
        str | None,
        typer.Option(help="Id of an entity: its events and the requests that mention it."),
    ] = None,
    entity_type: Annotated[str | None, typer.Option(help="Entity type, for example Order.")] = None,
    event_type: Annotated[
        str | None, typer.Option(help="Event type: INSERT, UPDATE, DELETE or CUSTOM.")
    ] = None,
    tenant: Annotated[str | None, typer.Option(help="Only rows of this tenant.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only requests with errors.")] = False,
    similar: Annotated[
        str | None, typer.Option(help="Failed requests similar to the request with this id.")
    ] = None,
    events: Annotated[bool, typer.Option("--events", help="Only events.")] = False,
    requests: Annotated[bool, typer.Option("--requests", help="Only requests.")] = False,
    oldest: Annotated[
        bool, typer.Option("--oldest", help="Oldest first; the default with --id and --entity.")
    ] = False,
    count: Annotated[
        Count | None,
        typer.Option(help="Count the hits in groups instead of listing them."),
    ] = None,
    complete: Annotated[
        bool,
        typer.Option(
            "--complete", help="Fail if a day cannot be searched, instead of leaving it out."
        ),
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Hits per page.")] = LIMIT,
    cursor: Annotated[
        str | None, typer.Option(help="Cursor from the previous page of the same search.")
    ] = None,
    format_: Annotated[Format, typer.Option("--format", help="Output format.")] = (Format.timeline),
) -> None:
    """Search events and requests in the operational plane."""
    from fraiseql_assets.cli.flight_client import FlightProblem, rows_of, stream

    if events and requests:
        raise typer.BadParameter("that and --requests exclude each other", param_hint="--events")
    ticket: dict[str, Any] = {
        "type": "Search",
        "query": text,
        "kinds": "events" if events else "requests" if requests else "both",
        "since": since,
        "until": until,
        "id": id_,
        "entity": entity,
        "tenant": tenant,
        "entity_type": entity_type,
        "event_type": event_type,
        "similar": similar,
        "failed": failed,
        "oldest_first": oldest or None,
        "limit": limit,
        "cursor": cursor,
        "count": count,
        "partial": not complete,
    }
    settings = read_settings()
    with exit_on(FlightProblem):
        schema, received = stream(settings, ticket)
        batches = list(received)
    missing = next((m for each in batches for m in each["missing"].to_pylist() if m), None)
    if format_ is Format.arrow:
        _write_arrow(schema, batches)
    else:
        _print_rows([row for batch in batches for row in rows_of(batch)], format_, count)
        if not any(batch.num_rows for batch in batches) and format_ is Format.timeline:
            _print_nothing(exact=bool(entity_type or event_type or tenant or ":" in text))
    if missing:
        # Only here: it imports the search engine's client, which takes longer than the search.
        from fraiseql_assets.operational.search.unavailable_days import not_searched

        # Last, so that it is what a person sees first.
        err.print(f"[bold red]PARTIAL[/bold red]  {not_searched(missing)}", soft_wrap=True)


def _print_rows(rows: list[dict[str, Any]], format_: Format, count: Count | None) -> None:
    if format_ is Format.json:
        for row in rows:
            echo(msgspec.json.encode(row).decode())
        return
    for row in rows:
        out.print(counted(row) if count else line_of(row), soft_wrap=True)
    if rows and not count and rows[-1]["cursor"]:
        err.print(
            f"There may be more: repeat it with --cursor {rows[-1]['cursor']}", soft_wrap=True
        )


def _print_nothing(*, exact: bool) -> None:
    """Says that nothing is found, and why something that is there may not be found."""
    err.print("Nothing is found.")
    if exact:
        err.print("Values of fields are compared exactly: order is not Order.", soft_wrap=True)
    err.print(
        "Events and requests can be found a few seconds after they happened; `fraiseql-assets "
        "status` shows whether the operational plane is behind.",
        soft_wrap=True,
    )


def _write_arrow(schema: "pa.Schema", batches: "list[pa.RecordBatch]") -> None:
    import sys

    import pyarrow as pa

    if sys.stdout.isatty():
        raise typer.BadParameter(
            "it is binary, which no terminal shows; redirect it", param_hint="--format"
        )
    with pa.ipc.new_stream(sys.stdout.buffer, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
