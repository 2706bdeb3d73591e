import gzip
import io
import zlib
from collections.abc import Callable

import lz4.frame
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from local_stack.clickhouse.body import Body
from local_stack.clickhouse.compression import accepted, decompressed, encoder
from local_stack.clickhouse.errors import QueryError

PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstandard.compress,
    "lz4": lz4.frame.compress,
}


def chunked(parts: list[bytes]) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def read_by(body: Body, size: int) -> bytes:
    return b"".join(iter(lambda: body.read(size), b""))


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=8), st.integers(1, 50))
def test_a_chunked_body_is_joined(parts: list[bytes], size: int) -> None:
    stream = io.BytesIO(chunked(parts) + b"the next request")
    body = Body(stream, None)
    assert read_by(body, size) == b"".join(parts)
    assert body.is_read
    assert stream.read() == b"the next request"


@given(st.binary(max_size=100), st.integers(1, 50))
def test_a_body_ends_at_its_content_length(content: bytes, size: int) -> None:
    stream = io.BytesIO(content + b"the next request")
    body = Body(stream, len(content))
    assert read_by(body, size) == content
    assert stream.read() == b"the next request"


def test_chunks_may_have_extensions_and_trailers() -> None:
    body = Body(io.BytesIO(b"3;name=value\r\nabc\r\n0\r\nDigest: x\r\n\r\n"), None)
    assert body.read() == b"abc"


@given(st.data())
def test_a_truncated_chunked_body_is_refused(data: st.DataObject) -> None:
    whole = chunked([b"abcdef", b"gh"])
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(QueryError) as refused:
        read_by(Body(io.BytesIO(whole[:cut]), None), 4)
    assert refused.value.code == 33


def test_a_body_shorter_than_its_length_is_refused() -> None:
    with pytest.raises(QueryError, match="3 bytes are missing"):
        Body(io.BytesIO(b"abc"), 6).read()


def test_a_body_is_skipped_up_to_a_limit() -> None:
    body = Body(io.BytesIO(b"x" * 100), 100)
    assert not body.skip(60)
    assert body.skip(60)


@pytest.mark.parametrize("encoding", PACKED)
@given(content=st.binary(max_size=2000), size=st.integers(1, 100))
def test_a_body_is_decompressed_in_pieces_of_any_size(
    encoding: str, content: bytes, size: int
) -> None:
    packed = PACKED[encoding](content)
    pieces = [packed[at : at + size] for at in range(0, len(packed), size)]
    assert b"".join(decompressed(pieces, encoding)) == content


@pytest.mark.parametrize("encoding", PACKED)
def test_consecutive_frames_are_one_body(encoding: str) -> None:
    packed = PACKED[encoding](b"first") + PACKED[encoding](b"second")
    assert b"".join(decompressed([packed], encoding)) == b"firstsecond"


@pytest.mark.parametrize("encoding", PACKED)
def test_a_truncated_compressed_body_is_refused(encoding: str) -> None:
    packed = PACKED[encoding](bytes(range(256)) * 100)
    with pytest.raises(ValueError, match="truncated"):
        list(decompressed([packed[: len(packed) // 2]], encoding))


@pytest.mark.parametrize("encoding", PACKED)
def test_a_body_that_does_not_have_its_encoding_is_refused(encoding: str) -> None:
    with pytest.raises(ValueError, match=f"The body is not {encoding}"):
        list(decompressed([b"plain text, as it stands"], encoding))


@pytest.mark.parametrize("encoding", PACKED)
@given(pieces=st.lists(st.binary(max_size=500), max_size=5))
def test_compression_round_trips(encoding: str, pieces: list[bytes]) -> None:
    packer = encoder(encoding)
    packed = b"".join([*map(packer.compress, pieces), packer.flush()])
    assert b"".join(decompressed([packed], encoding)) == b"".join(pieces)


@pytest.mark.parametrize(
    ("header", "encoding"),
    [
        ("", None),
        ("br", None),
        ("gzip, deflate, br", "gzip"),
        ("br;q=1, zstd;q=0.5", "zstd"),
        ("lz4;q=0, GZIP", "gzip"),
    ],
)
def test_the_first_accepted_encoding_is_chosen(header: str, encoding: str | None) -> None:
    assert accepted(header) == encoding
