"""Cached GraphQL results, over Flight and HTTP, of rows that change behind them."""

import asyncio
import json
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import adbc_driver_postgresql.dbapi as postgresql
import httpx
import pyarrow as pa
import pytest
from graphql_shop import AUTO, field
from pyarrow import flight
from pydantic import SecretStr
from test_graphql_service import ARROW, SECRET, running
from tokens import signed

from fraiseql_assets.events.encode import Outgoing
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.connection import connect
from fraiseql_assets.stream.publish import publish
from fraiseql_assets.stream.setup import setup_streams
from tests.separate_names import drop_streams

SECONDS = 20
CREATE = (
    "DROP TABLE IF EXISTS tv_cached_note",
    "CREATE TABLE tv_cached_note (tenant_id text, data jsonb NOT NULL)",
    "INSERT INTO tv_cached_note SELECT tenant, jsonb_build_object('tenant', tenant, 'text', 0) "
    "FROM unnest(ARRAY['red', 'blue']) AS tenant",
)
CHANGE = (
    "UPDATE tv_cached_note SET data = jsonb_set(data, '{text}', to_jsonb((data->>'text')::int + 1))"
)
COMPILED = {
    "types": [{"name": "Note", "fields": [field("tenant", "String"), field("text", "Int")]}],
    "queries": [
        {
            "name": "notes",
            "return_type": "Note",
            "returns_list": True,
            "sql_source": "tv_cached_note",
            "jsonb_column": "data",
            "auto_params": AUTO,
            "cache_ttl_seconds": 3600,
            "inject_params": {"tenant_id": {"source": "jwt", "claim": "tenant_id"}},
        }
    ],
}


@dataclass(frozen=True)
class Service:
    settings: Settings
    client: flight.FlightClient
    web: httpx.Client

    def arrow(self, query: str, **claims: Any) -> list[dict[str, Any]]:
        """The rows over Flight."""
        ticket = json.dumps({"type": "GraphQLQuery", "query": query}).encode()
        return self.client.do_get(flight.Ticket(ticket), options(claims)).read_all().to_pylist()

    def arrow_over_http(self, query: str, **claims: Any) -> list[dict[str, Any]]:
        answer = self._post(query, claims, accept=ARROW)
        return pa.ipc.open_stream(answer.content).read_all().to_pylist()

    def json(self, query: str, **claims: Any) -> list[dict[str, Any]]:
        [rows] = self._post(query, claims, accept="application/json").json()["data"].values()
        return rows

    def _post(self, query: str, claims: dict[str, Any], accept: str) -> httpx.Response:
        headers = {"authorization": f"Bearer {token(claims)}", "accept": accept}
        return self.web.post("/graphql", json={"query": query}, headers=headers).raise_for_status()

    def change(self) -> None:
        """Changes every row."""
        execute(self.settings, CHANGE)


def token(claims: dict[str, Any]) -> str:
    return signed(SECRET, **{"sub": "ada", "tenant_id": "red", **claims})


def options(claims: dict[str, Any]) -> flight.FlightCallOptions:
    header = b"authorization", f"Bearer {token(claims)}".encode()
    return flight.FlightCallOptions(headers=[header])


def execute(settings: Settings, *statements: str) -> None:
    url = settings.database_url.get_secret_value()
    with postgresql.connect(url, autocommit=True) as connection, connection.cursor() as run:
        for statement in statements:
            run.execute(statement)


