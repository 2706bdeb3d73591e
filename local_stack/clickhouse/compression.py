"""Request and response bodies as the client compresses them: gzip, deflate, zstd, lz4."""

import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import lz4.frame
import zstandard

_GZIP = 16 + zlib.MAX_WBITS
SUPPORTED = ("lz4", "zstd", "gzip", "deflate")


def decompressed(pieces: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """A body as it was before its Content-Encoding.

    Raises:
        KeyError: the encoding is not known.
        ValueError: the body is not what its encoding says, or ends half-way.
    """
    decoder = _DECODERS[encoding]()
    try:
        for piece in pieces:
            while piece:
                plain = decoder.decompress(piece)
                if plain:
                    yield plain
                piece = getattr(decoder, "unused_data", b"") if decoder.eof else b""
                if piece:
                    decoder = _DECODERS[encoding]()
    except (zlib.error, zstandard.ZstdError, RuntimeError, EOFError) as error:
        raise ValueError(f"the body is not {encoding}: {error}") from error
    if not decoder.eof:
        raise ValueError(f"the {encoding} body ends half-way")


def compressed(pieces: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """A body in a Content-Encoding, piece by piece."""
    encoder = _ENCODERS[encoding]()
    head = encoder.begin() if hasattr(encoder, "begin") else b""
    if head:
        yield head
    for piece in pieces:
        packed = encoder.compress(piece)
        if packed:
            yield packed
    yield encoder.flush()


def accepted(header: str) -> str | None:
    """The first encoding that the client accepts and the front knows."""
    for item in header.split(","):
        name = item.partition(";")[0].strip().lower()
        if name in SUPPORTED:
            return name
    return None


_DECODERS: dict[str, Callable[[], Any]] = {
    "gzip": lambda: zlib.decompressobj(_GZIP),
    "deflate": lambda: zlib.decompressobj(),
    "zstd": lambda: zstandard.ZstdDecompressor().decompressobj(),
    "lz4": lambda: lz4.frame.LZ4FrameDecompressor(),
}
_ENCODERS: dict[str, Callable[[], Any]] = {
    "gzip": lambda: zlib.compressobj(3, wbits=_GZIP),
    "deflate": lambda: zlib.compressobj(3),
    "zstd": lambda: zstandard.ZstdCompressor(level=1).compressobj(),
    "lz4": lambda: lz4.frame.LZ4FrameCompressor(),
}
