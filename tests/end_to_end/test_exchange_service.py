"""DoExchange of the whole service: GraphQL, uploads and subscriptions on one stream."""

import json
from collections.abc import Iterator
from typing import Any

import adbc_driver_postgresql.dbapi as postgresql
import pyarrow as pa
import pytest
from graphql_shop import AUTO, field, write_schema
from log_server import store, streams
from pyarrow import flight
from pydantic import SecretStr
from writing_service import SECRET, Service, events, token, writing_service

from fraiseql_assets.events.encode import observer_messages

SCHEMA = "exchange_tests"
TABLE = f"{SCHEMA}.tb_item"


@pytest.fixture(scope="module")
def items(database_url: str) -> Iterator[str]:
    with postgresql.connect(database_url, autocommit=True) as one, one.cursor() as run:
        run.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
        run.execute(f"CREATE SCHEMA {SCHEMA}")
        run.execute(f"CREATE TABLE {TABLE} (id int PRIMARY KEY, name text, tenant_id text)")
        run.execute(f"INSERT INTO {TABLE} VALUES (1, 'one', 'acme'), (2, 'two', 'globex')")
        yield database_url
        run.execute(f"DROP SCHEMA {SCHEMA} CASCADE")


@pytest.fixture(scope="module")
def service(
    nats_url: str, items: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    query = {
        "name": "items",
        "return_type": "Item",
        "returns_list": True,
        "sql_source": TABLE,
        "auto_params": AUTO,
    }
    fields = [field("id", "Int"), field("name", "String")]
    compiled = {"types": [{"name": "Item", "fields": fields}], "queries": [query]}
    with (
        streams(nats_url) as settings,
        writing_service(
            settings,
            database_url=SecretStr(items),
            schema_path=write_schema(tmp_path_factory.mktemp("schema"), compiled),
            jwt_secret=SecretStr(SECRET),
            writable=["events", TABLE],
        ) as running,
    ):
        yield running


class Exchange:
    """One stream, of a principal of the tenant acme."""

    def __init__(self, service: Service, *scopes: str) -> None:
        descriptor = flight.FlightDescriptor.for_path("exchange")
        options = token(*scopes, tenant_id="acme")
        self.writer, self.reader = service.client.do_exchange(descriptor, options)

    def ask(self, correlation_id: str, batch: pa.RecordBatch | None = None, **types: Any) -> None:
        body = {"correlation_id": correlation_id, "request_type": types}
        message = json.dumps({"Request": body}).encode()
        if batch is None:
            self.writer.write_metadata(message)
        else:
            self.writer.begin(batch.schema)
            self.writer.write_with_metadata(batch, message)

    def answer(self) -> tuple[str, Any]:
        """The next answer: its correlation id, and the rows or what it says."""
        chunk = self.reader.read_chunk()
        answer = json.loads(chunk.app_metadata.to_pybytes())
        if "Complete" in answer:
            return answer["Complete"]["correlation_id"], "complete"
        response = answer["Response"]
        if chunk.data is not None:
            return response["correlation_id"], chunk.data.to_pylist()
        result = response["result"]
        if response.get("content_type"):
            data = bytes(result["Ok"])
            return response["correlation_id"], pa.ipc.open_stream(data).read_all().to_pylist()
        said = result["Err"] if "Err" in result else bytes(result["Ok"]).decode()
        return response["correlation_id"], said

    def close(self) -> None:
        self.reader.cancel()


@pytest.fixture
def stream(service: Service) -> Iterator[Exchange]:
    opened = Exchange(service, "write")
    yield opened
    opened.close()


def ipc(batch: pa.RecordBatch) -> list[int]:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return list(sink.getvalue().to_pybytes())


def test_queries_uploads_and_subscriptions_share_a_stream(
    service: Service, stream: Exchange
) -> None:
    stream.ask("s1", Subscribe={"entity_type": "Order", "filter": "status != 'none'"})
    assert stream.answer() == ("s1", "Subscribed to Order")
    row = pa.RecordBatch.from_pydict({"id": pa.array([3]), "name": ["three"]})
    stream.ask("u1", Upload={"table": TABLE, "batch": ipc(row)})
    assert stream.answer() == ("u1", "Inserted 1 rows")
    stream.ask("q1", Query={"query": "{ items(orderBy: {id: ASC}) { id name } }"})
    assert stream.answer() == (
        "q1",
        [{"id": 1, "name": "one"}, {"id": 2, "name": "two"}, {"id": 3, "name": "three"}],
    )
    assert stream.answer() == ("q1", "complete")
    stream.ask("q2", Query={"query": "items"})
    assert [stream.answer()[0], stream.answer()] == ["q2", ("q2", "complete")]
    [batch] = events(20, seed=31)
    stream.ask("u2", batch.drop_columns(["tenant_id"]), Upload={"table": "events"})
    orders = [one for one in batch.to_pylist() if one["entity_type"] == "Order"]
    found = dict([stream.answer(), stream.answer()])
    assert found["u2"] == "Inserted 20 rows"
    assert [one["event_id"] for one in found["s1"]] == [one["event_id"] for one in orders]
    assert {one["tenant_id"] for one in found["s1"]} == {"acme"}


def test_a_subscription_has_only_rows_of_the_tenant(service: Service, stream: Exchange) -> None:
    stream.ask("s1", Subscribe={})
    assert stream.answer() == ("s1", "Subscribed to every entity type")
    for batch in events(50, seed=32):
        store(service.settings, observer_messages(batch, service.settings.subject_prefix))
    assert {one["tenant_id"] for one in stream.answer()[1]} == {"acme"}


@pytest.mark.parametrize(
    ("scopes", "asked", "said"),
    [
        ((), {"table": TABLE}, "needs a token with the scope 'write'"),
        (("write",), {"table": "tb_other"}, "FRAISEQL_WRITABLE does not list it"),
        (("write",), {"table": TABLE, "batch": [1, 2]}, "The Upload's batch cannot be read"),
        (("write",), {"table": TABLE}, "has no batch"),
    ],
)
def test_a_refused_upload_is_answered_with_the_reason(
    service: Service, scopes: tuple[str, ...], asked: dict[str, Any], said: str
) -> None:
    stream = Exchange(service, *scopes)
    stream.ask("u1", Upload=asked)
    correlation_id, error = stream.answer()
    stream.close()
    assert correlation_id == "u1"
    assert said in error


def test_rows_of_another_tenant_are_refused(stream: Exchange) -> None:
    row = pa.RecordBatch.from_pydict({"id": pa.array([9]), "tenant_id": ["globex"]})
    stream.ask("u1", Upload={"table": TABLE, "batch": ipc(row)})
    assert "Row 0 is of another tenant" in stream.answer()[1]


def test_an_invalid_query_is_answered_with_the_reason(stream: Exchange) -> None:
    stream.ask("q1", Query={"query": "{ items { colour } }"})
    assert "Cannot query field 'colour'" in stream.answer()[1]
