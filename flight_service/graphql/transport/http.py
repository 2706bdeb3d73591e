"""`/graphql` over HTTP: the GraphQL-over-HTTP protocol, and the same result as an Arrow stream."""

from collections.abc import Callable
from functools import partial

import msgspec
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from flight_service.authentication import Principal
from flight_service.errors import InvalidRequest, ServiceError
from flight_service.graphql.errors import Busy, GraphQLFailure, NotAQuery
from flight_service.graphql.request.persisted import PersistedQueries
from flight_service.graphql.service import GraphQL, Prepared
from flight_service.graphql.transport.http_request import HttpQuery, accepted, read_request
from flight_service.graphql.transport.response import (
    ARROW,
    GRAPHQL,
    JSON,
    Answer,
    arrow_answer,
    json_answer,
    refused,
)
from flight_service.graphql.upstream.client import Reply
from flight_service.http_authentication import authenticated
from flight_service.http_failures import MethodNotAllowed, failed
from flight_service.http_streams import Streaming, ThreadsBusy
from flight_service.limits import StreamLimits, TooManyStreams
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.settings import Settings


def graphql_route(graphql: GraphQL, settings: Settings, limits: StreamLimits) -> Route:
    """The route, with the authentication that the settings require."""
    return Route("/graphql", _Endpoint(graphql, settings, limits))


class _Endpoint:
    """The ASGI application behind the route."""

    def __init__(self, graphql: GraphQL, settings: Settings, limits: StreamLimits) -> None:
        self._graphql = graphql
        self._limits = limits
        self._settings = settings
        self._sending = Streaming(
            wait_seconds=settings.graphql_wait_seconds,
            stall_seconds=settings.graphql_stall_seconds,
        )
        self._persisted = PersistedQueries()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = HttpRequest(scope, receive)
        try:
            authorization = request.headers.get("authorization")
            principal = await authenticated(authorization, self._settings)
            end = self._limits.begin(principal)
        except TooManyStreams as error:
            answer = refused(Busy(str(error)), JSON)
            await self._send(answer, send)
            return
        except ServiceError as error:
            await failed(error)(scope, receive, send)
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
        except InvalidRequest as error:
            await failed(error)(scope, receive, send)
            return
        except ClientDisconnect:
            return
        async with self._sending.cancellation(receive) as cancellation:
            try:
                work = partial(self._answer, asked, principal, cancellation, request.method)
                await self._send(await self._started(work, asked.kind), send)
            except InvalidRequest as error:
                await failed(error)(scope, receive, send)

    async def _started(self, work: Callable[[], Answer], kind: str) -> Answer:
        """The response, unless all threads stay busy."""
        try:
            return await self._sending.work(work)
        except ThreadsBusy as busy:
            return refused(Busy(str(busy)), kind)

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
                return self._forwarded(asked, cancellation, prepared)
            return json_answer(self._graphql.json(prepared, cancellation), asked.kind)
        except NotAQuery as other:
            if method != "POST":
                raise MethodNotAllowed("POST", f"A {other.kind} is sent with POST.") from None
            if other.kind == "mutation" and self._graphql.server:
                return self._forwarded(asked, cancellation)
            return refused(other, asked.kind)
        except GraphQLFailure as failure:
            return refused(failure, asked.kind)

    def _forwarded(
        self, asked: HttpQuery, cancellation: Cancellation, prepared: Prepared | None = None
    ) -> Answer:
        """The FraiseQL server's response to the same request. That of a prepared query may be
        cached."""
        server = self._graphql.server
        assert server is not None, "there is a server to forward to"
        accept = GRAPHQL if asked.kind == GRAPHQL else JSON

        def ask() -> Reply:
            return server.post(
                msgspec.json.encode(asked.body),
                authorization=asked.authorization,
                accept=accept,
                cancellation=cancellation,
            )

        try:
            if prepared is None or asked.body.extensions:
                reply = ask()
            else:
                reply = self._graphql.forwarded(prepared, accept, ask, cancellation)
        except GraphQLFailure as failure:
            return refused(failure, asked.kind)
        return Answer(reply.status, reply.kind, [reply.content])

    async def _send(self, answer: Answer, send: Send) -> None:
        headers = {"content-type": _content_type(answer.kind), **answer.headers}
        await self._sending.send(answer.status, headers, answer.body, send)


def _content_type(kind: str) -> str:
    return kind if kind == ARROW else f"{kind}; charset=utf-8"
