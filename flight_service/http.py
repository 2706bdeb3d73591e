"""The HTTP side of the service: a Starlette application, served by uvicorn in a thread."""

import re
import socket
import ssl
import threading
from collections.abc import Sequence

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flight_service.addresses import EVERY_INTERFACE, Address
from flight_service.compression import HEADER as COMPRESSION
from flight_service.connections import HEAD_BYTES, LimitedConnection
from flight_service.health import health
from flight_service.http_failures import (
    CrossOriginRefused,
    TooManyConnections,
    UntrustedHost,
    failed,
    failure_handlers,
)
from flight_service.monitoring.calls import REQUEST_ID
from flight_service.monitoring.http import PROBES
from fraiseql_assets.settings import Settings

FASTEST = 1
"""A compression level that is faster than a network."""
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
HEALTH = "/health"
_REFUSED = re.compile(r"q\s*=\s*0(?:\.0*)?")
"""A weight with which a client refuses an encoding."""
KEEP_ALIVE_SECONDS = 5
"""How long a connection is kept between two requests."""


async def show_health(request: Request) -> JSONResponse:
    """The health of the service, for load balancers. Needs no token."""
    return JSONResponse(health())


def application(routes: Sequence[BaseRoute], settings: Settings) -> Starlette:
    """The application: `/health` and the given routes."""
    served = Starlette(
        routes=[Route(HEALTH, show_health), *routes],
        middleware=_layers(settings),
        exception_handlers=failure_handlers(),
    )
    # A redirect would contain the host that the client sent.
    served.router.redirect_slashes = False
    return served


def _layers(settings: Settings) -> list[Middleware]:
    """Middleware of every request, outermost first."""
    layers = [Middleware(Compressed, compresslevel=FASTEST)]
    if settings.cors_origins:
        cors = Middleware(
            CrossOrigin,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type", COMPRESSION, REQUEST_ID],
            expose_headers=["retry-after", REQUEST_ID],
        )
        layers.insert(0, cors)
    return [Middleware(TrustedHosts, allowed_hosts=trusted_hosts(settings)), *layers]


class Compressed(GZipMiddleware):
    """Compresses responses for clients that accept gzip. Starlette's own does it also for those
    that refuse it with `gzip;q=0`."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not _accepts_gzip(Headers(scope=scope)):
            headers = [one for one in scope["headers"] if one[0] != b"accept-encoding"]
            scope = {**scope, "headers": headers}
        await super().__call__(scope, receive, send)


def _accepts_gzip(headers: Headers) -> bool:
    for part in headers.get("accept-encoding", "").lower().split(","):
        name, _, quality = part.partition(";")
        if name.strip() == "gzip":
            return not _REFUSED.fullmatch(quality.strip())
    return False


class CrossOrigin(CORSMiddleware):
    """Answers web pages of other origins. Starlette's own refuses them in plain text."""

    def preflight_response(self, request_headers: Headers) -> Response:
        answer = super().preflight_response(request_headers)
        if answer.status_code < 400:
            return answer
        refused = failed(CrossOriginRefused(f"{bytes(answer.body).decode()}."))
        added = [name for name in answer.headers if name not in refused.headers]
        refused.headers.update({name: answer.headers[name] for name in added})
        return refused


class TrustedHosts:
    """Answers only requests for trusted hosts, so that a web page cannot reach the service under
    its own host name. Load balancers and Prometheus may use any name."""

    def __init__(self, app: ASGIApp, allowed_hosts: Sequence[str]) -> None:
        self._app = app
        # Starlette's own, whose refusal is plain text. A name beside one with `www.` would be
        # redirected to that.
        self._check = TrustedHostMiddleware(_silent, allowed_hosts, www_redirect=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_probe = scope["type"] == "http" and scope["path"] in PROBES
        if is_probe or await self._is_trusted(scope, receive):
            await self._app(scope, receive, send)
        else:
            await failed(UntrustedHost())(scope, receive, send)

    async def _is_trusted(self, scope: Scope, receive: Receive) -> bool:
        refusal: list[Message] = []

        async def keep(message: Message) -> None:
            refusal.append(message)

        await self._check(scope, receive, keep)
        return not refusal


async def _silent(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that sends nothing."""


def trusted_hosts(settings: Settings) -> list[str]:
    """The trusted hosts: those of this machine, the listening host, and those of the setting."""
    address = Address.parse(settings.http_url, "FRAISEQL_HTTP_URL", "http", "https")
    bound = f"[{address.host}]" if ":" in address.host else address.host
    own = [] if address.host in EVERY_INTERFACE else [bound]
    return [*LOOPBACK_NAMES, *own, *settings.trusted_hosts]


class HttpServer:
    """Serves an application on a bound socket, from its construction until `stop`."""

    def __init__(
        self,
        bound: socket.socket,
        served: ASGIApp,
        connections: int = 1000,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._served, self._most = served, connections
        config = uvicorn.Config(
            self._answer,
            interface="asgi3",
            http=LimitedConnection,
            ws="none",
            h11_max_incomplete_event_size=HEAD_BYTES,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=2,
            ssl_context_factory=None if tls is None else lambda config, default: tls,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [bound]}, name="http", daemon=True
        )
        self._thread.start()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuses the request if too many connections are open, or too many requests are under way.
        uvicorn's own limit, which is the same, refuses it in plain text."""
        state, app = self._server.server_state, self._served
        if len(state.connections) >= self._most or len(state.tasks) > self._most:
            app = failed(TooManyConnections())
            app.headers["connection"] = "close"
        await app(scope, receive, send)

    def stop(self, grace_seconds: float) -> bool:
        """Refuses new requests and ends those under way. Returns whether all ended in time."""
        self._server.should_exit = True
        self._thread.join(grace_seconds)
        return not self._thread.is_alive()
