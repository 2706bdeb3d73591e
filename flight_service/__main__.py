"""`python -m flight_service`: Arrow Flight and its HTTP side, by the settings."""

import os
import signal
import sys
from queue import SimpleQueue

import typer
from pydantic import ValidationError

from fraiseql_assets.settings import get_settings, problems_of

WRONG_SETTING, CANNOT_LISTEN = 2, 4
GRACE_SECONDS = 5.0


def serve() -> None:
    """Serve Arrow Flight at FRAISEQL_FLIGHT_URL and HTTP at FRAISEQL_HTTP_URL.

    Runs until SIGTERM or Ctrl-C, which end streams under way with a sentence. Exits with 2 when a
    setting does not fit, with 4 when a port is taken.
    """
    try:
        settings = get_settings()
    except ValidationError as error:
        raise _refused(WRONG_SETTING, *problems_of(error)) from error
    # Arrow and the clients take a third of a second to load, which --help need not wait for.
    from flight_service.addresses import Address, AddressError
    from flight_service.http import HttpServer, application
    from flight_service.monitoring.calls import Observer
    from flight_service.monitoring.exposition import watched
    from flight_service.monitoring.logs import configure
    from flight_service.monitoring.metrics import Metrics
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
    except AddressError as error:
        raise _refused(WRONG_SETTING, str(error)) from error
    try:
        bound = http.listen()
        recorder = request_log(settings)
        served = registry(settings, recorder)
        observer = Observer(Metrics(served.samplers), logs=settings.call_log)
        server = FlightServer(flight, settings, served, observer)
    except AddressError as error:
        raise _refused(CANNOT_LISTEN, str(error)) from error
    web = HttpServer(bound, watched(application(served.routes), settings, observer))
    taken = http.with_port(bound.getsockname()[1])
    typer.echo(f"Flight at {server.address}, HTTP at {taken}", err=True)
    stopped.get()
    ended = [web.stop(GRACE_SECONDS), server.stop(GRACE_SECONDS)]
    recorder.close()
    if not all(ended):
        # A client that reads nothing would hold the process; its connection ends with it.
        sys.stderr.flush()
        os._exit(0)


def _refused(code: int, *problems: str) -> typer.Exit:
    """Prints why the service does not start. Returns the exit with that code."""
    for problem in problems:
        typer.echo(f"✗ {problem}", err=True)
    return typer.Exit(code)


if __name__ == "__main__":
    typer.run(serve)
