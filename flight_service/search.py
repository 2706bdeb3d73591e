"""Search over Flight and HTTP: the `Search` ticket and `GET /search`."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

import msgspec
import pyarrow as pa
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from flight_service.access import tenant_of
from flight_service.authentication import Principal
from flight_service.compression import HEADER, write_options
from flight_service.errors import INVALID_ARGUMENT, InvalidRequest, ServiceError
from flight_service.flights import Flight
from flight_service.http_authentication import authenticated
from flight_service.http_failures import failed
from flight_service.http_streams import Streaming
from flight_service.limits import StreamLimits
from flight_service.tickets import Ticket
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.operational.search.engine import Search as SearchEngine
from fraiseql_assets.operational.search.request import (
    Counts,
    Kinds,
    SearchMistake,
    SearchRequest,
    moment,
)
from fraiseql_assets.operational.search.schema import COUNT_SCHEMA, HIT_SCHEMA
from fraiseql_assets.operational.search.unavailable_days import not_searched
from fraiseql_assets.operational.search.values import QueryMistake
from fraiseql_assets.planes import PlaneError
from fraiseql_assets.settings import Settings

ARROW = "application/vnd.apache.arrow.stream"


class Search(Ticket, frozen=True):
    """Events and requests that match, newest first; with `count` their number."""

    query: str | None = None
    kinds: Kinds | None = None
    since: str | None = None
    until: str | None = None
    tenant: str | None = None
    entity: str | None = None
    entity_type: str | None = None
    event_type: str | None = None
    id: str | None = None
    failed: bool | None = None
    similar: str | None = None
    oldest_first: bool | None = None
    limit: int | None = None
    cursor: str | None = None
    count: Counts | None = None
    partial: bool | None = None

    def request(self) -> SearchRequest:
        """The search of the ticket.

        Raises:
            SearchMistake: it is invalid.
        """
        given = {name: getattr(self, name) for name in self.__struct_fields__}
        for name in ("count", "endpoints", "columns"):
            del given[name]
        given |= {edge: moment(given[edge], edge) for edge in ("since", "until")}
        # A timeline starts with its oldest row.
        if self.oldest_first is None and (self.id or self.entity) is not None:
            given["oldest_first"] = True
        return SearchRequest(**{name: value for name, value in given.items() if value is not None})


PARAMETERS = [name for name in Search.__struct_fields__ if name not in ("endpoints", "columns")]
"""The parameters of `GET /search`."""


class SearchFlights:
    """Flights of `Search` tickets."""

    def __init__(self, engine: SearchEngine) -> None:
        self._engine = engine

    def resolve(self, ticket: Search, principal: Principal) -> Flight:
        """The flight of a ticket; see `flight_service.flights.Resolver`."""
        try:
            request = ticket.request()
            self._engine.check(request)
        except (SearchMistake, QueryMistake) as mistake:
            raise InvalidRequest(str(mistake)) from mistake

        def stream(cancellation: Cancellation) -> Iterator[pa.RecordBatch]:
            try:
                yield _found(self._engine, ticket, request, principal, cancellation)
            except (SearchMistake, QueryMistake) as mistake:
                raise InvalidRequest(str(mistake)) from mistake

        return Flight(COUNT_SCHEMA if ticket.count else HIT_SCHEMA, stream)


def _found(
    engine: SearchEngine,
    ticket: Search,
    request: SearchRequest,
    principal: Principal,
    cancellation: Cancellation,
) -> pa.RecordBatch:
    tenant = tenant_of(principal)
    if ticket.count:
        return engine.counts(request, ticket.count, tenant=tenant, cancellation=cancellation)
    return engine.hits(request, tenant=tenant, cancellation=cancellation)


def search_route(engine: SearchEngine, settings: Settings, limits: StreamLimits) -> Route:
    """`GET /search`: the ticket's fields as parameters, `q` for the query. The result is JSON, or
    Arrow with `format=arrow` or if the client accepts only Arrow.

    JSON begins with a warning if it is partial, so partial results are allowed unless
    `partial=false` is given.
    """
    return Route("/search", _Endpoint(engine, settings, limits), methods=["GET"])


class _Endpoint:
    """The ASGI application behind the route."""

    def __init__(self, engine: SearchEngine, settings: Settings, limits: StreamLimits) -> None:
        self._engine, self._settings, self._limits = engine, settings, limits
        self._threads = Streaming(
            wait_seconds=settings.graphql_wait_seconds, stall_seconds=settings.graphql_stall_seconds
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            principal = await authenticated(request.headers.get("authorization"), self._settings)
            end = self._limits.begin(principal)
        except ServiceError as error:
            await failed(error)(scope, receive, send)
            return
        try:
            async with self._threads.cancellation(receive) as cancellation:
                response = await self._answered(request, principal, cancellation)
                await response(scope, receive, send)
        finally:
            end()

    async def _answered(
        self, request: Request, principal: Principal, cancellation: Cancellation
    ) -> Response:
        try:
            options = write_options(request.headers.get(HEADER))
            given = dict(request.query_params)
            is_arrow = _is_arrow(given.pop("format", None), request.headers.get("accept"))
            given.setdefault("partial", "false" if is_arrow else "true")
            ticket = _ticket(given)
            search = ticket.request()

            def work() -> Response:
                found = _found(self._engine, ticket, search, principal, cancellation)
                if is_arrow:
                    return Response(_ipc(found, options), media_type=ARROW)
                return Response(_json(found, ticket), media_type="application/json")

            return await self._threads.work(work)
        except QueryMistake as mistake:
            return _refused(mistake, position=mistake.position, pointed=mistake.pointed())
        except SearchMistake as mistake:
            return _refused(mistake)
        except (ServiceError, PlaneError) as error:
            return failed(error)


def _is_arrow(format: str | None, accept: str | None) -> bool:
    if format not in (None, "json", "arrow"):
        raise SearchMistake("The parameter format is one of json, arrow.")
    return format == "arrow" or (format is None and accept == ARROW)


def _ticket(given: dict[str, str]) -> Search:
    named = {("query" if name == "q" else name): value for name, value in given.items()}
    for name in named.keys() - set(PARAMETERS):
        raise SearchMistake(f"There is no parameter {name}.{_suggestion(name)}")
    for name, choices in (("kinds", Kinds), ("count", Counts)):
        if name in named and named[name] not in list(choices):
            raise SearchMistake(f"{name} is {named[name]!r}. It is one of {', '.join(choices)}.")
    try:
        # Parameters are strings, from which numbers and booleans are parsed.
        return msgspec.convert({"type": "Search", **named}, Search, strict=False)
    except msgspec.ValidationError as error:
        raise SearchMistake(f"This search does not fit: {error}.") from error


def _suggestion(name: str) -> str:
    names = ["q", *PARAMETERS, "format"]
    near = get_close_matches(name, names, n=1)
    return f" Did you mean {near[0]}?" if near else f" There are {', '.join(names)}."


def _ipc(batch: pa.RecordBatch, options: pa.ipc.IpcWriteOptions) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=options) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def _json(found: pa.RecordBatch, ticket: Search) -> bytes:
    rows = found.to_pylist()
    missing = rows[0]["missing"] if rows else None
    warned = {"warning": not_searched(missing), "missing": missing} if missing else {}
    for row in rows:
        del row["missing"]
    if ticket.count:
        return _line({**warned, "counts": rows})
    cursor = rows[-1]["cursor"] if rows else None
    for row in rows:
        del row["cursor"]
        for name in ("data", "changes", "variables"):
            row[name] = _inside(row[name])
    hits = [{name: value for name, value in row.items() if value is not None} for row in rows]
    return _line({**warned, "hits": hits, "cursor": cursor})


def _line(content: Any) -> bytes:
    """JSON with a line break, so that a terminal's prompt does not follow it."""
    return msgspec.json.encode(content) + b"\n"


def _inside(text: str | None) -> Any:
    """Valid JSON as raw JSON, other text as a string."""
    if text is None:
        return None
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return text
    return msgspec.Raw(text.encode())


def _refused(mistake: ValueError, **position: Any) -> JSONResponse:
    return JSONResponse({"errors": [{"message": str(mistake), **position}]}, INVALID_ARGUMENT.http)
