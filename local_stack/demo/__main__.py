"""`python -m local_stack.demo`: loads the demo's database and publishes its events.

It stays for as long as the demo, so it keeps little in memory: the history is read from files.
"""
# ruff: noqa: E402 [pandas is skipped before a module makes an array]

from fraiseql_assets.skip_pandas import skip_pandas

skip_pandas()

import asyncio
import contextlib
import logging
import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import pyarrow as pa
import typer

from fraiseql_assets.settings import Settings, get_settings
from fraiseql_assets.stream.connection import LogError
from local_stack.demo import SCALE, DemoError, feed
from local_stack.demo.database import load
from local_stack.demo.history import history_of, mapped
from local_stack.demo.shop import make_shop
from local_stack.demo.tpch import make_tables

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
        tables = make_tables(scale)
        history = mapped(history_of(make_shop(tables, seed)), Path(folder))

        # The thread alone has the tables, which are freed with it.
        def fill(tables: dict[str, pa.Table]) -> None:
            load(url, scale, seed, tables)
            tables.clear()
            pa.default_memory_pool().release_unused()
            if loaded is not None:
                loaded.touch()

        # PostgreSQL builds documents while the feed publishes events.
        loading = _beside(partial(fill, tables))
        loading.add_done_callback(lambda ended: stop.set() if ended.exception() else None)
        await feed.run(settings, history, scale=scale, rate=rate, stop=stop)
        if loading.done():
            loading.result()


def _beside(work: Callable[[], object]) -> asyncio.Future[None]:
    """Runs work in a daemon thread, so that the process can end before it is done. PostgreSQL then
    rolls back the unfinished load."""
    loop = asyncio.get_running_loop()
    future = loop.create_future()

    def settle(error: BaseException | None) -> None:
        if not future.done():
            future.set_exception(error) if error else future.set_result(None)

    def do() -> None:
        error: BaseException | None = None
        try:
            work()
        except Exception as raised:
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, error)

    threading.Thread(target=do, name="load", daemon=True).start()
    return future


if __name__ == "__main__":
    typer.run(main)
