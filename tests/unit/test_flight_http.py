"""Middleware of every HTTP request, on every route."""

import asyncio
import gzip
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, cast

import httpx
import pyarrow as pa
import pytest
from anyio.to_thread import run_sync
from http_errors import message_of
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import BaseRoute, Route

from flight_service.addresses import Address
from flight_service.authentication import Principal
from flight_service.connections import HEAD_BYTES, LimitedConnection
from flight_service.http import HttpServer, application
from flight_service.http_streams import THREADS
from flight_service.limits import StreamLimits
from flight_service.registry import registry
from flight_service.search import search_route
from fraiseql_assets.operational.search.engine import Search
from fraiseql_assets.operational.search.request import SearchRequest
from fraiseql_assets.planes import PlaneUnavailable
from fraiseql_assets.settings import Settings
from tests.tokens import signed

ORIGIN = "https://app.example"
PIECES = [b"x" * 200_000, b"y" * 200_000]


async def long(request: Request) -> StreamingResponse:
    return StreamingResponse(iter(PIECES))


async def echo(request: Request) -> JSONResponse:
    return JSONResponse({"method": request.method})


async def slow(request: Request) -> JSONResponse:
    await asyncio.sleep(1.2)
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
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", verify=False) as web:
            yield web
    finally:
        server.stop(5)


@pytest.fixture
def web() -> Iterator[httpx.Client]:
    with client() as web:
        yield web


@pytest.mark.parametrize("accepted", ["gzip", "deflate, gzip;q=0.5, *;q=0"])
def test_a_response_is_compressed_if_the_client_accepts_it(
    web: httpx.Client, accepted: str
) -> None:
    with web.stream("GET", "/long", headers={"accept-encoding": accepted}) as answer:
        sent = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == "gzip"
    assert gzip.decompress(sent) == b"".join(PIECES)
    assert len(sent) < 10_000


@pytest.mark.parametrize(
    "accepted", ["identity", "br", "gzip;q=0", "br, GZIP ; q=0.00, identity", "x-gzipped"]
)
def test_a_response_is_not_compressed_otherwise(web: httpx.Client, accepted: str) -> None:
    answer = web.get("/long", headers={"accept-encoding": accepted})
    assert "Accept-Encoding" in answer.headers["vary"]
    assert "content-encoding" not in answer.headers
    assert answer.content == b"".join(PIECES)


def preflight(web: httpx.Client, origin: str) -> httpx.Response:
    headers = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type",
    }
    return web.options("/graphql", headers=headers)


def test_requests_of_an_allowed_origin_are_answered() -> None:
    with client(cors_origins=[ORIGIN]) as web:
        asked = preflight(web, ORIGIN)
        answer = web.post("/graphql", headers={"origin": ORIGIN})
    assert asked.status_code == 200
    assert asked.headers["access-control-allow-origin"] == ORIGIN
    assert "authorization" in asked.headers["access-control-allow-headers"].lower()
    assert answer.headers["access-control-allow-origin"] == ORIGIN


@pytest.mark.parametrize("settings", [{}, {"cors_origins": [ORIGIN]}])
def test_other_origins_get_no_cors_header(settings: dict[str, Any]) -> None:
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
    assert (answer.status_code, "no trusted host" in message_of(answer)) == (400, True)


def test_a_name_beside_a_trusted_one_is_refused_without_redirect() -> None:
    with client(trusted_hosts=["www.assets.example"]) as web:
        answer = web.get("/graphql", headers={"host": "assets.example"})
    assert answer.status_code == 400
    assert "location" not in answer.headers


def test_the_listen_host_is_trusted() -> None:
    with client(http_url="http://10.1.2.3:8080") as web:
        assert web.get("/graphql", headers={"host": "10.1.2.3:8080"}).status_code == 200
    with client(http_url="http://0.0.0.0:8080") as web:
        assert web.get("/graphql", headers={"host": "0.0.0.0:8080"}).status_code == 400


def test_health_is_answered_for_any_host(web: httpx.Client) -> None:
    assert web.get("/health", headers={"host": "10.1.2.3"}).status_code == 200


