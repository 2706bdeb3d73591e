"""Tables as Arrow IPC streams whose values are not copied."""

from collections.abc import Iterator

import pyarrow as pa

JOINED_BYTES = 2**16
"""Pieces that are smaller are joined: each piece is sent by itself."""


class _Pieces:
    """A file that keeps what is written to it. Arrow writes its buffers without copying them."""

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
