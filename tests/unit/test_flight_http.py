"""What every request to the HTTP side passes, whatever the route."""

import asyncio
import gzip
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import BaseRoute, Route

from flight_service.addresses import Address
from flight_service.connections import LimitedConnection
from flight_service.http import HEAD_BYTES, HttpServer, application
from flight_service.registry import registry
from fraiseql_assets.settings import Settings

ORIGIN = "https://app.example"
PIECES = [b"x" * 200_000, b"y" * 200_000]


async def long(request: Request) -> StreamingResponse:
    return StreamingResponse(iter(PIECES))


async def echo(request: Request) -> JSONResponse:
    return JSONResponse({"method": request.method})


async def slow(request: Request) -> JSONResponse:
    await asyncio.sleep(0.2)
    return JSONResponse({"waited": True})


ROUTES = [
    Route("/slow", slow),
    Route("/long", long),
    Route("/graphql", echo, methods=["GET", "POST"]),
]


@contextmanager
def client(routes: Sequence[BaseRoute] = ROUTES, **settings: Any) -> Iterator[httpx.Client]:
    bound = Address("http", "127.0.0.1", 0, "FRAISEQL_HTTP_URL").listen()
    port = bound.getsockname()[1]
    made = Settings.model_validate(settings)
    server = HttpServer(bound, application(routes, made), made.http_connections)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as web:
            yield web
    finally:
        server.stop(5)


@pytest.fixture
def web() -> Iterator[httpx.Client]:
    with client() as web:
        yield web


def test_a_response_is_compressed_for_a_client_that_takes_it(web: httpx.Client) -> None:
    with web.stream("GET", "/long", headers={"accept-encoding": "gzip"}) as answer:
        sent = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == "gzip"
    assert gzip.decompress(sent) == b"".join(PIECES)
    assert len(sent) < 10_000


def test_a_response_is_not_compressed_for_another_client(web: httpx.Client) -> None:
    answer = web.get("/long", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in answer.headers
    assert answer.content == b"".join(PIECES)


def preflight(web: httpx.Client, origin: str) -> httpx.Response:
    headers = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type",
    }
    return web.options("/graphql", headers=headers)


def test_a_page_of_an_origin_that_is_set_may_call() -> None:
    with client(cors_origins=[ORIGIN]) as web:
        asked = preflight(web, ORIGIN)
        answer = web.post("/graphql", headers={"origin": ORIGIN})
    assert asked.status_code == 200
    assert asked.headers["access-control-allow-origin"] == ORIGIN
    assert "authorization" in asked.headers["access-control-allow-headers"].lower()
    assert answer.headers["access-control-allow-origin"] == ORIGIN


@pytest.mark.parametrize("settings", [{}, {"cors_origins": [ORIGIN]}])
def test_a_page_of_another_origin_may_not_read_an_answer(settings: dict[str, Any]) -> None:
    with client(**settings) as web:
        answer = web.post("/graphql", headers={"origin": "https://other.example"})
        asked = preflight(web, "https://other.example")
    assert "access-control-allow-origin" not in answer.headers
    assert "access-control-allow-origin" not in asked.headers


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8080", "127.0.0.1:1", "[::1]:8080", "assets.example", "a.b.example"],
)
def test_a_request_for_a_trusted_host_is_answered(host: str) -> None:
    with client(trusted_hosts=["assets.example", "*.b.example"]) as web:
        assert web.get("/graphql", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "evil.example:8080", "assets.example"]
)
def test_a_request_for_another_host_is_refused(web: httpx.Client, host: str) -> None:
    answer = web.post("/graphql", headers={"host": host})
    assert (answer.status_code, answer.text) == (400, "Invalid host header")


def test_the_host_that_the_service_listens_on_is_trusted() -> None:
    with client(http_url="http://10.1.2.3:8080") as web:
        assert web.get("/graphql", headers={"host": "10.1.2.3:8080"}).status_code == 200
    with client(http_url="http://0.0.0.0:8080") as web:
        assert web.get("/graphql", headers={"host": "0.0.0.0:8080"}).status_code == 400


def test_a_load_balancer_may_ask_for_the_health_under_any_name(web: httpx.Client) -> None:
    assert web.get("/health", headers={"host": "10.1.2.3"}).status_code == 200


def test_nothing_redirects_to_the_host_of_the_sender(web: httpx.Client) -> None:
    answer = web.get("/graphql/", headers={"host": "localhost"})
    assert answer.status_code == 404
    assert "location" not in answer.headers


@contextmanager
def connected(web: httpx.Client) -> Iterator[socket.socket]:
    with socket.create_connection((web.base_url.host, web.base_url.port or 0), 10) as connection:
        yield connection


HEAD = b"POST /graphql HTTP/1.1\r\nhost: localhost\r\n"


@pytest.mark.parametrize("sent", [b"", b"POST /gra", HEAD, HEAD + b"x-more: 1\r\n"])
def test_a_connection_without_a_whole_request_is_closed(
    monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(LimitedConnection, "head_seconds", 0.05)
    with client() as web, connected(web) as connection:
        connection.sendall(sent)
        assert ended(connection)


def test_a_connection_that_goes_on_sending_after_its_answer_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(LimitedConnection, "head_seconds", 0.05)
    with client() as web, connected(web) as connection:
        connection.sendall(HEAD + b"content-length: 1000000\r\n\r\nx")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        connection.sendall(b"x")
        assert ended(connection)


def test_a_request_under_way_has_no_such_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LimitedConnection, "head_seconds", 0.05)
    with client() as web:
        assert web.get("/slow").json() == {"waited": True}


def test_a_head_has_a_largest_size(web: httpx.Client) -> None:
    assert web.get("/graphql", headers={"x-long": "x" * 10_000}).status_code == 200
    with connected(web) as connection:
        connection.sendall(HEAD + b"x-long: " + b"x" * HEAD_BYTES)
        assert connection.recv(1000).startswith(b"HTTP/1.1 400")


def test_further_connections_than_allowed_are_answered_with_503() -> None:
    with client(http_connections=2) as web, connected(web), connected(web), connected(web):
        assert web.get("/health").status_code == 503


@pytest.mark.parametrize("path", ["/graphql", "/search"])
def test_a_request_without_a_token_is_refused_before_its_body_is_read(path: str) -> None:
    settings = Settings(jwt_secret=SecretStr("x" * 32), request_log=False)
    with client(registry(settings).routes, jwt_secret="x" * 32) as web, connected(web) as asked:
        method = b"GET" if path == "/search" else b"POST"
        asked.sendall(
            method + b" " + path.encode() + b" HTTP/1.1\r\nhost: localhost\r\n"
            b"content-type: application/json\r\ncontent-length: 1000000\r\n\r\n"
        )
        assert asked.recv(1000).startswith(b"HTTP/1.1 401")


def ended(connection: socket.socket) -> bool:
    try:
        return connection.recv(1000) == b""
    except ConnectionResetError:
        return True