def test_no_redirect_uses_the_host_header(web: httpx.Client) -> None:
    answer = web.get("/graphql/", headers={"host": "localhost"})
    assert answer.status_code == 404
    assert "location" not in answer.headers


@contextmanager
def connected(web: httpx.Client) -> Iterator[socket.socket]:
    with socket.create_connection((web.base_url.host, web.base_url.port or 0), 10) as connection:
        yield connection


HEAD = b"POST /graphql HTTP/1.1\r\nhost: localhost\r\n"


@pytest.mark.parametrize("sent", [b"", b"POST /gra", HEAD, HEAD + b"x-more: 1\r\n"])
def test_a_connection_without_a_complete_request_is_closed(
    monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(LimitedConnection, "head_seconds", 0.05)
    with client() as web, connected(web) as connection:
        connection.sendall(sent)
        assert ended(connection)


def test_a_connection_that_keeps_sending_after_the_response_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(LimitedConnection, "head_seconds", 0.05)
    with client() as web, connected(web) as connection:
        connection.sendall(HEAD + b"content-length: 1000000\r\n\r\nx")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        connection.sendall(b"x")
        assert ended(connection)


def test_a_running_request_has_no_such_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LimitedConnection, "head_seconds", 1.0)
    with client() as web:
        assert web.get("/slow").json() == {"waited": True}


def test_the_size_of_request_headers_is_limited(web: httpx.Client) -> None:
    assert web.get("/graphql", headers={"x-long": "x" * 10_000}).status_code == 200
    with connected(web) as connection:
        connection.sendall(HEAD + b"x-long: " + b"x" * HEAD_BYTES)
        assert connection.recv(1000).startswith(b"HTTP/1.1 431")


def test_connections_above_the_limit_are_answered_with_503() -> None:
    with client(http_connections=2) as web, connected(web), connected(web), connected(web):
        refused = web.get("/health")
    assert (refused.status_code, refused.headers["connection"]) == (503, "close")
    assert "FRAISEQL_HTTP_CONNECTIONS" in message_of(refused)


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


def test_a_search_above_the_limit_of_a_principal_is_answered_with_retry_later() -> None:
    secret = "x" * 32
    settings = Settings(
        jwt_secret=SecretStr(secret),
        request_log=False,
        principal_streams=1,
        elasticsearch_url=SecretStr("http://127.0.0.1:1"),
    )
    served = registry(settings)
    assert served.limits is not None
    end = served.limits.begin(Principal("ada"))
    headers = {"authorization": f"Bearer {signed(secret, sub='ada')}"}
    with client(served.routes, jwt_secret=secret) as web:
        answer = web.get("/search", headers=headers)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert "FRAISEQL_PRINCIPAL_STREAMS" in answer.json()["errors"][0]["message"]
        end()
        assert "does not answer" in web.get("/search", headers=headers).text


def test_slow_searches_leave_threads_for_other_requests() -> None:
    searching, goes_on = threading.Semaphore(0), threading.Event()

    class SlowEngine:
        def hits(self, request: SearchRequest, **others: Any) -> pa.RecordBatch:
            searching.release()
            goes_on.wait(30)
            raise PlaneUnavailable("The search engine does not answer.")

    async def other(request: Request) -> JSONResponse:
        return JSONResponse(await run_sync(lambda: "answered"))

    settings = Settings(request_log=False)
    search = search_route(cast(Search, SlowEngine()), settings, StreamLimits(settings))
    with ExitStack() as stack:
        web = stack.enter_context(client([search, Route("/other", other)]))
        stack.callback(goes_on.set)
        for _ in range(THREADS):
            asked = stack.enter_context(connected(web))
            asked.sendall(b"GET /search HTTP/1.1\r\nhost: localhost\r\n\r\n")
        for _ in range(THREADS):
            assert searching.acquire(timeout=30)
        assert web.get("/other").json() == "answered"


def ended(connection: socket.socket) -> bool:
    try:
        return connection.recv(1000) == b""
    except ConnectionResetError:
        return True
