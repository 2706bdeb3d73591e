"""`fraiseql-assets search`."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.text import Text

from fraiseql_assets.cli.console import err, out, printable, read_settings, said_plainly

if TYPE_CHECKING:
    import pyarrow as pa

LIMIT = 50
MARK, END_MARK = "<em>", "</em>"
KIND_STYLES = {"event": "cyan", "request": "magenta"}
DETAIL = 160
"""How many characters of the changes or variables a line shows."""


class Format(StrEnum):
    """The output format of hits."""

    timeline = "timeline"
    json = "json"
    arrow = "arrow"


class _Change(msgspec.Struct):
    """The value of a field before and after an event."""

    old: Any
    new: Any


class Count(StrEnum):
    """What hits are grouped by for counting."""

    error = "error"
    type = "type"
    hour = "hour"


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
        typer.Option(help="Count the hits by error, type or hour instead of listing them."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Hits per page.")] = LIMIT,
    cursor: Annotated[
        str | None, typer.Option(help="Cursor from the previous page of the same search.")
    ] = None,
    format_: Annotated[Format, typer.Option("--format", help="Output format.")] = (Format.timeline),
) -> None:
    """Search events and requests in the operational plane."""
    from fraiseql_assets.cli.flight_client import FlightProblem, stream

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
    }
    settings = read_settings()
    with said_plainly(FlightProblem):
        schema, batches = stream(settings, ticket)
        if format_ is Format.arrow:
            _write_arrow(schema, batches)
            return
        rows = [row for batch in batches for row in batch.to_pylist()]
    if format_ is Format.json:
        for row in rows:
            typer.echo(msgspec.json.encode(row).decode())
        return
    if not rows:
        err.print("Nothing is found.")
        return
    for row in rows:
        out.print(_counted(row) if count else _line(row), soft_wrap=True)
    if not count and rows[-1]["cursor"]:
        err.print(
            f"There may be more: repeat it with --cursor {rows[-1]['cursor']}", soft_wrap=True
        )


def _write_arrow(schema: "pa.Schema", batches: "Any") -> None:
    import sys

    import pyarrow as pa

    if sys.stdout.isatty():
        raise typer.BadParameter(
            "it is binary, which no terminal shows; redirect it", param_hint="--format"
        )
    with pa.ipc.new_stream(sys.stdout.buffer, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


def _counted(row: dict[str, Any]) -> Text:
    return Text.assemble(
        f"{row['count']:>10,}  ",
        (f"{row['kind']:<8}", KIND_STYLES[row["kind"]]),
        _printable(row["key"]),
    )


def _line(row: dict[str, Any]) -> Text:
    """A hit as a line of the timeline, followed by its variables, errors and highlights."""
    line = Text.assemble(
        (f"{row['timestamp']:%Y-%m-%d %H:%M:%S.%f}"[:-3], "dim"),
        "  ",
        (f"{row['kind']:<8}", KIND_STYLES[row["kind"]]),
    )
    line.append_text(_request(row) if row["kind"] == "request" else _event(row))
    if row["user_id"]:
        line.append(f"  by {_printable(row['user_id'])}", "dim")
    if row["tenant_id"]:
        line.append(f"  tenant {_printable(row['tenant_id'])}", "dim")
    line.append(f"  {_printable(row['id'])}", "dim")
    if row["variables"] not in (None, "{}", "null"):
        line.append(f"\n    variables {_short(row['variables'])}", "dim")
    for message in row["error_messages"] or ():
        line.append(f"\n    ✗ {_printable(message)}", "red")
    for fragment in row["highlights"] or ():
        line.append("\n    … ")
        line.append_text(_highlighted(_printable(fragment)))
    return line


def _event(row: dict[str, Any]) -> Text:
    text = Text.assemble(
        (_printable(f"{row['entity_type']} {row['event_type']}"), "bold"),
        f" {_printable(row['entity_id'])}",
    )
    if row["changes"]:
        text.append(f"  {_short(_changed(row['changes']))}", "yellow")
    return text


def _changed(changes: str) -> str:
    """The changes, as `status new → paid`; changes of another shape are returned unchanged."""
    try:
        fields = msgspec.json.decode(changes, type=dict[str, _Change])
    except (msgspec.DecodeError, RecursionError):
        return changes
    return ", ".join(
        f"{name} {_value(change.old)} → {_value(change.new)}" for name, change in fields.items()
    )


def _value(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _short(text: str) -> str:
    text = _printable(text)
    return text if len(text) <= DETAIL else f"{text[:DETAIL]}…"


def _request(row: dict[str, Any]) -> Text:
    style = "bold red" if row["status"] == "error" else "bold"
    name = row["operation_name"] or row["operation_type"]
    text = Text.assemble((_printable(f"{name} {row['status']}"), style), f" {row['transport']}")
    if row["error_codes"]:
        text.append(f" {_printable(' '.join(row['error_codes']))}", "red")
    if row["duration_ms"] is not None:
        text.append(f" {row['duration_ms']:.1f} ms")
    return text


def _highlighted(fragment: str) -> Text:
    text = Text()
    for number, part in enumerate(fragment.split(MARK)):
        marked, found, rest = part.partition(END_MARK)
        if number and found:
            text.append(marked, "bold yellow")
            text.append(rest)
        else:
            text.append(part)
    return text


def _printable(text: str) -> str:
    return printable(text, mark=" ")
