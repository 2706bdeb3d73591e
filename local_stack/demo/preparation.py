"""Prepares the demo in a process of its own, whose memory is free when it has ended."""

import asyncio
import multiprocessing
import signal
from multiprocessing.connection import Connection
from pathlib import Path

from local_stack.demo import DemoError
from local_stack.programs import prctl

PR_SET_PDEATHSIG = 1


class Preparation:
    """A process that writes the history to files of a folder, then loads the database.

    It ends with the process that started it. PostgreSQL then rolls back the unfinished load.
    """

    def __init__(
        self, folder: Path, url: str, scale: float, seed: int, loaded: Path | None
    ) -> None:
        """Starts it. When the database is loaded, it creates the file `loaded`."""
        self._said, said = multiprocessing.Pipe(duplex=False)
        self._process = multiprocessing.Process(
            target=_prepare, args=(said, folder, url, scale, seed, loaded), daemon=True
        )
        self._process.start()
        said.close()

    async def done(self) -> None:
        """Returns when the next of the two steps is done.

        Raises:
            DemoError: it cannot be done, or the process was killed.
        """
        heard = asyncio.get_running_loop().create_future()
        loop, descriptor = asyncio.get_running_loop(), self._said.fileno()

        def hear() -> None:
            loop.remove_reader(descriptor)
            heard.set_result(None)

        loop.add_reader(descriptor, hear)
        try:
            await heard
        finally:
            loop.remove_reader(descriptor)
        try:
            error = self._said.recv()
        except EOFError:
            raise DemoError("the process that loads the demo has ended before its work") from None
        if error:
            raise DemoError(error)

    def end(self) -> None:
        """Ends the process."""
        self._process.terminate()
        self._process.join()
        self._said.close()


def _prepare(
    said: Connection, folder: Path, url: str, scale: float, seed: int, loaded: Path | None
) -> None:
    # A Ctrl-C at the terminal is for the process that started this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # Here rather than above: the other process does without them.
    from local_stack.demo.database import load
    from local_stack.demo.history import history_of, write_history
    from local_stack.demo.shop import make_shop
    from local_stack.demo.tpch import make_tables

    try:
        tables = make_tables(scale)
        write_history(history_of(make_shop(tables, seed)), folder)
        said.send(None)
        load(url, scale, seed, tables)
        if loaded is not None:
            loaded.touch()
        said.send(None)
    except DemoError as error:
        said.send(str(error))
