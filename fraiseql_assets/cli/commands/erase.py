"""`fraiseql-assets erase`."""

from typing import Annotated

import typer

from fraiseql_assets.cli.console import err, out, read_settings, said_plainly


def erase(
    event_id: Annotated[str | None, typer.Option("--event-id", help="The id of one event.")] = None,
    entity: Annotated[
        tuple[str, str] | None,
        typer.Option("--entity", metavar="TYPE ID", help="All events of one entity."),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Erase without asking for confirmation.")
    ] = False,
) -> None:
    """Erase events from both planes on purpose.

    Both planes record the erasure, so that no run and no rebuild brings the events back. The log
    keeps its messages until its own limits drop them.
    """
    from fraiseql_assets.pipeline import erase as pipeline
    from fraiseql_assets.planes import PlaneError
    from fraiseql_assets.stream.connection import LogError

    if (event_id is None) == (entity is None):
        raise typer.BadParameter("name either --event-id or --entity")
    kind, name = entity or ("", "")
    what = f"event {event_id}" if event_id else f"every event of {kind} {name}"
    if not yes:
        typer.confirm(f"Erase {what} from both planes for good?", abort=True)
    settings, rows = read_settings(), 0
    with said_plainly(PlaneError, LogError):
        for erased in pipeline.erase(
            settings, event_id=event_id or "", entity_type=kind, entity_id=name
        ):
            rows += erased.rows
            out.print(f"{erased.plane} {erased.day}: {erased.rows:,} rows erased")
    if not rows:
        err.print("no plane held it; it is recorded, and will not be written")
