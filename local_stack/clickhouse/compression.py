"""Compression of request and response bodies: gzip, deflate, zstd and lz4."""

import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import lz4.frame
import zstandard

_GZIP = 16 + zlib.MAX_WBITS
SUPPORTED = ("lz4", "zstd", "gzip", "deflate")


class Encoder(Protocol):
    """Compresses a body piece by piece."""

    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


def encoder(encoding: str | None) -> Encoder:
    """An encoder for a Content-Encoding. Without one, it changes nothing."""
    return _ENCODERS[encoding]()


def decompressed(pieces: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """A body without its Content-Encoding.

    Raises:
        ValueError: the body does not have this encoding, or is truncated.
    """
    decoder = None
    try:
        for piece in pieces:
            while piece:
                decoder = decoder or _DECODERS[encoding]()
                plain = decoder.decompress(piece)
                if plain:
                    yield plain
                # A body can consist of several frames.
                piece = decoder.unused_data if decoder.eof else b""
                decoder = None if decoder.eof else decoder
    except (zlib.error, zstandard.ZstdError, RuntimeError) as error:
        raise ValueError(f"The body is not {encoding}: {error}") from error
    if decoder:
        raise ValueError(f"The {encoding} body is truncated")


def accepted(header: str) -> str | None:
    """The first encoding that the client accepts and the front supports."""
    for item in header.split(","):
        name, _, weight = item.partition(";")
        if name.strip().lower() in SUPPORTED and weight.replace(" ", "") not in ("q=0", "q=0.0"):
            return name.strip().lower()
    return None


class _Plain:
    def compress(self, data: bytes, /) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


class _Lz4:
    def __init__(self) -> None:
        self._compressor = lz4.frame.LZ4FrameCompressor()
        self._head = self._compressor.begin()

    def compress(self, data: bytes, /) -> bytes:
        head, self._head = self._head, b""
        return head + self._compressor.compress(data)

    def flush(self) -> bytes:
        return self._head + self._compressor.flush()


_DECODERS: dict[str, Callable[[], Any]] = {
    "gzip": lambda: zlib.decompressobj(_GZIP),
    "deflate": lambda: zlib.decompressobj(),
    "zstd": lambda: zstandard.ZstdDecompressor().decompressobj(),
    "lz4": lambda: lz4.frame.LZ4FrameDecompressor(),
}
_ENCODERS: dict[str | None, Callable[[], Encoder]] = {
    None: _Plain,
    "gzip": lambda: zlib.compressobj(3, wbits=_GZIP),
    "deflate": lambda: zlib.compressobj(3),
    "zstd": lambda: zstandard.ZstdCompressor(level=1).compressobj(),
    "lz4": _Lz4,
}
