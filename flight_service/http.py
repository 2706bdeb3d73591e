"""The HTTP side of the service: a Starlette application, served by uvicorn in a thread."""

import socket
import threading
from collections.abc import Sequence

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

from flight_service.health import health
from fraiseql_assets.settings import Settings

FASTEST = 1
"""Compression that keeps up with a network."""


async def show_health(request: Request) -> JSONResponse:
    """That the service answers, for load balancers: needs no token."""
    return JSONResponse(health())


def application(routes: Sequence[BaseRoute], settings: Settings) -> Starlette:
    """The application: `/health` and what other parts of the service add."""
    return Starlette(routes=[Route("/health", show_health), *routes], middleware=_layers(settings))


def _layers(settings: Settings) -> list[Middleware]:
    """What every request passes, in this order."""
    layers = [Middleware(GZipMiddleware, compresslevel=FASTEST)]
    if settings.cors_origins:
        cors = Middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type"],
            expose_headers=["retry-after"],
        )
        layers.insert(0, cors)
    return layers


class HttpServer:
    """Serves an application on a bound socket from when it is made until `stop`."""

    def __init__(self, bound: socket.socket, served: Starlette) -> None:
        config = uvicorn.Config(
            served, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=2
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [bound]}, name="http", daemon=True
        )
        self._thread.start()

    def stop(self, grace_seconds: float) -> bool:
        """Takes no new request and ends those under way. Returns whether all ended in time."""
        self._server.should_exit = True
        self._thread.join(grace_seconds)
        return not self._thread.is_alive()
