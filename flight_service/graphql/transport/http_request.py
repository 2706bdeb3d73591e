"""Parses a GraphQL request over HTTP, and chooses the content type of the response."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import anyio
import msgspec
import pyarrow as pa
from starlette.requests import Request as HttpRequest

from flight_service.compression import HEADER, write_options
from flight_service.errors import InvalidRequest
from flight_service.graphql.service import Request
from flight_service.graphql.transport.response import ARROW, GRAPHQL, JSON
from flight_service.http_failures import (
    BodyTooLarge,
    BodyTooLate,
    MethodNotAllowed,
    NotAcceptable,
    UnsupportedMediaType,
)

MAX_BYTES = 2**20
"""The largest request body."""
BODY_SECONDS = 30
"""The time limit for a client to send it."""


class _Body(msgspec.Struct):
    """The body of a request."""

    query: str | None = None
    """Missing if `extensions` have the hash of a query that was sent before."""
    variables: dict[str, Any] | None = None
    operationName: str | None = None  # noqa: N815 [the protocol's name]
    extensions: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class HttpQuery:
    """A request, and the content type that its response must have."""

    body: _Body
    field: str | None
    kind: str
    authorization: str | None
    options: pa.ipc.IpcWriteOptions
    """How Arrow data are written."""

    @property
    def request(self) -> Request:
        return Request(self.body.query or "", self.body.variables or {}, self.body.operationName)


FORMATS = {"json": JSON, "arrow": ARROW}
"""Content types by the parameter `format`."""


def accepted(accept: str | None, format: str | None = None) -> str:
    """The content type that the parameter `format` names, or else that the client prefers.

    Raises:
        InvalidRequest: `format` is unknown, or it accepts none of those available.
    """
    if format is not None:
        if format not in FORMATS:
            raise InvalidRequest(f"The parameter format is one of {', '.join(FORMATS)}.")
        return FORMATS[format]
    best, weight = None, 0.0
    for part in (accept or "*/*").lower().split(","):
        kind, *parameters = (one.strip() for one in part.split(";"))
        quality = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        try:
            found = float(quality)
        except ValueError:
            continue
        offered = {GRAPHQL: GRAPHQL, JSON: JSON, ARROW: ARROW, "*/*": JSON, "application/*": JSON}
        if kind in offered and found > weight:
            best, weight = offered[kind], found
    if best is None:
        raise NotAcceptable(f"The available content types are {GRAPHQL}, {JSON} and {ARROW}.")
    return best


async def read_request(request: HttpRequest, kind: str) -> HttpQuery:
    """Reads a request with its body.

    Raises:
        InvalidRequest: it is not a GraphQL request, is too large, or does not arrive in time.
    """
    if request.method in ("GET", "HEAD"):
        raw: Any = _from_url(request.query_params)
    elif request.method == "POST":
        raw = await _from_body(request)
    else:
        raise MethodNotAllowed("GET, HEAD, POST")
    try:
        body = msgspec.convert(raw, _Body)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"This is no GraphQL request: {error}.") from error
    if body.query is None and "persistedQuery" not in (body.extensions or {}):
        raise InvalidRequest("This is no GraphQL request: it has no `query`.")
    field = request.query_params.get("field")
    options = write_options(request.headers.get(HEADER))
    return HttpQuery(body, field, kind, request.headers.get("authorization"), options)


def _from_url(parameters: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {
        name: parameters[name] for name in ("query", "operationName") if name in parameters
    }
    for name in ("variables", "extensions"):
        if parameters.get(name):
            found[name] = _decoded(parameters[name].encode(), f"The parameter {name}")
    return found


async def _from_body(request: HttpRequest) -> Any:
    kind, *parameters = (
        one.strip() for one in request.headers.get("content-type", "").lower().split(";")
    )
    charset = next((p for p in parameters if p.startswith("charset=")), "charset=utf-8")
    if kind != JSON or charset.removeprefix("charset=").strip('"') not in ("utf-8", "utf8"):
        raise UnsupportedMediaType(f"The body must be {JSON} in UTF-8.")
    try:
        with anyio.fail_after(BODY_SECONDS):
            return _decoded(await _read(request), "The body")
    except TimeoutError:
        raise BodyTooLate(f"The body did not arrive within {BODY_SECONDS} s.") from None


async def _read(request: HttpRequest) -> bytes:
    size, pieces = 0, []
    async for piece in request.stream():
        size += len(piece)
        if size > MAX_BYTES:
            raise BodyTooLarge(f"The body has more than {MAX_BYTES:,} bytes.")
        pieces.append(piece)
    return b"".join(pieces)


def _decoded(text: bytes, what: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"{what} is no JSON: {error}.") from error
