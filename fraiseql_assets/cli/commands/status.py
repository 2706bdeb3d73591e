"""`fraiseql-assets status`."""

import json
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.measure import Measurement
from rich.table import Table

from fraiseql_assets.cli.console import escaped, exit_on, out, read_settings

if TYPE_CHECKING:
    from fraiseql_assets.cli.status import LogStatus, Overview, PlaneStatus

MOST_WIDTH = 1_000
"""More characters than a table of a status needs."""


def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show the stream head, the lag of each plane and of the bridge, runs, dead letters, health.

    Exits with 1 if a server does not answer.
    """
    from fraiseql_assets.skip_imports import skip_async_clients, skip_pandas

    skip_pandas()
    skip_async_clients()
    from fraiseql_assets.cli.status import collect_status

    settings = read_settings()
    with exit_on():
        found = collect_status(settings)
    if as_json:
        out.print_json(json.dumps(found.as_dict()))
    else:
        _show(found)
    raise typer.Exit(0 if found.healthy else 1)


def _show(found: "Overview") -> None:
    _show_log(found.log)
    _show_log(found.requests.log)
    table = Table("asset", "position", "behind", "rows", "begun", "last commit (UTC)", "health")
    for column in table.columns[1:4]:
        column.justify = "right"
    assets = {
        **{f"{plane.plane}/events": plane for plane in found.planes},
        **{f"{plane.plane}/requests": plane for plane in found.requests.planes},
    }
    for asset, plane in assets.items():
        table.add_row(asset, *_cells(plane))
    _print_whole(table)
    for asset, plane in assets.items():
        if plane.error:
            out.print(f"[red]✗[/red] {asset}: {escaped(plane.error)}", soft_wrap=True)
    for plane in found.planes:
        if plane.lost:
            out.print(f"[yellow]![/yellow] {escaped(plane.lost)}", soft_wrap=True)
    if found.bridge_error:
        out.print(f"[red]✗[/red] bridge: {escaped(found.bridge_error)}", soft_wrap=True)
    elif found.bridge:
        out.print(escaped(str(found.bridge)), soft_wrap=True)
    if found.dagster_error:
        out.print(f"[red]✗[/red] {escaped(found.dagster_error)}", soft_wrap=True)
    elif not found.runs:
        out.print("No run is under way.")
    else:
        runs = Table("run", "status", "job", "range or partition")
        for run in found.runs:
            runs.add_row(run.run, run.status.lower(), run.job, run.range or "–")
        _print_whole(runs)


def _print_whole(table: Table) -> None:
    """Prints a table with whole names and ids, even if its lines are wider than the terminal."""
    table.width = Measurement.get(out, out.options.update(width=MOST_WIDTH), table).maximum
    out.print(table, crop=False, soft_wrap=True)


def _show_log(log: "LogStatus") -> None:
    if log.error:
        out.print(f"[red]✗[/red] {escaped(log.error)}", soft_wrap=True)
    else:
        out.print(
            f"[bold]{log.stream}[/bold]  head {log.last:,}  first {log.first:,}  "
            f"{log.messages:,} messages  {log.bytes / 2**20:,.1f} MiB  "
            f"dead letters {log.dead_letters:,}"
        )


def _cells(plane: "PlaneStatus") -> list[str]:
    if plane.off:
        return [*["–"] * 5, "[dim]switched off[/dim]"]
    return [
        f"{plane.position:,}",
        f"{plane.behind:,}",
        f"{plane.rows:,}",
        ", ".join(plane.begun) or "–",
        f"{datetime.fromisoformat(plane.last_commit):%d %b %H:%M:%S}" if plane.last_commit else "–",
        "[red]failed[/red]" if plane.error else "[green]ok[/green]",
    ]
