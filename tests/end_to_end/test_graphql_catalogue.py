"""What the database has is learned once, and again for as long as a relation is missing."""

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import adbc_driver_postgresql.dbapi as postgresql
import pyarrow as pa
import pytest
from graphql_shop import AUTO, field, write_schema
from pydantic import SecretStr

from flight_service.authentication import ANYONE
from flight_service.graphql.errors import QueryRefused
from flight_service.graphql.service import GraphQL, Request
from flight_service.graphql.sources.registry import LOOK_SECONDS
from fraiseql_assets.settings import Settings

SCHEMA = "graphql_learning"
Execute = Callable[[str], object]


def query(name: str) -> dict[str, object]:
    return {
        "name": name,
        "return_type": "Thing",
        "returns_list": True,
        "sql_source": f"{SCHEMA}.tv_{name}",
        "auto_params": AUTO,
    }


THING = {"name": "Thing", "fields": [field("id", "Int", nullable=False)]}
COMPILED = {"types": [THING], "queries": [query("here"), query("later")]}


@pytest.fixture
def execute(database_url: str) -> Iterator[Execute]:
    with postgresql.connect(database_url, autocommit=True) as one, one.cursor() as run:
        run.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
        run.execute(f"CREATE SCHEMA {SCHEMA}")
        yield run.execute
        run.execute(f"DROP SCHEMA {SCHEMA} CASCADE")


def create(execute: Execute, name: str) -> None:
    rows = """SELECT jsonb_build_object('id', 1) AS data"""
    execute(f"CREATE TABLE {SCHEMA}.tv_{name} AS {rows}")


@pytest.fixture
def graphql(execute: Execute, database_url: str, tmp_path: Path) -> Iterator[GraphQL]:
    create(execute, "here")
    path = write_schema(tmp_path, COMPILED)
    made = GraphQL(Settings(database_url=SecretStr(database_url), schema_path=path))
    yield made
    made.close()


def ids(graphql: GraphQL, name: str) -> list[int]:
    prepared = graphql.prepare(Request(f"{{ {name} {{ id }} }}"), ANYONE)
    return [one for batch in graphql.batches(prepared) for one in batch["id"].to_pylist()]


@pytest.fixture
def moments(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets time pass for the registry."""
    passed = [0.0]
    monkeypatch.setattr("flight_service.graphql.sources.registry.monotonic", lambda: passed[0])

    def pass_(seconds: float) -> None:
        passed[0] += seconds

    return pass_


def test_a_relation_that_is_made_later_is_found_by_the_next_query(
    graphql: GraphQL, execute: Execute, moments: Callable[[float], None]
) -> None:
    assert ids(graphql, "here") == [1]
    with pytest.raises(QueryRefused, match="there is no graphql_learning"):
        ids(graphql, "later")
    create(execute, "later")
    moments(LOOK_SECONDS)
    assert ids(graphql, "later") == [1]


def test_a_missing_relation_is_looked_for_once_a_second(
    graphql: GraphQL, monkeypatch: pytest.MonkeyPatch, moments: Callable[[float], None]
) -> None:
    asked: list[str] = []
    ask = graphql.postgres.database.ask
    monkeypatch.setattr(
        graphql.registry, "_ask", lambda sql, values: (asked.append(sql), ask(sql, values))[1]
    )

    def refused() -> int:
        before = len(asked)
        with pytest.raises(QueryRefused):
            ids(graphql, "later")
        return len(asked) - before

    assert refused() > 0
    moments(LOOK_SECONDS / 2)
    assert refused() == 0
    moments(LOOK_SECONDS / 2)
    assert refused() > 0


def test_others_go_on_while_the_catalogue_is_read_again_for_a_missing_relation(
    graphql: GraphQL, monkeypatch: pytest.MonkeyPatch, moments: Callable[[float], None]
) -> None:
    assert ids(graphql, "here") == [1]
    ask = graphql.registry.current().ask
    asking, goes_on = threading.Event(), threading.Event()

    def slowly(sql: str, values: Sequence[str]) -> pa.Table:
        asking.set()
        assert goes_on.wait(30)
        return ask(sql, values)

    monkeypatch.setattr(graphql.registry.current(), "ask", slowly)
    moments(LOOK_SECONDS)

    def refused() -> None:
        with pytest.raises(QueryRefused):
            ids(graphql, "later")

    slow = threading.Thread(target=refused)
    slow.start()
    assert asking.wait(30)
    graphql.clear_cache()
    assert ids(graphql, "here") == [1]
    refused()
    goes_on.set()
    slow.join()


def test_a_query_whose_relation_is_there_asks_the_catalogue_once(
    graphql: GraphQL, monkeypatch: pytest.MonkeyPatch, moments: Callable[[float], None]
) -> None:
    asked: list[str] = []
    ask = graphql.postgres.database.ask
    monkeypatch.setattr(
        graphql.registry, "_ask", lambda sql, values: (asked.append(sql), ask(sql, values))[1]
    )
    ids(graphql, "here")
    first = len(asked)
    moments(LOOK_SECONDS)
    graphql.clear_cache()
    ids(graphql, "here")
    assert len(asked) == first


def test_a_query_of_a_relation_that_is_missing_says_what_to_do(graphql: GraphQL) -> None:
    with pytest.raises(QueryRefused) as refused:
        ids(graphql, "later")
    assert refused.value.message == (
        "later cannot be read from graphql_learning.tv_later: there is no "
        "graphql_learning.ta_later; there is no graphql_learning.va_later; there is no "
        "graphql_learning.tv_later. If its data are still being loaded, ask again when they are; "
        "what is missing is looked for again."
    )
