"""Readiness, gRPC's health service, and a service that stops while calls are active."""

import asyncio
import logging
import threading
from collections.abc import Iterator

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from http_errors import message_of
from pyarrow import flight
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from flight_service.addresses import Address, AddressError
from flight_service.monitoring.calls import Observer
from flight_service.monitoring.exposition import watched
from flight_service.monitoring.grpc_health import HealthServer
from flight_service.monitoring.readiness import DependencyState, Probe, Readiness
from fraiseql_assets.planes import PlaneUnavailable
from fraiseql_assets.settings import Dependency, Settings
from tests.stacks import wait_until
from tests.unit.flight_server import DOWN, Flights, Kind, Made, start_server

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def up() -> None: ...


def down() -> None:
    raise PlaneUnavailable(DOWN)


def made(
    probes: dict[Dependency, Probe | None], *requires: Dependency, wait_seconds: float = 5
) -> Readiness:
    return Readiness(probes, requires=frozenset(requires), wait_seconds=wait_seconds)


@pytest.mark.parametrize(
    ("probes", "requires", "ready"),
    [
        ({"log": up, "analytics": up}, (), True),
        ({"log": up, "analytics": down}, (), True),
        ({"log": up, "analytics": down}, ("analytics",), False),
        ({"log": down, "analytics": down}, (), False),
        ({"log": down, "analytics": None}, (), False),
        ({"log": up, "analytics": None}, (), True),
        ({"log": up, "analytics": None}, ("analytics",), False),
        ({}, (), True),
    ],
)
def test_the_service_is_ready_while_its_required_servers_are_up(
    probes: dict[Dependency, Probe | None], requires: tuple[Dependency, ...], ready: bool
) -> None:
    readiness = made(probes, *requires)
    assert readiness.is_ready(readiness.states()) is ready


def test_the_service_is_not_ready_while_it_stops() -> None:
    readiness = made({"log": up})
    readiness.is_stopping = True
    assert not readiness.is_ready(readiness.states())
    assert readiness.describe(readiness.states(), reasons=True)["status"] == "stopping"


def test_reasons_of_states_are_only_shown_when_permitted() -> None:
    readiness = made({"log": up, "analytics": down, "operational": None})
    states = readiness.states()
    assert states == {
        "log": DependencyState("up"),
        "analytics": DependencyState("down", DOWN),
        "operational": DependencyState("off"),
    }
    told = readiness.describe(states, reasons=False)
    assert told["dependencies"]["analytics"] == {"state": "down"}
    told = readiness.describe(states, reasons=True)
    assert told["dependencies"]["analytics"] == {"state": "down", "error": DOWN}


def test_a_server_that_does_not_answer_is_down_and_delays_no_other() -> None:
    silent = threading.Event()
    readiness = made({"log": up, "analytics": silent.wait}, wait_seconds=0.2)
    states = readiness.states()
    silent.set()
    assert (states["log"].state, states["analytics"].state) == ("up", "down")
    assert states["analytics"].error == "It has not answered within 0.2 seconds."


@pytest.fixture
def checks() -> Iterator[HealthServer]:
    readiness = made({"log": up, "analytics": down, "operational": None})
    server = HealthServer(Address("grpc", "127.0.0.1", 0, "FRAISEQL_HEALTH_URL"), readiness)
    yield server
    server.stop()


@pytest.fixture
def stub(checks: HealthServer) -> Iterator[health_pb2_grpc.HealthStub]:
    with grpc.insecure_channel(f"127.0.0.1:{checks.address.port}") as channel:
        yield health_pb2_grpc.HealthStub(channel)


def status(stub: health_pb2_grpc.HealthStub, service: str = "") -> int:
    return stub.Check(health_pb2.HealthCheckRequest(service=service)).status


def test_the_health_service_reports_the_service_and_each_server(
    stub: health_pb2_grpc.HealthStub,
) -> None:
    wait_until(lambda: status(stub) == SERVING)
    assert (status(stub, "log"), status(stub, "analytics")) == (SERVING, NOT_SERVING)
    with pytest.raises(grpc.RpcError) as caught:
        status(stub, "operational")
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND  # pyright: ignore


def test_a_watching_client_is_notified_when_the_service_stops(
    checks: HealthServer, stub: health_pb2_grpc.HealthStub
) -> None:
    wait_until(lambda: status(stub) == SERVING)
    watched = stub.Watch(health_pb2.HealthCheckRequest())
    assert next(watched).status == SERVING
    checks.drain()
    assert next(watched).status == NOT_SERVING


