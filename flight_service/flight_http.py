"""`GET /assets/{key}` and `/query`: the rows of any flight as JSON, Arrow, CSV, NDJSON or Parquet.

A response that depends on one asset has an entity tag. A client that sends it back
(`If-None-Match`) gets 304 without content until rows may have changed.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio
import msgspec
import pyarrow as pa
from starlette.requests import ClientDisconnect, Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from flight_service.asset_versions import AssetVersions
from flight_service.assets import Asset, AssetFlights
from flight_service.authentication import Principal
from flight_service.bulk_export import BulkExport, file_format
from flight_service.coalescing import CoalescedRequests
from flight_service.compression import HEADER, write_options
from flight_service.errors import InvalidRequest, Unauthenticated
from flight_service.flights import Flight
from flight_service.formats import ARROW, CSV, JSON, NDJSON
from flight_service.graphql.transport.response import begun
from flight_service.http_authentication import authenticated
from flight_service.http_failures import MethodNotAllowed, failure
from flight_service.http_formats import chosen_format, entity_tag, matches, type_header
from flight_service.http_streams import Streaming
from flight_service.identity.signing import signing_key
from flight_service.limits import StreamLimits
from flight_service.monitoring.calls import current
from flight_service.tickets import MAX_BYTES, Ticket, TicketReader, explained
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.catalogue import BY_KEY
from fraiseql_assets.iterators import close_iterator
from fraiseql_assets.settings import Settings

QUERY = "/query"
INFO = "info"
"""The format that describes the rows without reading them."""
BODY_SECONDS = 30
"""The timeout for receiving a ticket."""
WARNINGS = "x-fraiseql-warnings"
"""The header with a JSON list of sentences on fields that were ignored."""
WHILE_ENDLESS = (ARROW, CSV, NDJSON)
"""The formats that support endless streams."""
IN_JSON = ("variables", "queries")
"""URL parameters with JSON values."""

Resolve = Callable[[Ticket, Principal], Flight]


@dataclass(frozen=True, slots=True)
class _Response:
    """A response: its content in pieces, and its headers."""

    status: int
    pieces: Iterable[bytes]
    headers: Mapping[str, str] = field(default_factory=dict)
    is_endless: bool = False


def flight_routes(
    assets: AssetFlights,
    resolve: Resolve,
    reader: TicketReader,
    settings: Settings,
    limits: StreamLimits,
) -> tuple[Route, ...]:
    """The list of assets, the rows of each, and those of every flight."""
    endpoint = _Endpoint(assets, resolve, reader, settings, limits)
    return (
        Route("/assets", endpoint),
        Route("/assets/{key:path}", endpoint),
        Route(QUERY, endpoint),
    )


class _Endpoint:
    """The ASGI application behind the routes."""

    def __init__(
        self,
        assets: AssetFlights,
        resolve: Resolve,
        reader: TicketReader,
        settings: Settings,
        limits: StreamLimits,
    ) -> None:
        self._assets, self._settings, self._limits = assets, settings, limits
        self._resolve, self._reader = resolve, reader
        self._tag_key = signing_key(settings, "entity tags")
        self._versions = AssetVersions(settings)
        self._asked: CoalescedRequests[str | None] = CoalescedRequests()
        self._sending, self._sending_endless = (
            Streaming(
                wait_seconds=settings.graphql_wait_seconds,
                stall_seconds=settings.graphql_stall_seconds,
            )
            for _ in range(2)
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body, problem = b"", None
        try:
            given = request.headers.get("authorization")
            principal = await authenticated(given, self._settings)
            _check_method(request)
            body = await _body(request) if request.method == "POST" else b""
        except ClientDisconnect:
            return
        except Exception as error:
            principal, problem = None, error
        end: Callable[[], None] = lambda: None  # noqa: E731
        try:
            async with self._sending.cancellation(receive) as cancellation:
                try:
                    if problem is not None or principal is None:
                        raise problem or Unauthenticated("Send a token.")
                    end = self._limits.begin(principal)
                    response = await self._sending.work(
                        lambda: self._answered(request, body, principal, cancellation)
                    )
                except Exception as error:
                    response = _Response(*failure(error))
                sending = self._sending_endless if response.is_endless else self._sending
                await sending.send(response.status, response.headers, response.pieces, send)
        finally:
            end()

    def _answered(
        self, request: Request, body: bytes, principal: Principal, cancellation: Cancellation
    ) -> _Response:
        if request.url.path == "/assets":
            return _Response(200, [msgspec.json.encode(self._listed(principal))], type_header(JSON))
        parameters = dict(request.query_params)
        options = write_options(request.headers.get(HEADER))
        name = parameters.pop("format", None)
        warnings: list[str] = []
        if (key := request.path_params.get("key")) is not None:
            ticket: Ticket = _asset(key, parameters)
        else:
            ticket = self._ticket(body, parameters, warnings)
        if isinstance(ticket, BulkExport):
            name = name or file_format(ticket).name
            ticket = msgspec.structs.replace(ticket, format=ARROW.name)
        flight = self._resolve(ticket, principal)
        if name == INFO:
            known = _known(flight, cancellation)
            return _Response(200, [msgspec.json.encode(known)], type_header(JSON))
        format = chosen_format(name, request.headers.get("accept"))
        headers = {
            **type_header(format),
            "vary": f"accept, authorization, {HEADER}",
            "cache-control": "private, no-cache",
        }
        if warnings:
            headers[WARNINGS] = json.dumps(warnings)
        # The version is read before the rows, so the rows may be newer but never older.
        version = flight.asset and self._version(flight.asset)
        if version is not None:
            tag = entity_tag(self._tag_key, version, ticket, principal, format, options)
            headers["etag"] = tag
            if matches(request.headers.get("if-none-match"), tag):
                return _Response(304, [], headers)
        if flight.is_endless and format not in WHILE_ENDLESS:
            raise InvalidRequest(
                f"This flight has no end, which {format.name} needs. Ask for one of the formats "
                f"{', '.join(one.name for one in WHILE_ENDLESS)}."
            )
        if request.method == "HEAD":
            # Not a list: its length would be sent, and ClickHouse would read an empty file.
            return _Response(200, iter(()), headers)
        batches = _rows_counted(flight.stream(cancellation))
        pieces = format.pieces(flight.schema, batches, options)
        if flight.is_endless:
            return _Response(200, pieces, headers, is_endless=True)
        return _Response(200, begun(pieces), headers)

    def _version(self, asset: str) -> str | None:
        return self._asked.run(asset, lambda: self._versions.version_of(asset))

    def _ticket(self, body: bytes, parameters: dict[str, str], warnings: list[str]) -> Ticket:
        """The ticket of a request to `/query`: its body, its parameter `ticket`, or its other
        parameters as the fields of one."""
        fields: dict[str, Any] = dict(parameters)
        if (columns := fields.pop("columns", None)) is not None:
            fields["columns"] = columns.split(",")
        given = body or fields.pop("ticket", "").encode()
        if not given:
            for name in IN_JSON:
                if name in fields:
                    fields[name] = _decoded(fields[name], name)
            return self._reader.read_fields(fields, warnings, texts=True)
        ticket = self._reader.read(given, warnings)
        if not fields:
            return ticket
        both = {**msgspec.to_builtins(ticket), **fields}
        return self._reader.read_fields(both, warnings, texts=True)

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


def _known(flight: Flight, cancellation: Cancellation) -> dict[str, Any]:
    """The content of GetFlightInfo: about all rows, and about each part of them."""
    extent = flight.extent(cancellation)
    parts = [dict(part.about) for part in extent.parts]
    return {**flight.about, **extent.about, "parts": parts}


def _check_method(request: Request) -> None:
    allowed = ("GET", "HEAD", "POST") if request.url.path == QUERY else ("GET", "HEAD")
    if request.method not in allowed:
        raise MethodNotAllowed(", ".join(allowed))


async def _body(request: Request) -> bytes:
    pieces, size = [], 0
    try:
        with anyio.fail_after(BODY_SECONDS):
            async for piece in request.stream():
                size += len(piece)
                if size > MAX_BYTES:
                    raise InvalidRequest(f"A ticket has at most {MAX_BYTES:,} bytes.")
                pieces.append(piece)
    except TimeoutError:
        raise InvalidRequest(f"The ticket did not arrive within {BODY_SECONDS} s.") from None
    return b"".join(pieces)


def _decoded(text: str, name: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidRequest(f"The parameter {name} is no JSON: {error}.") from error


def _asset(key: str, parameters: dict[str, str]) -> Asset:
    columns = parameters.pop("columns", None)
    given: dict[str, Any] = {**parameters, "type": Asset.__name__, "asset": key}
    if columns is not None:
        given["columns"] = columns.split(",")
    try:
        return msgspec.convert(given, Asset, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidRequest(explained(error, Asset).replace("ticket", "request")) from error


def _rows_counted(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    call = current.get()
    try:
        for batch in batches:
            if call:
                call.count_rows(batch.num_rows)
            yield batch
    finally:
        close_iterator(batches)