@pytest.fixture(scope="module")
def service(
    database_url: str, nats_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    path = tmp_path_factory.mktemp("schema") / "schema.compiled.json"
    path.write_text(json.dumps(COMPILED))
    name = f"test_{secrets.token_hex(4)}"
    settings = Settings(
        database_url=SecretStr(database_url),
        nats_url=SecretStr(nats_url),
        schema_path=path,
        jwt_secret=SecretStr(SECRET),
        stream=f"{name}_events",
        subjects=[f"{name}.mutation.>"],
        subject_prefix=f"{name}.mutation",
        dead_letter_stream=f"{name}_dead_letters",
        request_stream=f"{name}_requests",
        request_subject_prefix=f"{name}.request",
    )
    execute(settings, *CREATE)
    asyncio.run(setup_streams(settings))
    for each in running(settings):
        made = Service(settings, each.client, each.web)
        until_followed(made)
        yield made
    asyncio.run(drop_streams(settings))


@pytest.fixture(scope="module")
def forwarded(service: Service) -> Iterator[list[Service]]:
    """Two services in front of a FraiseQL server that caches nothing: one checks tokens, the other
    leaves that to the server."""
    behind = service.settings.model_copy(update={"graphql_result_cache_bytes": 0})
    for server in running(behind):
        known = service.settings.model_dump(exclude={"database_url"}, exclude_unset=True)
        known["graphql_url"] = f"{server.web.base_url}/graphql"
        checking, open_one = Settings(**known), Settings(**{**known, "jwt_secret": None})
        for one in running(checking):
            for other in running(open_one):
                made = [Service(service.settings, each.client, each.web) for each in (one, other)]
                for each in made:
                    until_followed(each)
                yield made


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def until_followed(service: Service) -> None:
    """Waits until events are followed, which begins with the first query and empties the cache."""
    query = "{ followed: notes { text } }"

    def is_followed() -> bool:
        before = service.json(query)
        service.change()
        return service.json(query) != before

    eventually(is_followed)


def test_a_result_is_the_same_until_it_expires_over_flight_and_http(service: Service) -> None:
    query = "{ once: notes { text } }"
    before = service.arrow(query)
    service.change()
    assert service.arrow(query) == before
    assert service.arrow_over_http(query) == before


def test_a_json_result_is_cached(service: Service) -> None:
    query = "{ twice: notes { text } }"
    before = service.json(query)
    service.change()
    assert service.json(query) == before


def test_tenants_have_separate_results(service: Service) -> None:
    query = "{ tenants: notes { tenant } }"
    found = [service.arrow(query, tenant_id=tenant) for tenant in ("red", "blue", "red")]
    assert [rows[0]["tenant"] for rows in found] == ["red", "blue", "red"]


@pytest.mark.parametrize(
    "claims",
    [{"sub": "bob"}, {"roles": ["admin"]}, {"scopes": ["all"]}, {"region": "north"}],
    ids=str,
)
def test_principals_have_separate_results(service: Service, claims: dict[str, Any]) -> None:
    query = "{ principals: notes { text } }"
    before = service.arrow(query)
    service.change()
    assert service.arrow(query, **claims) != before


def test_another_token_of_a_principal_has_the_same_result(service: Service) -> None:
    query = "{ tokens: notes { text } }"
    before = service.arrow(query, jti="1", exp=int(time.time()) + 60)
    service.change()
    assert service.arrow(query, jti="2", exp=int(time.time()) + 90) == before


def test_clear_cache_removes_results(service: Service) -> None:
    query = "{ cleared: notes { text } }"
    before = service.arrow(query)
    service.change()
    action = flight.Action("ClearCache", b"")
    [told] = service.client.do_action(action, options({"scopes": ["admin"]}))
    assert b" results are cleared." in told.body.to_pybytes()
    assert service.arrow(query) != before


def test_an_event_of_an_entity_removes_its_results(service: Service) -> None:
    query = "{ changed: notes { text } }"
    before = service.arrow(query)
    service.change()
    asyncio.run(publish_change(service.settings))
    eventually(lambda: service.arrow(query) != before)


def test_a_forwarded_result_is_cached_over_every_transport(forwarded: list[Service]) -> None:
    same = int(time.time()) + 600
    for number, service in enumerate(forwarded):
        for name, read in enumerate((service.arrow, service.arrow_over_http, service.json)):
            query = f"{{ forwarded{number}{name}: notes {{ text }} }}"
            # Where no tokens are checked, a result belongs to one token.
            before = read(query, exp=same)
            service.change()
            assert read(query, exp=same) == before


def test_a_forwarded_result_belongs_to_one_principal(forwarded: list[Service]) -> None:
    query = "{ whose: notes { tenant } }"
    for service in forwarded:
        for read in (service.arrow, service.json):
            found = [read(query, tenant_id=tenant) for tenant in ("red", "blue", "red")]
            assert [rows[0]["tenant"] for rows in found] == ["red", "blue", "red"]


def test_an_error_of_the_server_is_not_cached(forwarded: list[Service]) -> None:
    query = "{ broken: notes(where: {text: {gt: 1}}) { text } }"
    service = forwarded[1]
    execute(service.settings, "ALTER TABLE tv_cached_note RENAME TO tv_gone")
    headers = {"authorization": f"Bearer {token({})}"}
    assert "errors" in service.web.post("/graphql", json={"query": query}, headers=headers).json()
    execute(service.settings, "ALTER TABLE tv_gone RENAME TO tv_cached_note")
    eventually(
        lambda: (
            "errors"
            not in service.web.post("/graphql", json={"query": query}, headers=headers).json()
        )
    )


async def publish_change(settings: Settings) -> None:
    event = {
        "id": secrets.token_hex(8),
        "event_type": "UPDATE",
        "entity_type": "Note",
        "entity_id": "1",
        "data": {},
        "timestamp": "2026-01-01T00:00:00Z",
    }
    async with connect(settings, name="test") as client:
        subject = f"{settings.subject_prefix}.Note.UPDATE"
        await publish(client, [Outgoing(subject, json.dumps(event).encode(), {})])
