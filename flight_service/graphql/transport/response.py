"""A GraphQL response over HTTP, as JSON or as an Arrow stream.

The first megabyte is produced before anything is sent. An error until then gives a response with
errors and `data` null. A later error ends the list in which it occurs, and the errors follow
`data`; an Arrow stream, which cannot have errors, is aborted.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import msgspec
import pyarrow as pa

from flight_service.errors import DEADLINE_EXCEEDED, UNAVAILABLE
from flight_service.graphql.errors import Busy, GraphQLFailure, QueryRefused
from flight_service.messages import messages
from fraiseql_assets.iterators import close_iterator

FIRST_BYTES = 2**20
JSON = "application/json"
GRAPHQL = "application/graphql-response+json"
ARROW = "application/vnd.apache.arrow.stream"


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: its status, its content type, and its content in pieces."""

    status: int
    kind: str
    body: Iterable[bytes]
    headers: Mapping[str, str] = field(default_factory=dict)


def refused(failure: GraphQLFailure, kind: str) -> Answer:
    """The response to a request that was not executed."""
    shown = JSON if kind == ARROW else kind
    content = _encoded({"errors": failure.formatted()})
    return Answer(_status(failure, kind), shown, [content], _headers(failure))


def json_answer(fields: Iterator[bytes], kind: str) -> Answer:
    """The JSON response with the members of `data`."""
    body = _with_errors(fields)
    try:
        return Answer(200, kind, begun(body))
    except GraphQLFailure as failure:
        content = _encoded({"errors": failure.formatted(), "data": None})
        status = _status(failure, kind) if _is_server_error(failure) else 200
        return Answer(status, kind, [content], _headers(failure))


def arrow_answer(
    schema: pa.Schema,
    batches: Iterator[pa.RecordBatch],
    options: pa.ipc.IpcWriteOptions | None = None,
) -> Answer:
    """The response as an Arrow stream."""
    try:
        return Answer(200, ARROW, begun(ipc_stream(schema, batches, options)))
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


def begun(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same pieces, the first of which have been produced."""
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
        close_iterator(rest)


def ipc_stream(
    schema: pa.Schema,
    batches: Iterator[pa.RecordBatch],
    options: pa.ipc.IpcWriteOptions | None = None,
) -> Iterator[bytes]:
    """The bytes of an Arrow stream, in pieces, as the batches come."""
    sink = _Sink()
    with pa.ipc.new_stream(sink, schema, options=options) as writer:
        yield sink.take()
        for batch in batches:
            for message in messages(batch):
                writer.write_batch(message)
                yield sink.take()
    yield sink.take()


class _Sink:
    """Collects what the stream writer writes."""

    closed = False

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: Any) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None: ...

    def close(self) -> None: ...

    def take(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


def _status(failure: GraphQLFailure, kind: str) -> int:
    # A client that accepts plain JSON expects status 200 for errors of a well-formed request.
    lenient = kind == JSON and isinstance(failure, QueryRefused)
    return 200 if lenient else failure.status.http


def _is_server_error(failure: GraphQLFailure) -> bool:
    """Whether the error is not one of a field, for which GraphQL has status 200."""
    return failure.status in (UNAVAILABLE, DEADLINE_EXCEEDED)


def _headers(failure: GraphQLFailure) -> dict[str, str]:
    return {"Retry-After": str(failure.retry_seconds)} if isinstance(failure, Busy) else {}


def _encoded(value: Any) -> bytes:
    return msgspec.json.encode(value)
