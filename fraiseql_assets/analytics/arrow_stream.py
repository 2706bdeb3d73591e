"""Encodes tables as Arrow IPC streams without copying values."""

from collections.abc import Iterator

import pyarrow as pa

JOINED_BYTES = 2**16
"""Smaller pieces are joined, because each piece is sent separately."""


class _Pieces:
    """A file object that stores written buffers. Arrow does not copy its buffers into it."""

    closed = False

    def __init__(self) -> None:
        self.written: list[bytes | pa.Buffer] = []

    def write(self, data: bytes | pa.Buffer) -> None:
        self.written.append(data)

    def flush(self) -> None: ...

    def close(self) -> None: ...


def stream_pieces(table: pa.Table) -> list[memoryview]:
    """The Arrow IPC stream of a table, as consecutive pieces. Large ones are the table's memory."""
    file = _Pieces()
    with pa.ipc.new_stream(pa.PythonFile(file, "w"), table.schema) as writer:
        writer.write_table(table)
    return list(_joined(file.written))


def _joined(pieces: list[bytes | pa.Buffer]) -> Iterator[memoryview]:
    small = bytearray()
    for piece in map(memoryview, pieces):
        if len(piece) >= JOINED_BYTES:
            if small:
                yield memoryview(small)
                small = bytearray()
            yield piece
        else:
            small += piece
    if small:
        yield memoryview(small)
