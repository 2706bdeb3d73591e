"""Every way to the same data agrees, for generated schemas: Flight, JSON and Arrow over HTTP, and a
computation from the rows in plain Python give the same rows, or the same refusal."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import adbc_driver_postgresql.dbapi as postgresql
import pyarrow as pa
import pytest
from graphql_generated import Asked, Example, compiled, examples, sql
from hypothesis import HealthCheck, given, settings
from pyarrow import flight
from pydantic import SecretStr
from test_graphql_documents import parsed, plain
from test_graphql_service import SECRET, Service, bearing, running
from tokens import signed

from flight_service.errors import sentence_of
from flight_service.graphql.transport.response import ARROW
from fraiseql_assets.settings import Settings

SCHEMA = "graphql_generated"
EXAMPLES = 25 if settings.default and settings.default.derandomize else 2000
Generated = tuple[Service, Path, postgresql.Connection]


@pytest.fixture(scope="module")
def generated(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Generated]:
    """A service whose compiled schema and database each example replaces."""
    path = tmp_path_factory.mktemp("schema") / "schema.compiled.json"
    path.write_text(json.dumps({"types": [], "queries": []}))
    made = Settings(
        database_url=SecretStr(database_url),
        schema_path=path,
        jwt_secret=SecretStr(SECRET),
        batch_rows=2,
    )
    with postgresql.connect(database_url, autocommit=True) as connection:
        for service in running(made):
            yield service, path, connection


def over_flight(service: Service, asked: Asked) -> Any:
    try:
        return service.table({"query": asked.text}, **asked.principal.claims).to_pylist()
    except flight.FlightUnauthorizedError as error:
        return sentence_of(error)


def over_http(service: Service, asked: Asked, accept: str) -> Any:
    token = signed(SECRET, **asked.principal.claims)
    headers = {"authorization": f"Bearer {token}", "accept": accept}
    body = {"query": asked.text}
    answer = service.web.post("/graphql", json=body, headers=headers, timeout=60)
    if answer.headers["content-type"] == ARROW:
        return pa.ipc.open_stream(answer.content).read_all().to_pylist()
    told = json.loads(answer.content, parse_float=Decimal)
    if "errors" in told:
        [error] = told["errors"]
        assert error["code"] == "FORBIDDEN", (asked, error)
        return error["message"]
    [rows] = told["data"].values()
    return rows


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(example=examples())
def test_all_transports_agree_on_a_generated_schema(generated: Generated, example: Example) -> None:
    service, path, connection = generated
    with connection.cursor() as run:
        for statement in sql(example, SCHEMA):
            run.execute(statement)
    path.write_text(json.dumps(compiled(example, SCHEMA)))
    action = flight.Action("RefreshSchemaRegistry", b"")
    [result] = service.client.do_action(action, bearing(sub="ann", scope="admin"))
    told = json.loads(result.body.to_pybytes())
    assert told["success"], told
    for asked in example.asked:
        found = over_flight(service, asked)
        in_arrow = over_http(service, asked, ARROW)
        in_json = over_http(service, asked, "application/json")
        if asked.arrow is None:
            assert isinstance(found, str), (asked, found)
            assert found == in_json == in_arrow
            continue
        assert plain(parsed(found)) == plain(asked.arrow), asked
        assert plain(parsed(in_arrow)) == plain(asked.arrow), asked
        assert plain(in_json) == plain(asked.http), asked
