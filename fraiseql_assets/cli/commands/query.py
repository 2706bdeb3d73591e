"""`fraiseql-assets query`."""

import json
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from enum import StrEnum
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from fraiseql_assets.cli.console import echo, err, exit_on, out, printable, read_settings

if TYPE_CHECKING:
    import pyarrow as pa

SHOWN_ROWS = 100
CELL_WIDTH = 36
"""The most characters of a value that a terminal shows: the length of a UUID."""
DRAWN_WIDTH = 1_000_000
PATIENCE_SECONDS = 2.0
SUFFIXES = {
    ".json": "json",
    ".csv": "csv",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".arrows": "arrow",
}
BINARY = frozenset(("parquet", "arrow"))


class Format(StrEnum):
    """The format of a result."""

    table = "table"
    json = "json"
    csv = "csv"
    parquet = "parquet"
    arrow = "arrow"


def query(
    graphql: Annotated[
        str,
        typer.Argument(
            help="The query; - reads it from standard input, @FILE from a file.", show_default=False
        ),
    ],
    variables: Annotated[str | None, typer.Option(help="A JSON object of variables.")] = None,
    operation: Annotated[
        str | None, typer.Option(help="Name of the operation to run, if the document has several.")
    ] = None,
    field: Annotated[
        str | None, typer.Option(help="Root field whose rows to show, if the query has several.")
    ] = None,
    format_: Annotated[
        Format | None,
        typer.Option(
            "--format",
            help="Output format; by default from the suffix of --output, otherwise a table.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write to this file.")
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show the execution plan and read no data.")
    ] = False,
) -> None:
    """Run a GraphQL query over Flight and show its result or write it to a file."""
    ticket = {
        "type": "GraphQLQuery",
        "query": _document(graphql),
        "variables": _variables(variables),
        "operationName": operation,
        "field": field,
    }
    if explain and (format_ or output):
        raise typer.BadParameter("it shows a text; redirect it", param_hint="--explain")
    chosen = _format(format_, output)
    settings = read_settings()
    from fraiseql_assets.skip_imports import skip_pandas

    skip_pandas()
    from fraiseql_assets.cli.flight_client import FlightProblem, act, stream
    from fraiseql_assets.cli.formats import FORM, NotWritten, write

    with exit_on(FlightProblem, NotWritten):
        if explain:
            _show_plan(act(settings, "ExplainGraphQLQuery", ticket))
            return
        if chosen in BINARY and output is None and sys.stdout.isatty():
            raise NotWritten(
                f"{chosen.value} is binary, which no terminal shows. "
                "Write it to a file with -o, or hand it on through a pipe."
            )
        # Output that scrolls by on a terminal needs no progress line.
        scrolls = output is None and chosen is not Format.table and sys.stdout.isatty()
        with _progress(shown=not scrolls) as progress:
            schema, received = stream(settings, ticket)
            with closing(received):
                batches = _counted(received, progress)
                if chosen is not Format.table:
                    write(chosen, output, schema, batches)
                    return
                rows, note = _first(batches)
        if FORM not in (schema.metadata or {}) and len(schema) > 1:
            note = "These are several fields. --field NAME shows the rows of one."
        _show(schema, rows, note)


def _document(given: str) -> str:
    if given == "-":
        return sys.stdin.read()
    if not given.startswith("@"):
        return given
    try:
        return Path(given[1:]).read_text()
    except (OSError, UnicodeDecodeError) as error:
        said = getattr(error, "strerror", None) or error
        raise typer.BadParameter(f"{given[1:]} cannot be read: {said}") from error


def _variables(given: str | None) -> dict[str, Any] | None:
    try:
        found = json.loads(given or "null")
    except ValueError as error:
        raise typer.BadParameter(f"this is no JSON: {error}", param_hint="--variables") from error
    if found is not None and not isinstance(found, dict):
        raise typer.BadParameter(
            'this is no JSON object, as {"id": 1} is', param_hint="--variables"
        )
    return found


