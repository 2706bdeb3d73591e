"""A running query: its result is read from a pipe while the engine writes it."""

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

SYNTAX_ERROR = 62
END_BYTES = 8
"""Without so many bytes at its end, a document is incomplete in every format."""


class Peer(Protocol):
    """The client at the other end of the connection."""

    def fileno(self) -> int: ...

    def is_gone(self) -> bool:
        """Whether it has closed the connection. Called when the connection is readable."""
        ...


class PeerGone(Exception):
    """The client closed the connection before it received the result."""


class RunningQuery:
    """A query that runs in its own thread and writes its result into a pipe.

    The caller must close it. The size of the pipe limits how much is buffered.
    """

    def __init__(
        self, session: EngineSession, statement: Statement, output_format: str, peer: Peer
    ) -> None:
        self._session, self._peer = session, peer
        self._mark = new_mark()
        self._error: Exception | None = None
        self.statistics = Statistics()
        self._read, write = os.pipe()
        with contextlib.suppress(OSError, AttributeError):
            fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, PIECE)
        self._thread = threading.Thread(
            target=self._run, args=(statement, output_format, write), daemon=True
        )
        self._thread.start()

    def _run(self, statement: Statement, output_format: str, write: int) -> None:
        redirect = f"INTO OUTFILE '/dev/fd/{write}' APPEND /* {self._mark} */"
        text = f"{statement.head}\n{redirect} FORMAT {output_format}{statement.tail}"
        try:
            if "{" in statement.text:
                # The engine lists a query that has parameters without the comment in its text. A
                # read-only session takes no settings.
                with contextlib.suppress(QueryError):
                    self._session.set({"log_comment": self._mark})
            _, self.statistics = self._session.query(text)
        except QueryError as error:
            self._error = error
            if error.code == SYNTAX_ERROR:
                self._error = self._run_unchanged(statement, output_format, write)
        except Exception as error:  # raised again where the result is read
            self._error = error
        finally:
            os.close(write)

    def _run_unchanged(
        self, statement: Statement, output_format: str, write: int
    ) -> Exception | None:
        """Runs the statement as the client sent it. Returns its error, which then refers to the
        client's own text.

        If only the redirection was a syntax error, there is none, and the whole result is written
        into the pipe.
        """
        try:
            result, self.statistics = self._session.query(statement.text, output_format)
            with contextlib.suppress(BrokenPipeError), open(write, "wb", closefd=False) as pipe:
                pipe.write(result)
        except Exception as error:  # raised again where the result is read
            return error
        return None

    def pieces(self) -> Iterator[bytes]:
        """Yields the result while it arrives. The last bytes are held back until the query has
        succeeded, because the engine also completes the document of a query that fails.

        Raises:
            QueryError: the query failed. Any other error that ended it is raised too.
            PeerGone: the client closed the connection.
        """
        ready = select.poll()
        ready.register(self._read, select.POLLIN)
        ready.register(self._peer.fileno(), select.POLLIN)
        end = b""
        while True:
            found = {descriptor for descriptor, _ in ready.poll()}
            if self._peer.fileno() in found:
                if self._peer.is_gone():
                    raise PeerGone
                # It has already sent its next request.
                ready.unregister(self._peer.fileno())
            if self._read in found:
                piece = os.read(self._read, PIECE)
                if not piece:
                    break
                piece = end + piece
                end = piece[-END_BYTES:]
                if len(piece) > END_BYTES:
                    yield piece[:-END_BYTES]
        self._thread.join()
        if self._error:
            raise self._error
        if end:
            yield end

    def kill(self) -> None:
        """Ends the query if it still runs; whoever reads its result gets the engine's error."""
        if self._thread.is_alive():
            self._session.engine.kill(self._mark, self._thread)

    def close(self) -> None:
        """Cancels the query if it still runs, and waits until it has ended."""
        # Without a reader the engine continues and discards the result, so the query is killed.
        os.close(self._read)
        if self._thread.is_alive():
            self._session.engine.kill(self._mark, self._thread)
