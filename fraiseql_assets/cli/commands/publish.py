"""`fraiseql-assets publish`."""

from enum import StrEnum
from typing import Annotated

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)

from fraiseql_assets.cli.console import err, exit_on, out, read_settings


class Shape(StrEnum):
    """The message shapes that producers publish."""

    observer = "observer"
    cdc = "cdc"
    arrow = "arrow"


def publish(
    events: Annotated[int, typer.Option(min=1, help="Number of events.")],
    shape: Annotated[Shape, typer.Option(help="Format of the messages.")] = Shape.observer,
    rate: Annotated[
        float | None,
        typer.Option(min=0.001, help="Events per second; as fast as possible if unset."),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="The same seed gives the same events. Random if unset."),
    ] = None,
) -> None:
    """Publish realistic events and wait until the log acknowledges each."""
    import asyncio

    from fraiseql_assets.stream.connection import LogError
    from fraiseql_assets.stream.publish import publish_generated

    settings = read_settings()
    columns = (
        SpinnerColumn(), TextColumn("publishing"), BarColumn(), MofNCompleteColumn(),
        TimeRemainingColumn(),
    )  # fmt: skip
    with exit_on(LogError), Progress(*columns, console=err) as progress:
        task = progress.add_task("publishing", total=events)
        published = asyncio.run(
            publish_generated(
                settings,
                count=events,
                shape=shape.value,
                rate=rate,
                seed=seed,
                on_progress=lambda done: progress.update(task, completed=done),
            )
        )
    out.print(
        f"[green]✓[/green] {published.events:,} events in {published.messages:,} messages "
        f"acknowledged in {published.seconds:.1f} s "
        f"({published.events / max(published.seconds, 1e-9):,.0f} events/s)"
    )
