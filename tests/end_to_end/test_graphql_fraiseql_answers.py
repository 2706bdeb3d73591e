"""Queries and the responses that FraiseQL's rules give, as JSON and as Arrow."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import adbc_driver_postgresql.dbapi as postgresql
import pytest
from graphql_shop import write_schema
from pydantic import SecretStr

from flight_service.authentication import ANYONE
from flight_service.graphql.service import GraphQL, Request
from fraiseql_assets.settings import Settings

FIXTURE = json.loads((Path(__file__).parents[1] / "data/fraiseql/invoices.json").read_text())


@pytest.fixture(scope="module")
def graphql(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GraphQL]:
    with postgresql.connect(database_url, autocommit=True) as one, one.cursor() as run:
        run.execute("DROP SCHEMA IF EXISTS fraiseql_fixture CASCADE")
        run.execute("CREATE SCHEMA fraiseql_fixture")
        run.execute("CREATE TABLE fraiseql_fixture.tv_invoice (id uuid, data jsonb)")
        for document in FIXTURE["documents"]:
            row = (document["id"], json.dumps(document))
            run.execute("INSERT INTO fraiseql_fixture.tv_invoice VALUES ($1::uuid, $2::jsonb)", row)
        path = write_schema(tmp_path_factory.mktemp("fixture"), FIXTURE["schema"])
        made = GraphQL(Settings(database_url=SecretStr(database_url), schema_path=path))
        yield made
        made.close()
        run.execute("DROP SCHEMA fraiseql_fixture CASCADE")


@pytest.mark.parametrize("case", FIXTURE["cases"], ids=lambda case: json.dumps(case)[10:90])
def test_a_query_has_the_response_of_fraiseql(graphql: GraphQL, case: dict[str, Any]) -> None:
    request = Request(case["query"], case.get("variables") or {})
    prepared = graphql.prepare(request, ANYONE)
    assert json.loads(b"{" + b"".join(graphql.json(prepared)) + b"}") == case["data"]
    rows = [row for batch in graphql.batches(prepared) for row in batch.to_pylist()]
    [answer] = case["data"].values()
    assert len(rows) == (len(answer) if isinstance(answer, list) else int(answer is not None))
