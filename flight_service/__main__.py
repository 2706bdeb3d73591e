"""`python -m flight_service`: Arrow Flight and its HTTP side, by the settings."""

import logging
import os
import signal
import sys
import threading

import typer

from fraiseql_assets.commands.console import err, read_settings

WRONG_SETTING, CANNOT_LISTEN = 2, 4
GRACE_SECONDS = 5.0
LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def serve() -> None:
    """Serve Arrow Flight at FRAISEQL_FLIGHT_URL and HTTP at FRAISEQL_HTTP_URL.

    Runs until SIGTERM or Ctrl-C, which end streams under way with a sentence. Exits with 2 when a
    setting does not fit, with 4 when a port is taken.
    """
    settings = read_settings()
    # Arrow and the clients take a third of a second to load, which --help need not wait for.
    from flight_service.addresses import Address, AddressError
    from flight_service.http import HttpServer, application
    from flight_service.registry import registry
    from flight_service.server import FlightServer

    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # What these say of a server that is down is said to the client, in a sentence.
    for library in ("urllib3", "clickhouse_connect", "elastic_transport", "nats"):
        logging.getLogger(library).setLevel(logging.ERROR)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    try:
        flight = Address.parse(settings.flight_url, "FRAISEQL_FLIGHT_URL", "grpc", "grpc+tcp")
        http = Address.parse(settings.http_url, "FRAISEQL_HTTP_URL", "http")
    except AddressError as error:
        err.print(f"[red]✗[/red] {error}", soft_wrap=True)
        raise typer.Exit(WRONG_SETTING) from error
    try:
        bound = http.listen()
        served = registry(settings)
        server = FlightServer(flight, settings, served)
    except AddressError as error:
        err.print(f"[red]✗[/red] {error}", soft_wrap=True)
        raise typer.Exit(CANNOT_LISTEN) from error
    web = HttpServer(bound, application(served.routes))
    taken = http.with_port(bound.getsockname()[1])
    err.print(f"Flight at {server.address}, HTTP at {taken}", soft_wrap=True)
    stopped.wait()
    ended = [web.stop(GRACE_SECONDS), server.stop(GRACE_SECONDS)]
    if not all(ended):
        # A client that reads nothing would hold the process; its connection ends with it.
        sys.stderr.flush()
        os._exit(0)


if __name__ == "__main__":
    typer.run(serve)
