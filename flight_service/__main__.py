"""`python -m flight_service`: Arrow Flight and its HTTP side, by the settings."""

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import typer
from pydantic import ValidationError

from fraiseql_assets import tracing
from fraiseql_assets.settings import Settings, get_settings, problems_of
from fraiseql_assets.skip_imports import skip_async_clients, skip_pandas
from fraiseql_assets.termination import Termination

if TYPE_CHECKING:
    from flight_service.addresses import Address
    from flight_service.monitoring.grpc_health import HealthServer
    from flight_service.monitoring.readiness import Readiness

WRONG_SETTING, CANNOT_LISTEN = 2, 4
GRACE_SECONDS = 5.0
SWITCH_SECONDS = 0.0005
"""How long a thread may keep the interpreter while others wait for it. With Python's 5 ms, a thread
that parses a long document delays every step of every other call by that time."""
FLIGHT_SCHEMES = ("grpc", "grpc+tcp", "grpc+tls")


def serve() -> None:
    """Serve Arrow Flight at FRAISEQL_FLIGHT_URL and HTTP at FRAISEQL_HTTP_URL.

    Runs until SIGTERM or Ctrl-C. Then new calls are refused, running calls have
    FRAISEQL_DRAIN_SECONDS to end, and the remaining ones end with an error. A second signal ends
    the service at once. Exits with 2 if a setting is invalid, with 4 if a port is in use.
    """
    try:
        settings = get_settings()
    except ValidationError as error:
        raise _refused(WRONG_SETTING, *problems_of(error)) from error
    # Loading Arrow and the clients takes a third of a second, which --help does not need.
    skip_pandas()
    skip_async_clients()
    from flight_service.addresses import Address, AddressError
    from flight_service.errors import SettingError
    from flight_service.http import HttpServer, application
    from flight_service.identity.checks import check_identities
    from flight_service.monitoring.calls import Observer
    from flight_service.monitoring.exposition import watched
    from flight_service.monitoring.logs import configure
    from flight_service.monitoring.metrics import Metrics
    from flight_service.monitoring.readiness import readiness
    from flight_service.registry import registry
    from flight_service.server import FlightServer
    from flight_service.tls import tls_of
    from fraiseql_assets.request_log.publisher import request_log

    configure(settings.log_format)
    sys.setswitchinterval(SWITCH_SECONDS)
    end_tracing = _traced(settings)
    termination = Termination()
    try:
        flight = Address.parse(settings.flight_url, "FRAISEQL_FLIGHT_URL", *FLIGHT_SCHEMES)
        http = Address.parse(settings.http_url, "FRAISEQL_HTTP_URL", "http", "https")
        health = settings.health_url and Address.parse(
            settings.health_url, "FRAISEQL_HEALTH_URL", "grpc"
        )
        tls = tls_of(settings, flight, http)
        check_identities(settings)
    except (AddressError, SettingError) as error:
        raise _refused(WRONG_SETTING, str(error)) from error
    if not settings.is_guarded and not settings.allow_unauthenticated:
        has_clients_of_its_own = tls is not None and tls.client_ca is not None
        open_to_others = [
            one
            for one in (flight, http)
            if not one.is_loopback and not (one.is_tls and has_clients_of_its_own)
        ]
        if open_to_others:
            raise _refused(WRONG_SETTING, *map(_unguarded, open_to_others))
    try:
        bound = http.listen()
        recorder = request_log(settings)
        served = registry(settings, recorder)
        observer = Observer(Metrics(served.samplers), logs=settings.call_log)
        server = FlightServer(flight, settings, served, observer, tls if flight.is_tls else None)
        ready = readiness(settings, served.probes)
        checks = _health_server(health, ready) if health else None
    except AddressError as error:
        raise _refused(CANNOT_LISTEN, str(error)) from error
    except SettingError as error:
        raise _refused(WRONG_SETTING, str(error)) from error
    watching = watched(application(served.routes, settings), settings, observer, ready)
    context = tls.context if tls is not None and http.is_tls else None
    web = HttpServer(bound, watching, settings.http_connections, context)
    taken = http.with_port(bound.getsockname()[1])
    told = f", health at {checks.address}" if checks else ""
    typer.echo(f"Flight at {server.address}, HTTP at {taken}{told}", err=True)
    termination.wait()
    ready.is_stopping = True
    if checks:
        checks.drain()
    server.drain()
    observer.drain(settings.drain_seconds, interrupted=termination.is_requested_again)
    ended = [web.stop(GRACE_SECONDS), server.stop(GRACE_SECONDS)]
    recorder.close()
    end_tracing()
    if checks:
        checks.stop()
    if not all(ended):
        # A client that reads nothing would keep the process alive. Its connection ends with the
        # process.
        sys.stderr.flush()
        os._exit(0)


def _traced(settings: Settings) -> Callable[[], None]:
    """Traces calls if the environment names a collector. Returns a function that ends tracing."""
    if not tracing.is_wanted():
        return lambda: None
    try:
        return tracing.start("fraiseql-flight", shows_details=settings.trace_details)
    except tracing.TracingMissing as error:
        raise _refused(WRONG_SETTING, str(error)) from error


def _health_server(address: "Address", readiness: "Readiness") -> "HealthServer":
    # Loading gRPC is slow, and most services have no such port.
    from flight_service.monitoring.grpc_health import HealthServer

    return HealthServer(address, readiness)


def _unguarded(address: "Address") -> str:
    return (
        f"{address.variable} is {address}, which other machines reach, and there is no "
        "authentication. Set FRAISEQL_JWT_SECRET, FRAISEQL_JWT_JWKS or FRAISEQL_USERS_FILE, "
        "require certificates of clients with FRAISEQL_TLS_CLIENT_CA, listen on 127.0.0.1, or set "
        "FRAISEQL_ALLOW_UNAUTHENTICATED=true if everyone who reaches it may read everything."
    )


def _refused(code: int, *problems: str) -> typer.Exit:
    """Prints why the service does not start. Returns an exit with the code."""
    for problem in problems:
        typer.echo(f"✗ {problem}", err=True)
    return typer.Exit(code)


if __name__ == "__main__":
    typer.run(serve)
