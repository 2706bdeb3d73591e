"""Every error of the HTTP side has the same JSON, also where no route answers."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from http_errors import message_of
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from flight_service.addresses import Address
from flight_service.connections import HEAD_BYTES
from flight_service.http import HttpServer, application
from flight_service.monitoring.calls import Observer
from flight_service.monitoring.exposition import watched
from flight_service.monitoring.readiness import readiness
from flight_service.registry import registry
from fraiseql_assets.settings import Settings

ORIGIN = "https://app.example"
SETTINGS = Settings(request_log=False, cors_origins=[ORIGIN])
METHODS = {
    "/search": "GET, HEAD",
    "/health": "GET, HEAD",
    "/ready": "GET, HEAD",
    "/metrics": "GET, HEAD",
    "/assets": "GET, HEAD",
    "/assets/analytics/events": "GET, HEAD",
    "/query": "GET, HEAD, POST",
}
HEAD = b"host: localhost\r\nconnection: close\r\n"


async def broken(request: Request) -> Response:
    raise RuntimeError("of 10.1.2.3")


@contextmanager
def serving(observer: Observer) -> Iterator[httpx.Client]:
    """The service without its servers."""
    served = registry(SETTINGS)
    app = application([*served.routes, Route("/broken", broken)], SETTINGS)
    ready = readiness(SETTINGS, served.probes)
    bound = Address("http", "127.0.0.1", 0, "FRAISEQL_HTTP_URL").listen()
    port = bound.getsockname()[1]
    server = HttpServer(bound, watched(app, SETTINGS, observer, ready))
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as web:
            yield web
    finally:
        server.stop(5)


@pytest.fixture(scope="module")
def web() -> Iterator[httpx.Client]:
    with serving(Observer()) as web:
        yield web


def answered(web: httpx.Client, sent: bytes) -> httpx.Response:
    """The response to bytes that no client library sends."""
    address = web.base_url.host, web.base_url.port or 0
    with socket.create_connection(address, 10) as connection:
        connection.sendall(sent)
        received = b""
        while piece := connection.recv(2**16):
            received += piece
    head, _, content = received.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert int(headers["content-length"]) == len(content)
    return httpx.Response(int(status.split()[1]), headers=headers, content=content)


@pytest.mark.parametrize(
    ("path", "method"),
    [
        (path, method)
        for path, allowed in METHODS.items()
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW")
        if method not in allowed
    ],
)
def test_a_wrong_method_is_refused_with_those_that_are_allowed(
    web: httpx.Client, path: str, method: str
) -> None:
    answer = web.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, METHODS[path])
    assert message_of(answer) == f"Send one of {METHODS[path]}."


@pytest.mark.parametrize(
    "path", ["/", "/searches", "/search/", "/search/events", "/query/x", "/health/x", "/assets_"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_path_is_refused_with_those_that_there_are(
    web: httpx.Client, path: str, method: str
) -> None:
    answer = web.request(method, path)
    assert answer.status_code == 404
    assert "/search" in message_of(answer)


@pytest.mark.parametrize("path", ["/assets/", "/assets/unknown", "/assets/analytics/events/x"])
def test_an_unknown_asset_is_refused_with_those_that_there_are(
    web: httpx.Client, path: str
) -> None:
    answer = web.get(path)
    assert answer.status_code == 404
    assert "analytics/events" in message_of(answer)


def test_a_refusal_of_head_has_the_headers_alone(web: httpx.Client) -> None:
    answer = web.head("/searches")
    assert (answer.status_code, answer.content) == (404, b"")
    assert answer.headers["content-type"].startswith("application/json")


@pytest.mark.parametrize(
    ("origin", "method"), [("https://other.example", "GET"), (ORIGIN, "DELETE")]
)
def test_a_refused_preflight_says_what_is_not_allowed(
    web: httpx.Client, origin: str, method: str
) -> None:
    headers = {"origin": origin, "access-control-request-method": method}
    answer = web.options("/search", headers=headers)
    assert answer.status_code == 400
    assert "CORS" in message_of(answer)
    assert answer.headers.get("access-control-allow-origin") == (
        origin if origin == ORIGIN else None
    )


def test_a_failure_of_the_service_is_told_without_its_details(web: httpx.Client) -> None:
    answer = web.get("/broken", headers={"connection": "close"})
    assert answer.status_code == 500
    assert "10.1.2.3" not in message_of(answer)


def test_metrics_without_the_right_to_them_are_refused(web: httpx.Client) -> None:
    answer = web.get("/metrics", headers={"host": "elsewhere"})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert "Metrics" in message_of(answer)


def test_a_service_that_stops_refuses_further_requests() -> None:
    observer = Observer()
    with serving(observer) as web:
        observer.drain(0, lambda: True)
        answer = web.get("/assets")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert message_of(answer)


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /search?" + b"q" * HEAD_BYTES,
        b"GET /search HTTP/1.1\r\n" + HEAD + b"x-long: " + b"x" * HEAD_BYTES,
    ],
    ids=["a long URL", "a long header"],
)
def test_a_head_that_is_too_large_is_refused_with_the_limit(web: httpx.Client, sent: bytes) -> None:
    answer = answered(web, sent)
    assert answer.status_code == 431
    assert f"{HEAD_BYTES:,} bytes" in message_of(answer)


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
        b"GET /search\r\n\r\n",
        b"GET /sea rch HTTP/1.1\r\n\r\n",
        b"GET /search HTTP/1.1\r\n\r\n",
        b"GET /search HTTP/1.1\r\n" + HEAD + b"no colon\r\n\r\n",
        b"POST /query HTTP/1.1\r\n" + HEAD + b"content-length: -1\r\n\r\n",
    ],
    ids=["TLS", "no version", "a space", "no host", "no header", "a negative length"],
)
def test_bytes_that_are_no_request_are_refused(web: httpx.Client, sent: bytes) -> None:
    answer = answered(web, sent)
    assert (answer.status_code, answer.headers["connection"]) == (400, "close")
    assert "HTTP/1.1" in message_of(answer)
