"""The HTTP side of the service: a Starlette application, served by uvicorn in a thread."""

import socket
import threading
from collections.abc import Sequence

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from flight_service.health import health


async def show_health(request: Request) -> JSONResponse:
    """That the service answers, for load balancers: needs no token."""
    return JSONResponse(health())


def application(routes: Sequence[BaseRoute]) -> Starlette:
    """The application: `/health` and what other parts of the service add."""
    return Starlette(routes=[Route("/health", show_health), *routes])


class HttpServer:
    """Serves an application on a bound socket from when it is made until `stop`."""

    def __init__(self, bound: socket.socket, served: ASGIApp) -> None:
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
