"""`fraiseql-assets dev`."""

import signal
import time
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.live import Live
from rich.markup import escape
from rich.spinner import Spinner
from rich.table import Column, Table

from fraiseql_assets.cli.console import err, exit_on, out, read_settings
from fraiseql_assets.settings import DEFAULT_DATA_DIR
from local_stack.elasticsearch.engines import ENGINES, Search

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from local_stack.programs import Program
    from local_stack.stack import Layers
    from local_stack.supervisor import Supervisor


class Ports(StrEnum):
    """How ports are chosen."""

    default = "default"
    auto = "auto"


def dev(
    data_dir: Annotated[
        Path, typer.Option(help="Where data, logs and Dagster's home are kept.")
    ] = DEFAULT_DATA_DIR,
    demo: Annotated[
        bool, typer.Option("--demo", help="Load the data of a demo shop and publish its events.")
    ] = False,
    ports: Annotated[
        Ports,
        typer.Option(help="The default ports of the settings, or free ports chosen by the system."),
    ] = Ports.default,
    search: Annotated[
        Search, typer.Option(help="The engine of the operational plane.")
    ] = Search.elasticsearch,
) -> None:
    """Start the servers, Dagster and the Flight service on this machine.

    Ctrl-C stops everything; the data are kept.
    """
    from local_stack.stack import available_planes, layers

    engine = ENGINES[search]
    planes = available_planes(read_settings(), engine, _report)
    run(data_dir, ports, partial(layers, demo=demo, planes=planes, engine=engine))


def run(
    data_dir: Path, ports: Ports, describe: "Callable[[Path, Mapping[str, int]], Layers]"
) -> None:
    """Runs the stack that `describe` returns for a folder and ports, until a signal stops it.

    The call returns only in a child of the calling process, after everything has stopped.

    Raises:
        typer.Exit: the stack cannot be run; the reason has been printed.
    """
    from fraiseql_assets.endpoints import published
    from local_stack.guardian import ENDING, guard, kill_descendants
    from local_stack.ports import default_ports, free_ports
    from local_stack.programs import StackError
    from local_stack.stack import data_folder, logs_of, variables
    from local_stack.supervisor import Supervisor

    began = time.monotonic()
    guard()
    with exit_on(StackError), data_folder(data_dir) as folder:
        chosen = free_ports() if ports is Ports.auto else default_ports(read_settings())
        programs = describe(folder, chosen)
        try:
            with Supervisor(programs, logs_of(folder), _report) as supervisor:
                for number in ENDING:
                    signal.signal(number, supervisor.stop)
                _bring_up(supervisor)
                if supervisor.is_up:
                    with published(folder, variables(programs)) as path:
                        _show(programs, folder, path, time.monotonic() - began)
                        supervisor.watch()
                out.print("Ending; data are kept.")
        finally:
            kill_descendants()


def _bring_up(supervisor: "Supervisor") -> None:
    def tell(program: "Program", seconds: float) -> None:
        state = "done" if program.once else "answers" if program.addresses else "runs"
        out.print(f"[green]✓[/green] {program.title}: {state} [dim]after {seconds:.1f} s[/dim]")

    spinner = Spinner("dots")
    with Live(spinner, console=out, auto_refresh=False, transient=True) as live:
        for _ in supervisor.bring_up(tell):
            names = ", ".join(program.title for program in supervisor.waiting_for)
            spinner.update(text=f"Starting: {names}")
            live.refresh()


def _show(programs: "Layers", folder: Path, endpoints: Path, seconds: float) -> None:
    from fraiseql_assets.addresses import without_credentials
    from local_stack.ports import TITLES
    from local_stack.stack import addresses

    table = Table("what", Column("address", no_wrap=True))
    for setting, address in addresses(programs).items():
        table.add_row(TITLES[setting], escape(without_credentials(address)))
    out.print(table)
    out.print(
        f"Everything answers after {seconds:.1f} s. Logs: {folder / 'logs'}. "
        f"Addresses with users and passwords: {endpoints}. "
        "Ctrl-C stops everything; the data are kept.",
        soft_wrap=True,
    )


def _report(line: str) -> None:
    err.print(f"[yellow]![/yellow] {escape(line)}", soft_wrap=True)
