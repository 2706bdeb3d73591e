"""The server of the Flight service, with everything it does per call, over a table in memory,
which Flight SQL reads as well."""

from memory_catalogue import Memory
from table import batches

from flight_service.addresses import Address
from flight_service.flights import Flight
from flight_service.http import HttpServer, application
from flight_service.monitoring.calls import Observer
from flight_service.monitoring.logs import configure
from flight_service.registry import Registry
from flight_service.server import FlightServer
from flight_service.sql.actions import SqlActions
from flight_service.sql.commands import SqlCommand
from flight_service.sql.service import FlightSql
from flight_service.tickets import Ticket
from flight_service.tls import tls_of
from fraiseql_assets.settings import get_settings
from fraiseql_assets.termination import Termination


class Table(Ticket, frozen=True):
    """The only ticket type."""


def serve() -> None:
    """Serves the table until SIGTERM."""
    sent = batches()
    found = Flight(sent[0].schema, lambda _: iter(sent))
    sql = FlightSql([Memory(sent)], is_guarded=False)
    registry = Registry(
        {Table: lambda ticket, principal: found, SqlCommand: sql.resolve},
        lambda name, given: Table(),
        (),
        sql=SqlActions(sql),
    )
    run(registry)


def run(registry: Registry) -> None:
    """Serves until SIGTERM, over Flight and HTTP."""
    settings, termination = get_settings(), Termination()
    configure(settings.log_format)
    observer = Observer()
    address = Address.parse(settings.flight_url, "FRAISEQL_FLIGHT_URL", "grpc", "grpc+tls")
    server = FlightServer(address, settings, registry, observer, tls_of(settings, address))
    http = Address.parse(settings.http_url, "FRAISEQL_HTTP_URL", "http")
    web = HttpServer(http.listen(), application(registry.routes, settings))
    termination.wait()
    web.stop(5)
    server.stop(5)


if __name__ == "__main__":
    serve()
