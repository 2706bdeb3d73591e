"""The scopes that a setting requires, for every transport."""

import asyncio
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.routing import Route

from flight_service.assets import Asset
from flight_service.authentication import ANYONE, Principal
from flight_service.errors import Forbidden, SettingError
from flight_service.identity.verifier import PasswordsBusy
from flight_service.registry import Registry, registry
from flight_service.scopes import KIND_OF_ROUTE
from flight_service.search import Search
from flight_service.tail import Tail
from fraiseql_assets.settings import Settings
from tests.tokens import signed

SECRET = "a secret of at least thirty-two characters"
REQUIRED = {"Asset": "read", "Search": "find", "HealthCheck": "ask", "GraphQLQuery": "query"}
READER = Principal(scopes=frozenset({"read"}))
NOBODY = Principal()
IDENTITY = Path(__file__).parents[2] / "docs" / "identity.md"


def served(**changes: object) -> Registry:
    changes = {"required_scopes": REQUIRED, "jwt_secret": SecretStr(SECRET), **changes}
    return registry(Settings.model_validate({"request_log": False, **changes}))


def get(path: str, token: str) -> httpx.Response:
    async def answer() -> httpx.Response:
        app = httpx.ASGITransport(Starlette(routes=served().routes))
        async with httpx.AsyncClient(transport=app, base_url="http://127.0.0.1") as client:
            return await client.get(path, headers={"authorization": f"Bearer {token}"})

    return asyncio.run(answer())


def test_a_ticket_needs_the_scope_of_its_type() -> None:
    resolve = served().resolvers[Asset]
    assert resolve(Asset(asset="analytics/events"), READER).schema
    with pytest.raises(Forbidden, match="Asset needs a token with the scope 'read'"):
        resolve(Asset(asset="analytics/events"), NOBODY)


def test_types_outside_the_setting_need_no_scope() -> None:
    assert served().resolvers[Tail](Tail(), NOBODY).schema
    assert served(required_scopes={}).resolvers[Search](Search(), NOBODY).schema


def test_without_tokens_no_scope_is_required() -> None:
    resolve = served(jwt_secret=None).resolvers[Asset]
    assert resolve(Asset(asset="analytics/events"), ANYONE).schema


def test_an_action_needs_the_scope_of_its_name() -> None:
    [action] = [one for one in served().actions if one.name == "HealthCheck"]
    assert action.run(b"", Principal(scopes=frozenset({"ask"})))["status"] == "healthy"
    with pytest.raises(Forbidden, match="HealthCheck needs a token with the scope 'ask'"):
        action.run(b"", READER)


@pytest.mark.parametrize(("principal", "count"), [(READER, 8), (NOBODY, 0)])
def test_only_readable_flights_are_listed(principal: Principal, count: int) -> None:
    listed = [one for listing in served().listings for one in listing(principal)]
    assert len(listed) == count


@pytest.mark.parametrize(
    ("path", "scope"), [("/assets", "read"), ("/search", "find"), ("/graphql", "query")]
)
def test_a_route_needs_the_scope_of_its_ticket_type(path: str, scope: str) -> None:
    refused = get(path, signed(SECRET))
    assert refused.status_code == 403
    assert f"needs a token with the scope '{scope}'" in refused.json()["errors"][0]["message"]
    assert get(path, "nonsense").status_code == 401


def test_a_principal_that_cannot_be_verified_now_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def busy(authorization: str | None, settings: Settings) -> Principal:
        raise PasswordsBusy

    monkeypatch.setattr("flight_service.scopes.authenticated", busy)
    answer = get("/assets", signed(SECRET))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


def test_a_route_with_the_scope_answers() -> None:
    answer = get("/assets", signed(SECRET, scope="read"))
    assert (answer.status_code, len(answer.json())) == (200, 8)


def test_an_unknown_name_in_the_setting_is_refused() -> None:
    with pytest.raises(
        SettingError, match=r"FRAISEQL_REQUIRED_SCOPES names 'Assets'\. It may name:"
    ):
        served(required_scopes={"Assets": "read"})


def test_every_route_has_a_ticket_type() -> None:
    paths = {route.path for route in served().routes if isinstance(route, Route)}
    assert paths == set(KIND_OF_ROUTE)


def test_the_identity_page_lists_every_ticket_type_and_action() -> None:
    _, _, table = IDENTITY.read_text().partition("## Scopes\n")
    kinds = [kind.__name__ for kind in served().resolvers] + [one.name for one in served().actions]
    hidden = {"GraphQLPart", "SqlCommand"}
    assert [kind for kind in kinds if f"`{kind}`" not in table and kind not in hidden] == []
