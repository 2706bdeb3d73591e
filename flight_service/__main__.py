"""`python -m flight_service`: Arrow Flight and its HTTP side, by the settings."""

import os
import signal
import sys
from queue import SimpleQueue
from typing import TYPE_CHECKING

import typer
from pydantic import ValidationError

from fraiseql_assets.settings import get_settings, problems_of
from fraiseql_assets.skip_pandas import skip_pandas

if TYPE_CHECKING:
    from flight_service.addresses import Address
    from flight_service.monitoring.grpc_health import HealthServer
    from flight_service.monitoring.readiness import Readiness

WRONG_SETTING, CANNOT_LISTEN = 2, 4
GRACE_SECONDS = 5.0


def serve() -> None:
    """Serve Arrow Flight at FRAISEQL_FLIGHT_URL and HTTP at FRAISEQL_HTTP_URL.

    Runs until SIGTERM or Ctrl-C. Then new calls are refused, those under way have
    FRAISEQL_DRAIN_SECONDS, and what is left ends with a sentence; a second signal ends it at once.
    Exits with 2 when a setting does not fit, with 4 when a port is taken.
    """
    try:
        settings = get_settings()
    except ValidationError as error:
        raise _refused(WRONG_SETTING, *problems_of(error)) from error
    # Arrow and the clients take a third of a second to load, which --help need not wait for.
    skip_pandas()
    from flight_service.addresses import Address, AddressError
    from flight_service.http import HttpServer, application
    from flight_service.monitoring.calls import Observer
    from flight_service.monitoring.exposition import watched
    from flight_service.monitoring.logs import configure
    from flight_service.monitoring.metrics import Metrics
    from flight_service.monitoring.readiness import readiness
    from flight_service.registry import registry
    from flight_service.server import FlightServer
    from fraiseql_assets.request_log.publisher import request_log

    configure(settings.log_format)
    # `put` may interrupt `get` anywhere; an event's `set` would wait for the lock of its `wait`.
    stopped: SimpleQueue[int] = SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: stopped.put(received))
    try:
        flight = Address.parse(settings.flight_url, "FRAISEQL_FLIGHT_URL", "grpc", "grpc+tcp")
        http = Address.parse(settings.http_url, "FRAISEQL_HTTP_URL", "http")
        health = settings.health_url and Address.parse(
            settings.health_url, "FRAISEQL_HEALTH_URL", "grpc"
        )
    except AddressError as error:
        raise _refused(WRONG_SETTING, str(error)) from error
    if settings.jwt_secret is None and not settings.allow_unauthenticated:
        open_to_others = [one for one in (flight, http) if not one.is_loopback]
        if open_to_others:
            raise _refused(WRONG_SETTING, *map(_unguarded, open_to_others))
    try:
        bound = http.listen()
        recorder = request_log(settings)
        served = registry(settings, recorder)
        observer = Observer(Metrics(served.samplers), logs=settings.call_log)
        server = FlightServer(flight, settings, served, observer)
        ready = readiness(settings, served.probes)
        checks = _health_server(health, ready) if health else None
    except AddressError as error:
        raise _refused(CANNOT_LISTEN, str(error)) from error
    watching = watched(application(served.routes, settings), settings, observer, ready)
    web = HttpServer(bound, watching, settings.http_connections)
    taken = http.with_port(bound.getsockname()[1])
    told = f", health at {checks.address}" if checks else ""
    typer.echo(f"Flight at {server.address}, HTTP at {taken}{told}", err=True)
    stopped.get()
    ready.is_stopping = True
    if checks:
        checks.drain()
    server.drain()
    observer.drain(settings.drain_seconds, interrupted=lambda: not stopped.empty())
    ended = [web.stop(GRACE_SECONDS), server.stop(GRACE_SECONDS)]
    recorder.close()
    if checks:
        checks.stop()
    if not all(ended):
        # A client that reads nothing would hold the process; its connection ends with it.
        sys.stderr.flush()
        os._exit(0)


def _health_server(address: "Address", readiness: "Readiness") -> "HealthServer":
    # gRPC takes long to load, and most services have no such port.
    from flight_service.monitoring.grpc_health import HealthServer

    return HealthServer(address, readiness)


def _unguarded(address: "Address") -> str:
    return (
        f"{address.variable} is {address}, which other machines reach, and there is no "
        "authentication. Set FRAISEQL_JWT_SECRET, listen on 127.0.0.1, or set "
        "FRAISEQL_ALLOW_UNAUTHENTICATED=true if everyone who reaches it may read everything."
    )


def _refused(code: int, *problems: str) -> typer.Exit:
    """Prints why the service does not start. Returns the exit with that code."""
    for problem in problems:
        typer.echo(f"✗ {problem}", err=True)
    return typer.Exit(code)


if __name__ == "__main__":
    typer.run(serve)
