"""What every request to the HTTP side passes, whatever the route."""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from flight_service.addresses import Address
from flight_service.http import HttpServer, application
from fraiseql_assets.settings import Settings

ORIGIN = "https://app.example"
PIECES = [b"x" * 200_000, b"y" * 200_000]


async def long(request: Request) -> StreamingResponse:
    return StreamingResponse(iter(PIECES))


async def echo(request: Request) -> JSONResponse:
    return JSONResponse({"method": request.method})


ROUTES = [Route("/long", long), Route("/graphql", echo, methods=["GET", "POST"])]


@contextmanager
def client(**settings: Any) -> Iterator[httpx.Client]:
    bound = Address("http", "127.0.0.1", 0, "FRAISEQL_HTTP_URL").listen()
    port = bound.getsockname()[1]
    server = HttpServer(bound, application(ROUTES, Settings.model_validate(settings)))
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