def _format(given: Format | None, output: Path | None) -> Format:
    if given is Format.table and output:
        raise typer.BadParameter(
            "a table shows the first rows to a person; choose another for a file",
            param_hint="--format",
        )
    if given or output is None:
        return given or Format.table
    if output.suffix not in SUFFIXES:
        raise typer.BadParameter(
            f"{output.name} does not say its format; end it with one of "
            f"{', '.join(SUFFIXES)}, or give --format",
            param_hint="--output",
        )
    return Format(SUFFIXES[output.suffix])


@contextmanager
def _progress(*, shown: bool) -> "Iterator[Progress]":
    """A progress line on standard error, if that is a terminal, after two seconds."""
    columns = (SpinnerColumn(), TextColumn("{task.completed:,} rows"), TimeElapsedColumn())
    progress = Progress(*columns, console=err, transient=True)
    progress.add_task("rows", total=None)
    if not (shown and err.is_terminal):
        yield progress
        return
    timer = threading.Timer(PATIENCE_SECONDS, progress.start)
    timer.start()
    try:
        yield progress
    finally:
        timer.cancel()
        timer.join()
        progress.stop()


def _counted(batches: "Iterator[pa.RecordBatch]", progress: Progress) -> "Iterator[pa.RecordBatch]":
    for batch in batches:
        yield batch
        progress.advance(progress.task_ids[0], batch.num_rows)


def _first(batches: "Iterator[pa.RecordBatch]") -> tuple[list[list[str | None]], str]:
    """The first rows, and a note on the remaining ones."""
    from fraiseql_assets.cli.formats import cells

    rows: list[list[str | None]] = []
    count = 0
    advice = "-o FILE writes them all: .csv, .json, .parquet, .arrow."
    for batch in batches:
        if count >= SHOWN_ROWS and batch.num_rows:
            note = f"The first {SHOWN_ROWS} rows are shown, and reading stopped with them. {advice}"
            return rows, note
        rows += cells(batch.slice(0, SHOWN_ROWS - len(rows)))
        count += batch.num_rows
    if count > len(rows):
        return rows, f"The first {len(rows)} of {count:,} rows are shown. {advice}"
    return rows, "" if rows else "There are no rows."


def _show(schema: "pa.Schema", rows: list[list[str | None]], note: str) -> None:
    import pyarrow as pa

    table = Table()
    for one in schema:
        is_number = pa.types.is_primitive(one.type) and not pa.types.is_temporal(one.type)
        table.add_column(
            Text(printable(one.name)),
            justify="right" if is_number or pa.types.is_decimal(one.type) else "left",
            no_wrap=True,
            max_width=CELL_WIDTH if out.is_terminal else None,
        )
    for row in rows:
        table.add_row(*(Text("–" if cell is None else printable(cell)) for cell in row))
    # Rendered at full width: the terminal shows the columns that fit, not all of them shrunk.
    drawn = StringIO()
    Console(file=drawn, width=DRAWN_WIDTH).print(table)
    for line in drawn.getvalue().splitlines():
        if out.is_terminal:
            out.print(Text(line), no_wrap=True, overflow="ellipsis")
        else:
            echo(line)
    if note:
        err.print(note, soft_wrap=True)


def _show_plan(plan: dict[str, Any]) -> None:
    for root in plan["roots"]:
        echo(f"{root['field']} is read from {root['source']}: {root['reads']}")
        for why in root["left_out"]:
            echo(f"  left out: {why}")
        # Only queries that are answered with SQL have a statement to show.
        if root["sql"]:
            echo("  SQL:")
            echo(textwrap.indent(root["sql"], "    "))
        for number, value in enumerate(root["values"], 1):
            echo(f"    fraiseql.p{number} = {json.dumps(value, ensure_ascii=False)}")
        echo("")
    echo("Arrow schema:")
    for one in plan["schema"]:
        echo(f"  {one['name']}: {one['type']}{'' if one['nullable'] else ' not null'}")
