"""Reads the body of a request piece by piece, and detects a truncated one."""

import socket
from io import BufferedIOBase

from local_stack.clickhouse.errors import QueryError, refusal

MOST_BYTES_OF_A_LINE = 8192


class Body:
    """The body of one request, with a length or chunked.

    Every read raises `QueryError` if the body is truncated, so that a part is never taken for the
    whole.
    """

    def __init__(self, stream: BufferedIOBase, length: int | None) -> None:
        """`length` is None if the body is chunked."""
        self._stream = stream
        self._chunked = length is None
        self._left = length or 0
        self.is_read = length == 0

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes. Empty at the end."""
        parts: list[bytes] = []
        while not self.is_read and size:
            if self._chunked and not self._left and not self._next_chunk():
                break
            piece = self._received(self._left if size < 0 else min(size, self._left))
            parts.append(piece)
            size -= len(piece) if size > 0 else 0
        return b"".join(parts) if len(parts) != 1 else parts[0]

    def skip(self, most: int) -> bool:
        """Reads and drops up to `most` bytes. Returns whether the end was reached."""
        try:
            while most > 0 and (piece := self.read(min(most, 1 << 20))):
                most -= len(piece)
        except QueryError:
            return False
        return self.is_read

    def _received(self, size: int) -> bytes:
        try:
            piece = self._stream.read(size)
        except (OSError, ValueError) as error:
            raise _truncated(f"the connection broke: {error}") from error
        if len(piece) < size:
            raise _truncated(f"{self._left - len(piece)} bytes are missing")
        self._left -= size
        if not self._left:
            if self._chunked:
                self._line()
            else:
                self.is_read = True
        return piece

    def _next_chunk(self) -> bool:
        size = self._line().partition(b";")[0].strip()
        try:
            self._left = int(size, 16)
        except ValueError as error:
            raise _truncated(f"{size[:20]!r} is no size of a chunk") from error
        if not self._left:
            while self._line().strip():
                pass
            self.is_read = True
        return not self.is_read

    def _line(self) -> bytes:
        try:
            line = self._stream.readline(MOST_BYTES_OF_A_LINE)
        except (OSError, ValueError) as error:
            raise _truncated(f"the connection broke: {error}") from error
        if not line.endswith(b"\n"):
            raise _truncated("it ends in the middle of its chunks")
        return line


def is_closed(connection: socket.socket) -> bool:
    """Whether the other end has closed a readable connection."""
    try:
        return not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _truncated(what: str) -> QueryError:
    return refusal(33, "CANNOT_READ_ALL_DATA", f"The request's body is truncated: {what}")
