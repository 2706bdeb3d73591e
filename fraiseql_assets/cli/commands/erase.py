"""`fraiseql-assets erase`."""

from functools import partial
from typing import Annotated

import typer

from fraiseql_assets.cli.console import err, exit_on, out, read_settings


def erase(
    event_id: Annotated[str | None, typer.Option("--event-id", help="The id of one event.")] = None,
    entity: Annotated[
        tuple[str, str] | None,
        typer.Option("--entity", metavar="TYPE ID", help="All events of one entity."),
    ] = None,
    request_id: Annotated[
        str | None, typer.Option("--request-id", help="The id of one recorded GraphQL request.")
    ] = None,
    requests_of: Annotated[
        str | None,
        typer.Option("--requests-of", metavar="USER", help="All recorded requests of one user."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before erasing.")] = False,
) -> None:
    """Erase events or recorded requests from the planes on purpose.

    The planes record the erasure, so that no run and no rebuild brings the rows back. The log
    keeps its messages until its own limits drop them.
    """
    from fraiseql_assets.pipeline import erase as pipeline
    from fraiseql_assets.planes import PlaneError
    from fraiseql_assets.stream.connection import LogError

    kind, name = entity or ("", "")
    wanted = [
        (f"event {event_id}", partial(pipeline.erase, event_id=event_id or "")),
        (
            f"every event of {kind} {name}",
            partial(pipeline.erase, entity_type=kind, entity_id=name),
        ),
        (
            f"request {request_id}",
            partial(pipeline.erase_requests, request_id=request_id or ""),
        ),
        (
            f"every request of {requests_of}",
            partial(pipeline.erase_requests, user_id=requests_of or ""),
        ),
    ]
    given = [
        each
        for each, value in zip(wanted, (event_id, name, request_id, requests_of), strict=True)
        if value
    ]
    if len(given) != 1:
        raise typer.BadParameter("name one of --event-id, --entity, --request-id, --requests-of")
    [(what, erase_it)] = given
    if not yes:
        typer.confirm(f"Erase {what} from the planes for good?", abort=True)
    settings, rows = read_settings(), 0
    with exit_on(PlaneError, LogError):
        for erased in erase_it(settings):
            rows += erased.rows
            out.print(f"{erased.plane} {erased.day}: {erased.rows:,} rows erased")
    if not rows:
        err.print("no plane held it; it is recorded, and will not be written")
