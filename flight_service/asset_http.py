"""`GET /assets` and `GET /assets/{key}`: the rows of an asset as JSON or as an Arrow stream, or
what is known of them before they are read.

A response with rows has an entity tag. A client that sends it back (`If-None-Match`) gets 304
without content until rows may have changed.
"""

import hmac
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pyarrow as pa
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from flight_service.asset_versions import version_of
from flight_service.assets import Asset, AssetFlights
from flight_service.authentication import Principal
from flight_service.cancellation import Cancellation
from flight_service.compression import HEADER, write_options
from flight_service.errors import (
    InvalidRequest,
    ServiceError,
    Unauthenticated,
    as_flight_error,
    client_message,
    sentence_of,
)
from flight_service.flights import Flight
from flight_service.graphql.arrow.result_types import result_fields
from flight_service.graphql.arrow.to_json import rows_text
from flight_service.graphql.transport.response import ARROW, begun, ipc_stream
from flight_service.http_authentication import authenticated
from flight_service.http_streams import Streaming, ThreadsBusy
from flight_service.identity.signing import fingerprint, signing_key
from flight_service.limits import StreamLimits
from flight_service.monitoring.calls import current
from flight_service.questions import Questions
from flight_service.tickets import explained
from fraiseql_assets.catalogue import BY_KEY
from fraiseql_assets.planes import PlaneError
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.connection import LogError

JSON = "application/json"
INFO = "info"
FORMATS = ("json", "arrow", INFO)


@dataclass(frozen=True, slots=True)
class _Response:
    """A response: its content in pieces, and its headers."""

    status: int
    pieces: Iterable[bytes]
    headers: Mapping[str, str] = field(default_factory=dict)


def asset_routes(
    assets: AssetFlights, settings: Settings, limits: StreamLimits
) -> tuple[Route, ...]:
    """The list of assets, and the rows of each."""
    endpoint = _Endpoint(assets, settings, limits)
    return Route("/assets", endpoint), Route("/assets/{key:path}", endpoint)


