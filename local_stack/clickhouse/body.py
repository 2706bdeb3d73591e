"""A request's body, read piece by piece, whole or not at all."""

import socket
from io import BufferedIOBase

from local_stack.clickhouse.errors import QueryError, refusal

MOST_BYTES_OF_A_LINE = 8192


class Body:
    """The body of one request: of a length that was said, or chunked.

    Raises `QueryError` from every read when the body ends before its end, so that what was sent is
    not taken for all of it.
    """

    def __init__(self, stream: BufferedIOBase, length: int | None) -> None:
        """`length` is None for a chunked body."""
        self._stream = stream
        self._chunked = length is None
        self._left = length or 0
        self.is_read = length == 0

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes; none at the end."""
        parts: list[bytes] = []
        while not self.is_read and size:
            if self._chunked and not self._left and not self._next_chunk():
                break
            piece = self._received(self._left if size < 0 else min(size, self._left))
            parts.append(piece)
            size -= len(piece) if size > 0 else 0
        return b"".join(parts) if len(parts) != 1 else parts[0]

    def skip(self, most: int) -> bool:
        """Reads on to the end, if there is no more than that; whether the end was reached."""
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
            raise _cut(f"the connection broke: {error}") from error
        if len(piece) < size:
            raise _cut(f"{self._left - len(piece)} bytes are missing")
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
            raise _cut(f"{size[:20]!r} is no size of a chunk") from error
        if not self._left:
            while self._line().strip():
                pass
            self.is_read = True
        return not self.is_read

    def _line(self) -> bytes:
        try:
            line = self._stream.readline(MOST_BYTES_OF_A_LINE)
        except (OSError, ValueError) as error:
            raise _cut(f"the connection broke: {error}") from error
        if not line.endswith(b"\n"):
            raise _cut("it ends in the middle of its chunks")
        return line


def is_closed(connection: socket.socket) -> bool:
    """Whether the other end closed a connection from which something can be read."""
    try:
        return not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _cut(what: str) -> QueryError:
    return refusal(33, "CANNOT_READ_ALL_DATA", f"The request's body is not whole: {what}")
