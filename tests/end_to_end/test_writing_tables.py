"""Uploads to tables of PostgreSQL: one transaction for a stream, with row security."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import adbc_driver_flightsql.dbapi as flightsql
import adbc_driver_manager
import adbc_driver_postgresql.dbapi as postgresql
import pyarrow as pa
import pytest
from graphql_shop import write_schema
from pyarrow import flight
from pydantic import SecretStr
from writing_service import SECRET, Service, token, wait_until, writing_service

from flight_service.errors import sentence_of
from fraiseql_assets.settings import Settings
from tests.tokens import signed

SCHEMA, ROLE = "upload_tests", "upload_writer"
SQL = f"""
DROP SCHEMA IF EXISTS {SCHEMA} CASCADE;
DROP ROLE IF EXISTS {ROLE};
CREATE ROLE {ROLE} LOGIN PASSWORD 'writer';
CREATE SCHEMA {SCHEMA};
GRANT USAGE ON SCHEMA {SCHEMA} TO {ROLE};
SET search_path = {SCHEMA};
CREATE TYPE mood AS ENUM ('calm', 'wild');
CREATE TABLE "tb_Order" (
    pk int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id uuid UNIQUE NOT NULL,
    "the total" numeric(10, 2),
    code varchar(4), small smallint, mood mood, tags text[], data jsonb, paid boolean DEFAULT true,
    made_at timestamptz, tenant_id text, email text UNIQUE
);
CREATE TABLE tb_note (id int PRIMARY KEY, tenant text, body text CHECK (body <> 'bad'));
ALTER TABLE tb_note ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON tb_note USING (tenant = current_setting('app.tenant_id', true));
CREATE TABLE tb_plain (id int PRIMARY KEY);
CREATE TABLE tb_secret (id int PRIMARY KEY);
GRANT SELECT, INSERT ON "tb_Order", tb_note, tb_plain TO {ROLE};
"""
VARIABLES = {"variables": [{"name": "app.tenant_id", "source": "jwt", "claim": "tenant_id"}]}
ORDER, NOTE, PLAIN, HIDDEN = (
    f"{SCHEMA}.{name}" for name in ("tb_Order", "tb_note", "tb_plain", "tb_secret")
)
UPLOADING = f"""SELECT pid FROM pg_stat_activity
WHERE usename = '{ROLE}' AND xact_start IS NOT NULL AND query ILIKE 'COPY%'"""
IDS = [f"00000000-0000-0000-0000-{n:012}" for n in range(100)]


class Database:
    """The tables, seen with all rights."""

    def __init__(self, url: str) -> None:
        self._connection = postgresql.connect(url, autocommit=True)

    def run(self, sql: str) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(sql)

    def rows(self, sql: str) -> list[dict[str, Any]]:
        with self._connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetch_arrow_table().to_pylist()

    def close(self) -> None:
        self._connection.close()


@pytest.fixture(scope="module")
def database(database_url: str) -> Iterator[Database]:
    found = Database(database_url)
    for statement in SQL.split(";\n"):
        if statement.strip():
            found.run(statement)
    yield found
    found.run(f"DROP SCHEMA {SCHEMA} CASCADE")
    found.run(f"DROP ROLE {ROLE}")
    found.close()


@pytest.fixture(scope="module")
def settings(
    database: Database, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Settings:
    """A role with few rights, and a schema with session variables."""
    url = urlsplit(database_url)
    host = url.netloc.rpartition("@")[2]
    schema = write_schema(
        tmp_path_factory.mktemp("schema"),
        {"types": [], "queries": [], "session_variables": VARIABLES},
    )
    return Settings(
        database_url=SecretStr(urlunsplit(url._replace(netloc=f"{ROLE}:writer@{host}"))),
        schema_path=schema,
        writable=[ORDER, NOTE, PLAIN, HIDDEN, f"{SCHEMA}.gone"],
    )


@pytest.fixture(scope="module")
def open_service(settings: Settings) -> Iterator[Service]:
    with writing_service(settings) as running:
        yield running


@pytest.fixture(scope="module")
def guarded(settings: Settings) -> Iterator[Service]:
    with writing_service(settings, jwt_secret=SecretStr(SECRET)) as running:
        yield running


@pytest.fixture(autouse=True)
def empty(database: Database) -> None:
    database.run(f'TRUNCATE {SCHEMA}."tb_Order", {NOTE}, {PLAIN}')


def orders(first: int, count: int, **others: object) -> pa.RecordBatch:
    columns = {"id": IDS[first : first + count], **others}
    return pa.RecordBatch.from_pydict(columns)


def test_values_of_every_type_are_written(open_service: Service, database: Database) -> None:
    moment = datetime(2026, 1, 31, 12, tzinfo=UTC)
    sent = orders(
        0,
        1,
        **{
            "the total": pa.array([12.5]),
            "code": ["a"],
            "small": pa.array([7], pa.int64()),
            "mood": pa.array(["wild"]).dictionary_encode(),
            "tags": [["x", None]],
            "data": ['{"a": 1}'],
            "made_at": pa.array([moment]),
        },
    )
    assert open_service.put(ORDER, [sent]).receipts == [
        {"complete": True, "batches": 1, "rows": 1, "table": ORDER}
    ]
    [row] = database.rows(
        f'SELECT id::text, "the total"::float8 AS total, code, small, mood::text, tags, '
        f"(data->>'a')::int AS a, paid, made_at FROM {SCHEMA}.\"tb_Order\""
    )
    assert row == {
        "id": IDS[0], "total": 12.5, "code": "a", "small": 7, "mood": "wild", "tags": ["x", None],
        "a": 1, "paid": True, "made_at": moment,
    }  # fmt: skip


def test_a_stream_is_one_transaction(open_service: Service, database: Database) -> None:
    assert open_service.put(ORDER, [orders(n * 10, 10) for n in range(5)]).total["rows"] == 50
    again = [orders(50, 10), orders(0, 10)]
    with pytest.raises(pa.ArrowInvalid) as caught:
        open_service.put(ORDER, again)
    said = sentence_of(caught.value)
    assert 'duplicate key value violates unique constraint "tb_Order_id_key"' in said
    assert "Nothing was written" in said
    assert database.rows(f'SELECT count(*) AS n FROM {SCHEMA}."tb_Order"') == [{"n": 50}]


def test_the_error_of_a_constraint_has_no_values(open_service: Service, database: Database) -> None:
    open_service.put(ORDER, [orders(0, 1, email=["ann@example.org"])])
    with pytest.raises(pa.ArrowInvalid) as caught:
        open_service.put(ORDER, [orders(1, 1, email=["ann@example.org"])])
    assert "tb_Order_email_key" in str(caught.value)
    assert "ann@" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"the total": pa.array([1.239])}, "The column the total is double and does not fit"),
        ({"small": pa.array([70_000])}, "does not fit smallint"),
        ({"code": ["too long"]}, "value too long for type character varying(4)"),
        ({"mood": ["angry"]}, "invalid input value for enum"),
        ({"data": pa.array([{"a": 1}])}, "does not fit jsonb"),
        ({"data": ["{"]}, "invalid input syntax for type json"),
        ({"colour": ["red"]}, "has no column 'colour'. It has: pk, id, the total"),
        ({"pk": [1]}, "makes its column pk itself"),
    ],
)
def test_a_stream_with_an_invalid_value_writes_nothing(
    open_service: Service, database: Database, change: dict[str, Any], said: str
) -> None:
    with pytest.raises(pa.ArrowInvalid) as caught:
        open_service.put(ORDER, [orders(0, 1, **change)])
    assert said in sentence_of(caught.value)
    assert database.rows(f'SELECT id FROM {SCHEMA}."tb_Order"') == []


def test_names_are_never_part_of_a_statement(open_service: Service, database: Database) -> None:
    for name in ('id") SELECT 1; --', "id, pk"):
        with pytest.raises(pa.ArrowInvalid, match="has no column"):
            open_service.put(ORDER, [pa.RecordBatch.from_pydict({name: ["x"]})])
    with pytest.raises(flight.FlightUnauthorizedError, match="does not list"):
        open_service.put(f'{SCHEMA}."tb_note"; DROP TABLE x', [orders(0, 1)])
    with pytest.raises(pa.ArrowKeyError, match="has no table"):
        open_service.put(f"{SCHEMA}.gone", [orders(0, 1)])


def test_the_privileges_of_the_role_apply(open_service: Service) -> None:
    with pytest.raises(flight.FlightUnauthorizedError, match="permission denied for table"):
        open_service.put(HIDDEN, [pa.RecordBatch.from_pydict({"id": pa.array([1])})])


def test_row_security_uses_the_claims_of_the_token(guarded: Service, database: Database) -> None:
    def notes(first: int, tenant: str) -> pa.RecordBatch:
        return pa.RecordBatch.from_pydict(
            {"id": [first, first + 1], "tenant": [tenant] * 2, "body": ["x"] * 2}
        )

    acme = token("write", tenant_id="acme")
    guarded.put(NOTE, [notes(1, "acme")], acme)
    with pytest.raises(flight.FlightUnauthorizedError, match="row-level security"):
        guarded.put(NOTE, [notes(3, "acme"), notes(5, "globex")], acme)
    assert database.rows(f"SELECT id FROM {NOTE} ORDER BY id") == [{"id": 1}, {"id": 2}]


def test_a_tenant_writes_only_its_own_rows(guarded: Service, database: Database) -> None:
    acme = token("write", tenant_id="acme")
    guarded.put(ORDER, [orders(0, 2)], acme)
    guarded.put(ORDER, [orders(2, 2, tenant_id=["acme", None])], acme)
    with pytest.raises(flight.FlightUnauthorizedError, match="Row 1 is of another tenant"):
        guarded.put(ORDER, [orders(4, 2, tenant_id=["acme", "globex"])], acme)
    found = database.rows(f'SELECT tenant_id, count(*) AS n FROM {SCHEMA}."tb_Order" GROUP BY 1')
    assert found == [{"tenant_id": "acme", "n": 4}]


def test_a_tenant_cannot_write_to_a_table_without_tenants(guarded: Service) -> None:
    rows = [pa.RecordBatch.from_pydict({"id": pa.array([1])})]
    with pytest.raises(flight.FlightUnauthorizedError, match="not known whose its rows are"):
        guarded.put(PLAIN, rows, token("write", tenant_id="acme"))
    guarded.put(PLAIN, rows, token("write", "all_tenants", tenant_id="acme"))


KILLED = """
import sys, time, pyarrow as pa
from pyarrow import flight
client = flight.connect(sys.argv[1])
batch = pa.RecordBatch.from_pydict({"id": pa.array([1])})
writer, reader = client.do_put(flight.FlightDescriptor.for_path(sys.argv[2]), batch.schema)
writer.write_batch(batch)
print("sent", flush=True)
time.sleep(60)
"""


def test_a_killed_client_writes_nothing(open_service: Service, database: Database) -> None:
    client = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(open_service.server.address), PLAIN],
        stdout=subprocess.PIPE,
    )
    assert client.stdout
    assert client.stdout.readline() == b"sent\n"
    wait_until(lambda: database.rows(UPLOADING))
    client.kill()
    client.wait()
    client.stdout.close()
    wait_until(lambda: not database.rows(UPLOADING))
    assert database.rows(f"SELECT id FROM {PLAIN}") == []


def test_an_idle_client_releases_its_connection(settings: Settings, database: Database) -> None:
    batch = pa.RecordBatch.from_pydict({"id": pa.array([1])})
    descriptor = flight.FlightDescriptor.for_path(PLAIN)
    with writing_service(settings, graphql_stall_seconds=1) as impatient:
        writer, _ = impatient.client.do_put(descriptor, batch.schema)
        writer.write_batch(batch)
        wait_until(lambda: database.rows(UPLOADING))
        wait_until(lambda: not database.rows(UPLOADING))
        writer.write_batch(batch)
        with pytest.raises(flight.FlightTimedOutError, match="FRAISEQL_GRAPHQL_STALL_SECONDS"):
            writer.close()
    assert database.rows(f"SELECT id FROM {PLAIN}") == []


def adbc(service: Service, *scopes: str) -> flightsql.Connection:
    """A connection of ADBC over Flight SQL, with a token of the tenant acme where there are
    scopes."""
    options = {}
    if scopes:
        bearer = signed(SECRET, sub="ann", scopes=list(scopes), tenant_id="acme")
        options["adbc.flight.sql.authorization_header"] = f"Bearer {bearer}"
    return flightsql.connect(str(service.server.address), db_kwargs=options, autocommit=True)


def test_adbc_ingests_rows_in_one_transaction(open_service: Service, database: Database) -> None:
    with adbc(open_service) as connection, connection.cursor() as cursor:
        rows = pa.Table.from_batches([orders(n * 10, 10) for n in range(5)])
        assert cursor.adbc_ingest("tb_Order", rows, mode="append", db_schema_name=SCHEMA) == 50
        reader = rows.slice(30).to_reader()
        with pytest.raises(adbc_driver_manager.Error, match="Nothing was written"):
            cursor.adbc_ingest(
                "tb_Order", reader, "append", catalog_name="fraiseql", db_schema_name=SCHEMA
            )
    assert database.rows(f'SELECT count(*) AS n FROM {SCHEMA}."tb_Order"') == [{"n": 50}]


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("create", "makes no tables"),
        ("replace", "drops no tables"),
    ],
)
def test_an_unsupported_mode_of_adbc_is_refused(
    open_service: Service, database: Database, mode: Any, said: str
) -> None:
    with (
        adbc(open_service) as connection,
        connection.cursor() as cursor,
        pytest.raises(adbc_driver_manager.NotSupportedError, match=said),
    ):
        cursor.adbc_ingest(ORDER, pa.table({"id": IDS[:1]}), mode)
    assert database.rows(f'SELECT id FROM {SCHEMA}."tb_Order"') == []


def test_adbc_ingest_needs_only_the_scope_for_writing(guarded: Service, database: Database) -> None:
    rows = pa.table({"id": IDS[:2]})
    with (
        adbc(guarded, "sql") as connection,
        connection.cursor() as cursor,
        pytest.raises(adbc_driver_manager.Error, match="needs a token with the scope 'write'"),
    ):
        cursor.adbc_ingest(ORDER, rows, "append")
    with adbc(guarded, "write") as connection, connection.cursor() as cursor:
        assert cursor.adbc_ingest(ORDER, rows, "append") == 2
    found = database.rows(f'SELECT DISTINCT tenant_id FROM {SCHEMA}."tb_Order"')
    assert found == [{"tenant_id": "acme"}]