class _Endpoint:
    """The ASGI application behind the routes."""

    def __init__(self, assets: AssetFlights, settings: Settings, limits: StreamLimits) -> None:
        self._assets, self._settings, self._limits = assets, settings, limits
        self._tag_key = signing_key(settings, "entity tags")
        self._versions: Questions[str | None] = Questions()
        self._sending = Streaming(
            wait_seconds=settings.graphql_wait_seconds,
            stall_seconds=settings.graphql_stall_seconds,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        end: Callable[[], None] = lambda: None  # noqa: E731
        async with self._sending.cancellation(receive) as cancellation:
            try:
                if request.method not in ("GET", "HEAD"):
                    raise _NotAllowed("Assets are read with GET.")
                given = request.headers.get("authorization")
                principal = await authenticated(given, self._settings)
                end = self._limits.begin(principal)
                response = await self._sending.work(
                    lambda: self._answered(request, principal, cancellation)
                )
            except Exception as error:
                response = _failed(error)
            try:
                await self._sending.send(response.status, response.headers, response.pieces, send)
            finally:
                end()

    def _answered(
        self, request: Request, principal: Principal, cancellation: Cancellation
    ) -> _Response:
        key = request.path_params.get("key")
        if key is None:
            return _Response(200, [msgspec.json.encode(self._listed(principal))], _TYPE[JSON])
        parameters = dict(request.query_params)
        options = write_options(request.headers.get(HEADER))
        format = _format(parameters.pop("format", None), request.headers.get("accept"))
        is_arrow = format == "arrow"
        ticket = _ticket(key, parameters)
        flight = self._assets.resolve(ticket, principal)
        if format == INFO:
            return _Response(200, [msgspec.json.encode(_known(flight))], _TYPE[JSON])
        # The version is asked for before the rows, which may be newer but never older.
        version = self._versions.ask(ticket.asset, lambda: version_of(ticket.asset, self._settings))
        headers = {
            **_TYPE[ARROW if is_arrow else JSON],
            "vary": f"accept, authorization, {HEADER}",
            "cache-control": "private, no-cache",
        }
        if version is not None:
            tag = self._tag(version, ticket, principal, is_arrow, options)
            headers["etag"] = tag
            if _matches(request.headers.get("if-none-match"), tag):
                return _Response(304, [], headers)
        if request.method == "HEAD":
            # Not a list, whose length would be sent: ClickHouse would take it for an empty file.
            return _Response(200, iter(()), headers)
        batches = _counted(flight.stream(cancellation))
        pieces = (
            ipc_stream(flight.schema, batches, options)
            if is_arrow
            else _json(flight.schema, batches)
        )
        return _Response(200, begun(pieces), headers)

    def _tag(
        self,
        version: str,
        ticket: Asset,
        principal: Principal,
        is_arrow: bool,
        options: pa.ipc.IpcWriteOptions,
    ) -> str:
        """The entity tag. It is weak: a proxy may compress what it stands for. It is made with a
        key, so that nobody can guess from it how much a plane or the log holds."""
        parts = (version, ticket.encode(), fingerprint(principal), is_arrow)
        text = repr((*parts, str(options.compression))).encode()
        return f'W/"{hmac.digest(self._tag_key, text, "sha256").hex()[:32]}"'

    def _listed(self, principal: Principal) -> list[dict[str, Any]]:
        listed = [listed.ticket for listed in self._assets.listing(principal)]
        return [
            {
                "asset": ticket.asset,
                "description": BY_KEY[ticket.asset].description,
                "columns": [
                    {"name": column.name, "type": str(column.type), "nullable": column.nullable}
                    for column in self._assets.resolve(ticket, principal).schema
                ],
            }
            for ticket in listed
            if isinstance(ticket, Asset)
        ]


_TYPE = {
    JSON: {"content-type": f"{JSON}; charset=utf-8"},
    ARROW: {"content-type": ARROW},
}


class _NotAllowed(Exception):
    """The method is not one of those that read."""


def _failed(error: Exception) -> _Response:
    headers: dict[str, str] = {}
    match error:
        case _NotAllowed():
            status, message, headers = 405, str(error), {"allow": "GET, HEAD"}
        case Unauthenticated():
            status, message, headers = 401, str(error), {"www-authenticate": "Bearer"}
        case ServiceError():
            status, message = error.status.http, str(error)
        case PlaneError() | LogError():
            status, message = 503, client_message(error)
        case ThreadsBusy():
            status, message = 503, str(error)
        case _:
            status, message = 500, sentence_of(as_flight_error(error))
    if status == 503:
        headers = {"retry-after": "1"}
    content = msgspec.json.encode({"errors": [{"message": message}]})
    return _Response(status, [content], {**_TYPE[JSON], **headers})


def _ticket(key: str, parameters: dict[str, str]) -> Asset:
    columns = parameters.pop("columns", None)
    given: dict[str, Any] = {**parameters, "type": Asset.__name__, "asset": key}
    if columns is not None:
        given["columns"] = columns.split(",")
    try:
        return msgspec.convert(given, Asset, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidRequest(explained(error, Asset).replace("ticket", "request")) from error


def _format(asked: str | None, accept: str | None) -> str:
    if asked not in (None, *FORMATS):
        raise InvalidRequest(f"The parameter format is one of {', '.join(FORMATS)}.")
    return asked or ("arrow" if ARROW in (accept or "") else "json")


def _known(flight: Flight) -> dict[str, Any]:
    """What GetFlightInfo tells of a flight: about all rows, and about each part of them."""
    extent = flight.extent()
    parts = [dict(part.about) for part in extent.parts]
    return {**flight.about, **extent.about, "parts": parts}


def _matches(given: str | None, tag: str) -> bool:
    known = [one.strip().removeprefix("W/") for one in (given or "").split(",")]
    return "*" in known or tag.removeprefix("W/") in known


def _counted(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    call = current.get()
    try:
        for batch in batches:
            if call:
                call.count_rows(batch.num_rows)
            yield batch
    finally:
        close = getattr(batches, "close", None)
        if close:
            close()


def _json(schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> Iterator[bytes]:
    """The rows as a JSON array of objects, batch by batch."""
    fields = result_fields(schema)
    yield b"["
    separator = b""
    for batch in batches:
        if batch.num_rows:
            yield separator + rows_text(batch, fields).to_pybytes()
            separator = b","
    yield b"]"
