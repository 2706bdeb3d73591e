"""`/graphql` over HTTP: the GraphQL-over-HTTP protocol, and the same result as an Arrow stream."""

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import anyio
import msgspec
from anyio.to_thread import run_sync
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from flight_service.authentication import Principal, authenticate
from flight_service.cancellation import Cancellation
from flight_service.errors import Unauthenticated
from flight_service.graphql.errors import Busy, GraphQLFailure, NotAQuery
from flight_service.graphql.request.persisted import PersistedQueries
from flight_service.graphql.service import GraphQL
from flight_service.graphql.transport.http_request import (
    BadRequest,
    HttpQuery,
    accepted,
    read_request,
)
from flight_service.graphql.transport.response import (
    ARROW,
    GRAPHQL,
    JSON,
    Answer,
    arrow_answer,
    json_answer,
    refused,
)
from flight_service.limits import StreamLimits, TooManyStreams
from fraiseql_assets.settings import Settings

THREADS = 40
"""How many requests are processed at the same time."""

logger = logging.getLogger(__name__)


def graphql_route(graphql: GraphQL, settings: Settings, limits: StreamLimits) -> Route:
    """The route, with the authentication that the settings require."""
    return Route("/graphql", _Endpoint(graphql, settings, limits))


class _Endpoint:
    """The ASGI application behind the route."""

    def __init__(self, graphql: GraphQL, settings: Settings, limits: StreamLimits) -> None:
        self._graphql = graphql
        self._limits = limits
        self._settings = settings
        self._wait_seconds = settings.graphql_wait_seconds
        self._stall_seconds = settings.graphql_stall_seconds
        # Requests wait for a thread to work in, but cancellations have threads of their own.
        self._working = anyio.CapacityLimiter(THREADS)
        self._cancelling = anyio.CapacityLimiter(THREADS)
        self._threads = anyio.CapacityLimiter(math.inf)
        self._persisted = PersistedQueries()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = HttpRequest(scope, receive)
        try:
            authorization = request.headers.get("authorization")
            principal = authenticate(authorization, self._settings)
            end = self._limits.begin(principal)
        except TooManyStreams as error:
            answer = refused(Busy(str(error)), JSON)
            await self._send(answer, send)
            return
        except Unauthenticated as error:
            headers = {"WWW-Authenticate": "Bearer"}
            await _error(error.status.http, str(error), headers)(scope, receive, send)
            return
        try:
            await self._answered(request, principal, receive, send)
        finally:
            end()

    async def _answered(
        self, request: HttpRequest, principal: Principal, receive: Receive, send: Send
    ) -> None:
        scope = request.scope
        try:
            accept, format = request.headers.get("accept"), request.query_params.get("format")
            asked = await read_request(request, accepted(accept, format))
        except BadRequest as bad:
            await _error(bad.status, str(bad), bad.headers)(scope, receive, send)
            return
        except ClientDisconnect:
            return
        cancellation = Cancellation()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._watch, receive, cancellation, tasks.cancel_scope)
            try:
                work = partial(self._answer, asked, principal, cancellation, request.method)
                await self._send(await self._started(work, asked.kind), send)
            except BadRequest as bad:
                await _error(bad.status, str(bad), bad.headers)(scope, receive, send)
            finally:
                tasks.cancel_scope.cancel()
                await self._cancel(cancellation.cancel)

    async def _watch(
        self, receive: Receive, cancellation: Cancellation, scope: anyio.CancelScope
    ) -> None:
        """Cancels the work when the client disconnects."""
        while (await receive())["type"] != "http.disconnect":
            pass
        await self._cancel(cancellation.cancel)
        scope.cancel()

    async def _cancel(self, act: Callable[[], None]) -> None:
        with anyio.CancelScope(shield=True):
            await run_sync(act, limiter=self._cancelling)

    async def _started(self, work: Callable[[], Answer], kind: str) -> Answer:
        """The response, unless all threads stay busy."""
        try:
            with anyio.fail_after(self._wait_seconds):
                await self._working.acquire()
        except TimeoutError:
            failure = Busy(
                f"{THREADS} requests have been in progress for {self._wait_seconds:g} s. Try again "
                "in a moment."
            )
            return refused(failure, kind)
        try:
            return await run_sync(work, limiter=self._threads)
        finally:
            self._working.release()

    def _answer(
        self, asked: HttpQuery, principal: Principal, cancellation: Cancellation, method: str
    ) -> Answer:
        try:
            asked.body.query = self._persisted.resolve(asked.body.query, asked.body.extensions)
            prepared = self._graphql.prepare(asked.request, principal)
            if asked.kind == ARROW:
                schema = self._graphql.schema(prepared, asked.field)
                batches = self._graphql.batches(prepared, asked.field, cancellation)
                return arrow_answer(schema, batches, asked.options)
            if self._graphql.forwards:
                return self._forwarded(asked, cancellation)
            return json_answer(self._graphql.json(prepared, cancellation), asked.kind)
        except NotAQuery as other:
            if method != "POST":
                raise BadRequest(405, f"A {other.kind} is sent with POST.", Allow="POST") from None
            if other.kind == "mutation" and self._graphql.server:
                return self._forwarded(asked, cancellation)
            return refused(other, asked.kind)
        except GraphQLFailure as failure:
            return refused(failure, asked.kind)

    def _forwarded(self, asked: HttpQuery, cancellation: Cancellation) -> Answer:
        """The FraiseQL server's response to the same request."""
        assert self._graphql.server is not None, "there is a server to forward to"
        try:
            reply = self._graphql.server.post(
                msgspec.json.encode(asked.body),
                authorization=asked.authorization,
                accept=GRAPHQL if asked.kind == GRAPHQL else JSON,
                cancellation=cancellation,
            )
        except GraphQLFailure as failure:
            return refused(failure, asked.kind)
        return Answer(reply.status, reply.kind, [reply.content])

    async def _send(self, answer: Answer, send: Send) -> None:
        pieces = answer.body
        headers = {"content-type": _content_type(answer.kind), **answer.headers}
        is_complete = isinstance(pieces, list)
        if is_complete:
            headers["content-length"] = str(sum(map(len, pieces)))
        encoded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": encoded})
        iterator = iter(pieces)
        try:
            while (piece := await self._next(iterator, is_complete=is_complete)) is not None:
                if piece:
                    with anyio.fail_after(self._stall_seconds):
                        await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except GraphQLFailure as failure:
            # The connection is closed without an end, so that no client takes the part for the
            # whole.
            logger.warning("A response over HTTP was aborted: %s", failure)
        except TimeoutError:
            logger.warning(
                "A response over HTTP was not read for %g s and is aborted.", self._stall_seconds
            )
        finally:
            close = getattr(pieces, "close", None)
            if close:
                await self._cancel(close)

    async def _next(self, pieces: Iterator[bytes], *, is_complete: bool) -> bytes | None:
        if is_complete:
            return next(pieces, None)
        async with self._working:
            return await run_sync(next, pieces, None, limiter=self._threads)


def _content_type(kind: str) -> str:
    return kind if kind == ARROW else f"{kind}; charset=utf-8"


def _error(status: int, message: str, headers: Mapping[str, str]) -> Response:
    content = msgspec.json.encode({"errors": [{"message": message}]})
    return Response(content, status, dict(headers), "application/json; charset=utf-8")
