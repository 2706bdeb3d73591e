"""`python -m local_stack.demo`: loads the demo's database and publishes its events.

It stays for as long as the demo, so it keeps little in memory: the history is read from files.
"""
# ruff: noqa: E402 [pandas is skipped before a module makes an array]

from fraiseql_assets.skip_imports import skip_pandas

skip_pandas()

import asyncio
import logging
import signal
import sys
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated

import typer

from fraiseql_assets.settings import Settings, get_settings
from fraiseql_assets.stream.connection import LogError
from local_stack.demo import SCALE, DemoError, feed
from local_stack.demo.history import read_history
from local_stack.demo.preparation import Preparation

RATE = 5.0


def main(
    scale: Annotated[float, typer.Option(min=0.001, help="TPC-H's scale factor.")] = SCALE,
    seed: Annotated[int, typer.Option(help="Each seed gives different ids and times.")] = 0,
    rate: Annotated[float, typer.Option(min=0.01, help="Live events per second.")] = RATE,
    loaded: Annotated[
        Path | None, typer.Option(help="A file to create when the database is loaded.")
    ] = None,
) -> None:
    """Load TPC-H as a shop into PostgreSQL, publish its last days, then publish live events."""
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(asctime)s %(message)s")
    try:
        asyncio.run(_run(get_settings(), scale, seed, rate, loaded))
    except (DemoError, LogError) as error:
        logging.getLogger(__name__).error("%s", error)
        raise typer.Exit(1) from error


async def _run(
    settings: Settings, scale: float, seed: int, rate: float, loaded: Path | None
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    url = settings.database_url.get_secret_value()
    with tempfile.TemporaryDirectory(prefix="fraiseql-demo-") as folder:
        preparation = Preparation(Path(folder), url, scale, seed, loaded)
        try:
            await _unless(stop, preparation.done())
            if not stop.is_set():
                history = read_history(Path(folder), seed)
                # PostgreSQL builds documents while the feed publishes events.
                loading = asyncio.ensure_future(preparation.done())
                loading.add_done_callback(lambda ended: stop.set() if _failed(ended) else None)
                await feed.run(settings, history, scale=scale, rate=rate, stop=stop)
                if loading.done():
                    loading.result()
                loading.cancel()
        finally:
            preparation.end()


async def _unless(stop: asyncio.Event, work: Coroutine[None, None, None]) -> None:
    """Waits for the work, or for the stop."""
    tasks = [asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    for task in done:
        task.result()


def _failed(ended: asyncio.Future[None]) -> bool:
    return not ended.cancelled() and ended.exception() is not None


if __name__ == "__main__":
    typer.run(main)
