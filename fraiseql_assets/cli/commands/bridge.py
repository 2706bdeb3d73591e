"""`fraiseql-assets bridge`."""

import json
import logging
import signal
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from fraiseql_assets.bridge.start import Start
from fraiseql_assets.cli.console import exit_on, out, read_settings

if TYPE_CHECKING:
    from fraiseql_assets.settings import Settings

FINISH_SECONDS = 5.0
"""How long a bridge that is told to end may go on publishing."""


def bridge(
    start: Annotated[
        Start,
        typer.Option(help="Where to begin the first time: with the oldest row, or with new rows."),
    ] = Start.beginning,
    once: Annotated[
        bool, typer.Option("--once", help="End when all rows are published that are there.")
    ] = False,
    status: Annotated[
        bool, typer.Option("--status", help="Only print how far the bridge is behind.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="With --status: print one JSON object.")
    ] = False,
) -> None:
    """Publish the rows of FraiseQL's change log as events, each once.

    Needs SELECT on core.tb_entity_change_log. Goes on where it ended; Ctrl-C ends it. Several may
    run: one publishes, the others stand by.
    """
    import asyncio

    from fraiseql_assets.bridge.errors import BridgeError, DatabaseUnavailable
    from fraiseql_assets.bridge.lag import lag_of
    from fraiseql_assets.stream.connection import LogError

    settings = read_settings()
    with exit_on(BridgeError, DatabaseUnavailable, LogError):
        if status:
            found = asyncio.run(lag_of(settings))
            out.print_json(json.dumps(asdict(found))) if as_json else out.print(str(found))
            return
        logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
        logging.getLogger("fraiseql_assets.bridge").setLevel(logging.INFO)
        asyncio.run(_run(settings, start, once))


async def _run(settings: "Settings", start: Start, once: bool) -> None:
    import asyncio

    from fraiseql_assets.bridge.bridge import Bridge

    running = Bridge(settings, start=start, once=once)
    loop, work = asyncio.get_running_loop(), asyncio.ensure_future(running.run())

    def end() -> None:
        # What is being published may be finished. It may also be cut off, even while NATS hangs.
        running.stop()
        loop.call_later(FINISH_SECONDS, work.cancel)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
    with suppress(asyncio.CancelledError):
        await work
