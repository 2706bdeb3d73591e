"""A GraphQL response over HTTP: JSON, or the Arrow stream, begun only when its start is sure.

The first megabyte is made before anything is sent. What fails until then is answered as GraphQL
says: the errors, and `data` null. What fails later ends the list that it fails in, and the errors
follow `data`; an Arrow stream, which has no place for errors, breaks off.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import msgspec
import pyarrow as pa

from flight_service.errors import DEADLINE_EXCEEDED, UNAVAILABLE
from flight_service.graphql.errors import Busy, GraphQLFailure, QueryRefused

FIRST_BYTES = 2**20
JSON = "application/json"
GRAPHQL = "application/graphql-response+json"
ARROW = "application/vnd.apache.arrow.stream"


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent: a status, a kind of content, and the content in pieces."""

    status: int
    kind: str
    body: Iterable[bytes]
    headers: Mapping[str, str] = field(default_factory=dict)


def refused(failure: GraphQLFailure, kind: str) -> Answer:
    """The answer to a request that was not executed."""
    shown = JSON if kind == ARROW else kind
    content = _encoded({"errors": failure.formatted()})
    return Answer(_status(failure, kind), shown, [content], _headers(failure))


def json_answer(fields: Iterator[bytes], kind: str) -> Answer:
    """The answer with the fields of `data`."""
    body = _with_errors(fields)
    try:
        return Answer(200, kind, _begun(body))
    except GraphQLFailure as failure:
        content = _encoded({"errors": failure.formatted(), "data": None})
        status = _status(failure, kind) if _is_server_s(failure) else 200
        return Answer(status, kind, [content], _headers(failure))


def arrow_answer(
    schema: pa.Schema,
    batches: Iterator[pa.RecordBatch],
    options: pa.ipc.IpcWriteOptions | None = None,
) -> Answer:
    """The answer as an Arrow stream."""
    try:
        return Answer(200, ARROW, _begun(ipc_stream(schema, batches, options)))
    except GraphQLFailure as failure:
        content = _encoded({"errors": failure.formatted(), "data": None})
        return Answer(_status(failure, ARROW), JSON, [content], _headers(failure))


def _with_errors(fields: Iterator[bytes]) -> Iterator[bytes]:
    yield b'{"data":{'
    sent = 0
    try:
        for piece in fields:
            sent += len(piece)
            yield piece
    except GraphQLFailure as failure:
        if sent < FIRST_BYTES:
            raise
        yield b'},"errors":' + _encoded(failure.formatted()) + b"}"
        return
    yield b"}}"


def _begun(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The pieces, of which the first are there already."""
    first: list[bytes] = []
    size = 0
    for piece in pieces:
        first.append(piece)
        size += len(piece)
        if size > FIRST_BYTES:
            break
    return _closing(first, pieces)


def _closing(first: list[bytes], rest: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield from chain(first, rest)
    finally:
        close = getattr(rest, "close", None)
        if close:
            close()


def ipc_stream(
    schema: pa.Schema,
    batches: Iterator[pa.RecordBatch],
    options: pa.ipc.IpcWriteOptions | None = None,
) -> Iterator[bytes]:
    """The bytes of an Arrow stream, in pieces, as the batches come."""
    sink = _Sink()
    with pa.ipc.new_stream(sink, schema, options=options) as writer:
        yield sink.taken()
        for batch in batches:
            writer.write_batch(batch)
            yield sink.taken()
    yield sink.taken()


class _Sink:
    """Where the stream is written to, piece by piece."""

    closed = False

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: Any) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None: ...

    def close(self) -> None: ...

    def taken(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


def _status(failure: GraphQLFailure, kind: str) -> int:
    # A plain JSON client expects the errors of a well-formed request under 200.
    lenient = kind == JSON and isinstance(failure, QueryRefused)
    return 200 if lenient else failure.status.http


def _is_server_s(failure: GraphQLFailure) -> bool:
    """Whether it is no error of a field, which GraphQL answers under 200."""
    return failure.status in (UNAVAILABLE, DEADLINE_EXCEEDED)


def _headers(failure: GraphQLFailure) -> dict[str, str]:
    return {"Retry-After": str(failure.retry_seconds)} if isinstance(failure, Busy) else {}


def _encoded(value: Any) -> bytes:
    return msgspec.json.encode(value)
