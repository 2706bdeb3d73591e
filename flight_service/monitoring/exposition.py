"""`GET /metrics` in Prometheus's formats, and `GET /ready`.

The states of servers are public. Metrics, and reasons why a server is down, need the token
`FRAISEQL_METRICS_TOKEN` or a JWT with the scope `metrics`. Without the setting, clients on this
machine may read them too.
"""

import hmac
import ipaddress

from anyio.to_thread import run_sync
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from flight_service.errors import UNAVAILABLE, ServiceError, Unauthenticated
from flight_service.http_authentication import authenticated
from flight_service.http_failures import failed
from flight_service.monitoring.calls import Observer
from flight_service.monitoring.http import ObservedApplication
from flight_service.monitoring.readiness import Readiness
from fraiseql_assets.addresses import host_of
from fraiseql_assets.settings import Settings

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
SCOPE = "metrics"
"""The scope of tokens that may read metrics."""


class MetricsRefused(Unauthenticated):
    """The client may not read metrics."""

    def __init__(self) -> None:
        super().__init__(
            "Metrics are for clients on the service's own machine, for tokens with the scope "
            "'metrics', and for the token in FRAISEQL_METRICS_TOKEN."
        )


def watched(
    app: Starlette, settings: Settings, observer: Observer, readiness: Readiness
) -> ObservedApplication:
    """The application with `/metrics` and `/ready`. Every request is observed."""

    async def metrics(request: Request) -> Response:
        if not await _may_read(request, settings):
            return failed(MetricsRefused())
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        content = await run_sync(encode, observer.metrics.registry)
        return Response(content, headers={"content-type": content_type})

    async def ready(request: Request) -> Response:
        states = await run_sync(readiness.states)
        reasons = await _may_read(request, settings)
        content = readiness.describe(states, reasons=reasons)
        return JSONResponse(content, 200 if readiness.is_ready(states) else UNAVAILABLE.http)

    app.routes.append(Route("/metrics", metrics, methods=["GET"]))
    app.routes.append(Route("/ready", ready, methods=["GET"]))
    return ObservedApplication(app, observer)


async def _may_read(request: Request, settings: Settings) -> bool:
    authorization = request.headers.get("authorization")
    token = settings.metrics_token
    if token is None and _is_local(request):
        return True
    if token is not None:
        wanted = f"Bearer {token.get_secret_value()}"
        if hmac.compare_digest((authorization or "").encode(), wanted.encode()):
            return True
    if not settings.is_guarded:
        return False
    try:
        return SCOPE in (await authenticated(authorization, settings)).scopes
    except ServiceError:
        return False


def _is_local(request: Request) -> bool:
    """Whether the client is on this machine and not a web page under another host name."""
    if request.client is None or host_of(request.headers.get("host")) not in LOCAL_NAMES:
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False