def test_a_health_port_in_use_names_the_setting(checks: HealthServer) -> None:
    with pytest.raises(AddressError, match="set FRAISEQL_HEALTH_URL"):
        HealthServer(checks.address, made({}))


def ticket(kind: Kind) -> flight.Ticket:
    return flight.Ticket(Made(kind=kind).encode())


@pytest.fixture
def observer() -> Observer:
    return Observer()


def test_a_draining_service_finishes_running_calls_and_refuses_new_ones(
    observer: Observer,
) -> None:
    flights = Flights()
    with (
        start_server(flights, observer) as server,
        flight.connect(str(server.address)) as client,
    ):
        waiting = client.do_get(ticket("waits"))
        waiting.read_chunk()
        endless = client.do_get(ticket("endless"))
        endless.read_chunk()
        server.drain()
        drained = threading.Thread(target=observer.drain, args=(30, lambda: False))
        drained.start()
        wait_until(lambda: observer.is_draining)
        with pytest.raises(flight.FlightUnavailableError, match="service is stopping"):
            client.do_get(ticket("rows")).read_all()
        with pytest.raises(flight.FlightUnavailableError, match="service is stopping"):
            endless.read_all()
        assert drained.is_alive()
        # The stream that waits ends in its own time, and with its own error.
        flights.cancelled.set()
        with pytest.raises(flight.FlightInternalError):
            waiting.read_all()
        drained.join(30)
        assert not drained.is_alive()


def test_draining_ends_after_its_timeout_or_an_interrupt(observer: Observer) -> None:
    flights = Flights()
    with (
        start_server(flights, observer) as server,
        flight.connect(str(server.address)) as client,
    ):
        waiting = client.do_get(ticket("waits"))
        waiting.read_chunk()
        assert not observer.drain(0.01, lambda: False)
        assert not observer.drain(60, lambda: True)
        flights.cancelled.set()
        with pytest.raises(flight.FlightInternalError):
            waiting.read_all()
        assert observer.drain(60, lambda: False)


def get(app: ASGIApp, path: str, **headers: str) -> httpx.Response:
    """What the application answers to a client on the same machine."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.get(path, headers=headers)

    return asyncio.run(ask())


def test_http_is_refused_while_the_service_drains(observer: Observer) -> None:
    async def answer(request: Request) -> Response:
        return Response("an answer")

    readiness = made({"log": up})
    app = Starlette(routes=[Route("/work", answer), Route("/health", answer)])
    served = watched(app, Settings(), observer, readiness)
    assert (get(served, "/work").text, get(served, "/ready").status_code) == ("an answer", 200)
    observer.drain(0, lambda: False)
    readiness.is_stopping = True
    refused = get(served, "/work")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert message_of(refused) == "The service is stopping. Ask again in a moment."
    assert get(served, "/health").status_code == 200
    assert get(served, "/ready").status_code == 503


def test_an_http_request_that_fails_is_counted_and_keeps_its_id(observer: Observer) -> None:
    async def fail(request: Request) -> Response:
        raise KeyError("a fault")

    app = Starlette(routes=[Route("/things/{name}", fail)])
    served = watched(app, Settings(), observer, made({}))
    answer = get(served, "/things/one", **{"x-request-id": "one-1"})
    assert (answer.status_code, answer.headers["x-request-id"]) == (500, "one-1")
    labels = {"route": "/things/{name}", "method": "GET", "status": "500"}
    counted = observer.metrics.registry.get_sample_value("fraiseql_http_requests_total", labels)
    assert counted == 1


def test_an_http_request_is_logged_with_the_address_that_a_proxy_adds(
    observer: Observer, caplog: pytest.LogCaptureFixture
) -> None:
    async def refuse(request: Request) -> Response:
        return Response(status_code=401)

    caplog.set_level(logging.INFO, "flight_service.calls")
    served = watched(Starlette(routes=[Route("/work", refuse)]), Settings(), observer, made({}))
    get(served, "/work", **{"x-forwarded-for": f"{'x' * 300}, 10.0.0.7"})
    [record] = caplog.records
    forwarded_for = vars(record)["fields"]["forwarded_for"]
    assert forwarded_for.endswith("x, 10.0.0.7")
    assert len(forwarded_for) == 256
