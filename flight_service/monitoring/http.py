"""Observes HTTP requests: ASGI middleware around the whole application."""

from starlette.applications import Starlette
from starlette.routing import Match, Route
from starlette.types import Message, Receive, Scope, Send

from flight_service.errors import CANCELLED, INTERNAL, Stopping
from flight_service.http_failures import failed
from flight_service.monitoring.calls import FORWARDED_FOR, REQUEST_ID, Observer, current
from fraiseql_assets.tracing import TRACEPARENT, within

PROBES = frozenset({"/health", "/ready", "/metrics"})
"""Routes that are requested every few seconds. Only their failures are logged."""


class ObservedApplication:
    """An ASGI application whose requests are counted, logged and given an id."""

    def __init__(self, app: Starlette, observer: Observer) -> None:
        self._app, self._observer = app, observer
        self._routes = [route for route in app.routes if isinstance(route, Route)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        given = headers.get(REQUEST_ID.encode(), b"").decode(errors="replace")
        trace = headers.get(TRACEPARENT.encode(), b"").decode(errors="replace")
        call = self._observer.begin("http", scope["method"], given, trace)
        call.kind = self._route(scope)
        if scope.get("client"):
            call.peer = scope["client"][0]
        forwarded = (value for name, value in scope["headers"] if name == FORWARDED_FOR.encode())
        call.forwarded_for = ", ".join(value.decode(errors="replace") for value in forwarded)
        status, is_whole = INTERNAL.http, False

        async def observed(message: Message) -> None:
            nonlocal status, is_whole
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message.get("headers", ()),
                    (REQUEST_ID.encode(), call.request_id.encode()),
                ]
            elif message["type"] == "http.response.body":
                call.bytes += len(message.get("body", b""))
                is_whole = not message.get("more_body", False)
            await send(message)

        token = current.set(call)
        try:
            app = self._app
            if self._observer.is_draining and call.kind not in PROBES:
                app = failed(Stopping())
            with within(call.span):
                await app(scope, receive, observed)
        except Exception as error:
            call.failure = error
            raise
        finally:
            current.reset(token)
            if call.failure is None and not is_whole:
                # The client disconnected before the response was complete.
                status = CANCELLED.http
            self._observer.end_http(call, status, is_probe=call.kind in PROBES)

    def _route(self, scope: Scope) -> str:
        """The path of the route, with placeholders."""
        for route in self._routes:
            if route.matches(scope)[0] != Match.NONE:
                return route.path
        return "other"
