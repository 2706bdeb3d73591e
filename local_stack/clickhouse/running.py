"""A query on its way: its result read from a pipe while the engine writes it."""

import contextlib
import fcntl
import os
import select
import threading
from collections.abc import Iterator
from typing import Protocol

from local_stack.clickhouse.engine import PIECE, EngineSession, Statistics, new_mark
from local_stack.clickhouse.errors import QueryError
from local_stack.clickhouse.statement import Statement

KILL_AGAIN_SECONDS = 0.05


class Peer(Protocol):
    """The client at the other end of the connection."""

    def fileno(self) -> int: ...

    def is_gone(self) -> bool:
        """Whether it closed the connection; asked when there is something to read from it."""
        ...


class PeerGone(Exception):
    """The client closed the connection before it had the result."""


class RunningQuery:
    """A query that runs in a thread of its own and writes its result into a pipe.

    Whoever starts one closes it. The pipe's size is the backpressure: nothing is held beyond it.
    """

    def __init__(
        self, session: EngineSession, statement: Statement, output_format: str, peer: Peer
    ) -> None:
        self._session, self._peer = session, peer
        self._mark = new_mark()
        self._error: QueryError | None = None
        self.statistics = Statistics()
        self._read, write = os.pipe()
        with contextlib.suppress(OSError, AttributeError):
            fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, PIECE)
        redirect = f"INTO OUTFILE '/dev/fd/{write}' APPEND /* {self._mark} */ "
        self._redirect = f"{redirect}FORMAT {output_format}"
        self._named = f"FORMAT {output_format}" if statement.format else ""
        text = f"{statement.head}\n{self._redirect}{statement.tail}"
        self._thread = threading.Thread(target=self._run, args=(text, write), daemon=True)
        self._thread.start()

    def _run(self, text: str, write: int) -> None:
        try:
            _, self.statistics = self._session.query(text)
        except QueryError as error:
            told = str(error).replace(self._redirect, self._named)
            self._error = QueryError(error.code, told)
        finally:
            os.close(write)

    def pieces(self) -> Iterator[bytes]:
        """The result, as it comes.

        Raises:
            QueryError: the query failed, at its beginning or in the middle.
            PeerGone: the client closed the connection.
        """
        ready = select.poll()
        ready.register(self._read, select.POLLIN)
        ready.register(self._peer.fileno(), select.POLLIN)
        while True:
            found = {descriptor for descriptor, _ in ready.poll()}
            if self._peer.fileno() in found:
                if self._peer.is_gone():
                    raise PeerGone
                # It has sent its next request already, and waits.
                ready.unregister(self._peer.fileno())
            if self._read in found:
                piece = os.read(self._read, PIECE)
                if not piece:
                    break
                yield piece
        self._thread.join()
        if self._error:
            raise self._error

    def close(self) -> None:
        """Ends the query if it still runs, and waits until it has."""
        # Without a reader the engine goes on and throws the result away: it has to be killed, and
        # killing one that has only just begun comes to nothing.
        os.close(self._read)
        while self._thread.is_alive():
            self._session.engine.kill(self._mark)
            self._thread.join(KILL_AGAIN_SECONDS)
