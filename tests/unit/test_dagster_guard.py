"""The guard in front of Dagster's web server."""

import asyncio
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from fraiseql_assets.defs.web_guard import Guard, guarded
from fraiseql_assets.settings import Settings

MUTATION = "mutation { stopSensor { sensorState { status } } }"
PASSWORD = "sixteen-or-longer"
OWN = "http://dagster.example:3000"


async def answer(request: Request) -> PlainTextResponse:
    return PlainTextResponse(request.method)


APP = Starlette(routes=[Route("/graphql", answer, methods=["GET", "POST"])])


def guard(**settings: Any) -> Guard:
    return guarded(APP, Settings.model_validate({"dagster_url": OWN, **settings}))


def ask(app: Guard, method: str = "POST", url: str = OWN, **options: Any) -> httpx.Response:
    async def send() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
            return await client.request(method, f"{url}/graphql", **options)

    return asyncio.run(send())


@pytest.mark.parametrize(
    "url", [OWN, "http://127.0.0.1:3000", "http://localhost:3000", "http://[::1]:3000"]
)
def test_a_request_to_a_trusted_host_is_answered(url: str) -> None:
    assert ask(guard(), url=url).status_code == 200


def test_a_request_to_another_host_is_refused_and_the_setting_named() -> None:
    answer = ask(guard(), url="http://rebound.example:3000")
    assert answer.status_code == 403
    assert "FRAISEQL_DAGSTER_HOSTS" in answer.text


def test_a_setting_adds_trusted_hosts() -> None:
    app = guard(dagster_hosts=["Dagster.Company.example"])
    assert ask(app, url="https://dagster.company.example").status_code == 200


def test_requests_of_its_own_origin_are_answered() -> None:
    assert ask(guard(), headers={"Origin": OWN}).status_code == 200


@pytest.mark.parametrize(
    "origin", ["http://attacker.example", "null", "", "http://dagster.example", "http://["]
)
def test_requests_of_another_origin_are_refused(origin: str) -> None:
    assert ask(guard(), headers={"Origin": origin}).status_code == 403


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("query", [MUTATION, f"query A {{ version }} {MUTATION}"])
def test_a_mutation_by_get_is_refused(method: str, query: str) -> None:
    assert ask(guard(), method, params={"query": query}).status_code == 405


def test_a_query_by_get_and_a_mutation_by_post_are_answered() -> None:
    assert ask(guard(), "GET", params={"query": "{ version }"}).status_code == 200
    assert ask(guard(), json={"query": MUTATION}).status_code == 200


def test_with_a_password_requests_without_it_are_refused() -> None:
    app = guard(dagster_password=PASSWORD)
    refused = ask(app)
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"].startswith("Basic ")
    assert ask(app, auth=("dagster", "wrong")).status_code == 401
    assert ask(app, headers={"Authorization": "é".encode()}).status_code == 401
    assert ask(app, auth=("dagster", PASSWORD)).status_code == 200


def test_the_guard_takes_the_login_from_the_settings() -> None:
    settings = Settings(dagster_password=SecretStr(PASSWORD))
    app = guard(dagster_password=PASSWORD)
    assert settings.dagster_login is not None
    assert ask(app, auth=settings.dagster_login).status_code == 200
    assert Settings().dagster_login is None


@pytest.mark.parametrize(
    ("origin", "accepted"), [(OWN, True), ("http://attacker.example", False), (None, True)]
)
def test_a_websocket_is_opened_only_for_its_own_origin(origin: str | None, accepted: bool) -> None:
    reached, sent = [], []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope["type"])

    async def send(message: Any) -> None:
        sent.append(message["type"])

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    headers = [(b"host", b"dagster.example:3000")]
    if origin:
        headers.append((b"origin", origin.encode()))
    scope = {"type": "websocket", "path": "/graphql", "query_string": b"", "headers": headers}
    asyncio.run(Guard(app, ["dagster.example"], None)(scope, receive, send))
    assert (reached, sent) == ((["websocket"], []) if accepted else ([], ["websocket.close"]))


def test_lifespan_events_pass_the_guard() -> None:
    reached = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope["type"])

    unused: Any = None
    asyncio.run(Guard(app, [], None)({"type": "lifespan"}, unused, unused))
    assert reached == ["lifespan"]
