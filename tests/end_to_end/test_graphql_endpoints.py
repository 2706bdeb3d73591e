"""Large lists as several endpoints over one snapshot, on a real database and a real service.

All tests share one database and service, so the file is longer than others.
"""

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import adbc_driver_postgresql.dbapi as postgresql
import graphql_shop as shop
import pyarrow as pa
import pytest
from pyarrow import flight
from pydantic import SecretStr
from test_graphql_service import SECRET, Service, bearing, running

from fraiseql_assets.settings import Settings

ACCOUNTS = 20_000
SQL = f"""
DROP SCHEMA IF EXISTS graphql_ledger CASCADE;
CREATE SCHEMA graphql_ledger;
SET search_path = graphql_ledger;
CREATE TABLE tb_branch (pk_branch int PRIMARY KEY, name text NOT NULL);
INSERT INTO tb_branch SELECT n, 'Branch ' || n FROM generate_series(0, 9) AS n;
CREATE TABLE tb_account (
    pk_account int PRIMARY KEY, fk_branch int REFERENCES tb_branch, tenant_id text NOT NULL,
    balance int NOT NULL, note text NOT NULL
);
INSERT INTO tb_account
SELECT n, n % 10, 'tenant' || n % 2, 100, repeat('x', 60) FROM generate_series(1, {ACCOUNTS}) AS n;
CREATE VIEW v_account AS
SELECT a.pk_account AS id, a.tenant_id, jsonb_build_object(
    'id', a.pk_account, 'balance', a.balance, 'note', a.note,
    'branch', jsonb_build_object('name', b.name)
) AS data FROM tb_account AS a LEFT JOIN tb_branch AS b ON b.pk_branch = a.fk_branch;
CREATE VIEW va_account AS
SELECT pk_account AS id, tenant_id, balance, note FROM tb_account;
CREATE TABLE tv_account AS SELECT id, tenant_id, data FROM v_account;
CREATE VIEW v_passed AS SELECT a.id, a.data FROM v_account AS a;
CREATE VIEW v_grouped AS
SELECT a.balance AS id, jsonb_build_object('id', a.balance, 'balance', count(*)) AS data
FROM tb_account AS a GROUP BY a.balance;
ANALYZE;
"""
TENANT = {"tenant_id": {"source": "jwt", "claim": "tenant_id"}}


def query(name: str, source: str, **more: Any) -> dict[str, Any]:
    return {**shop.rows(name, "Account", source), "sql_source": f"graphql_ledger.{source}", **more}


COMPILED: dict[str, Any] = {
    "types": [
        {
            "name": "Account",
            "fields": [
                shop.field("id", "Int", nullable=False),
                shop.field("balance", "Int", nullable=False),
                shop.field("note", "String"),
                shop.field("branch", {"Object": "Branch"}),
            ],
        },
        {"name": "Branch", "fields": [shop.field("name", "String")]},
    ],
    "queries": [
        query("accounts", "v_account"),
        query("stored", "tv_account"),
        query("mine", "v_account", inject_params=TENANT),
        query("passed", "v_passed"),
        query("grouped", "v_grouped"),
    ],
}
KINDS = {
    "a flat view": "{ accounts { id balance } }",
    "a view's expressions": "{ accounts { id balance branch { name } } }",
    "a view upon a view": "{ passed { id balance branch { name } } }",
    "a table's documents": "{ stored { id balance branch { name } } }",
}


@pytest.fixture(scope="module")
def ledger(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    with postgresql.connect(database_url, autocommit=True) as one, one.cursor() as run:
        for statement in SQL.split(";\n"):
            if statement.strip():
                run.execute(statement)
    return Settings(
        database_url=SecretStr(database_url),
        schema_path=shop.write_schema(tmp_path_factory.mktemp("schema"), COMPILED),
        batch_rows=1000,
        graphql_parallel_rows=5000,
        jwt_secret=SecretStr(SECRET),
    )


@pytest.fixture(scope="module")
def service(ledger: Settings) -> Iterator[Service]:
    yield from running(ledger)


ANN = {"sub": "ann", "tenant_id": "tenant1"}


def info(service: Service, text: str, **claims: Any) -> flight.FlightInfo:
    ticket = json.dumps({"type": "GraphQLQuery", "query": text}).encode()
    descriptor = flight.FlightDescriptor.for_command(ticket)
    return service.client.get_flight_info(descriptor, bearing(**(claims or ANN)))


def read(service: Service, endpoint: flight.FlightEndpoint, **claims: Any) -> pa.Table:
    return service.client.do_get(endpoint.ticket, bearing(**(claims or ANN))).read_all()


def held(database_url: str) -> int:
    """The number of open transactions."""
    with postgresql.connect(database_url) as one, one.cursor() as run:
        run.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' "
            "AND query LIKE '%pg_export_snapshot%'"
        )
        [count] = run.fetchone() or (-1,)
        return count


@pytest.mark.parametrize("kind", KINDS)
def test_the_endpoints_together_have_all_rows(service: Service, kind: str) -> None:
    found = info(service, KINDS[kind])
    parts = [read(service, endpoint) for endpoint in found.endpoints]
    whole = service.table({"query": KINDS[kind]}, **ANN)
    assert pa.concat_tables(parts).sort_by("id") == whole.sort_by("id")
    assert [part.num_rows > 0 for part in parts] == [True] * 4


def test_each_endpoint_has_the_schema_of_the_flight(service: Service) -> None:
    found = info(service, KINDS["a view's expressions"])
    assert len(found.endpoints) == 4
    assert {read(service, one).schema == found.schema for one in found.endpoints} == {True}


def test_endpoints_have_an_expiration_time(service: Service) -> None:
    found = info(service, KINDS["a flat view"])
    assert [json.loads(one.app_metadata) for one in found.endpoints] == [
        {"part": n, "parts": 4} for n in range(4)
    ]
    assert all(one.expiration_time is not None for one in found.endpoints)
    assert json.loads(found.app_metadata)["estimated_rows"] == pytest.approx(ACCOUNTS, rel=0.1)
    for one in found.endpoints:
        read(service, one)


def test_all_endpoints_read_one_snapshot_while_rows_are_written(
    service: Service, database_url: str
) -> None:
    """Moves money and replaces accounts; the totals are the same in every snapshot."""
    stopped = threading.Event()

    def write() -> None:
        with postgresql.connect(database_url) as one, one.cursor() as run:
            number = 0
            while not stopped.is_set():
                number += 1
                run.execute(
                    "WITH gone AS (DELETE FROM graphql_ledger.tb_account WHERE pk_account = "
                    "(SELECT min(pk_account) FROM graphql_ledger.tb_account) RETURNING *) "
                    "INSERT INTO graphql_ledger.tb_account SELECT "
                    f"{ACCOUNTS + number}, fk_branch, tenant_id, balance, note FROM gone"
                )
                run.execute(
                    "UPDATE graphql_ledger.tb_account SET balance = balance + "
                    f"CASE pk_account % 2 WHEN 0 THEN 7 ELSE -7 END "
                    f"WHERE pk_account IN ({number + 5000}, {number + 5001})"
                )
                one.commit()

    for kind in ("a flat view", "a view's expressions"):
        stopped.clear()
        writer = threading.Thread(target=write)
        writer.start()
        try:
            for _ in range(3):
                found = info(service, KINDS[kind])
                with ThreadPoolExecutor(4) as pool:
                    parts = list(pool.map(lambda one: read(service, one), found.endpoints))
                rows = pa.concat_tables(parts)
                assert len(parts) == 4
                assert len(rows["id"].unique()) == rows.num_rows == ACCOUNTS
                assert sum(rows["balance"].to_pylist()) == 100 * ACCOUNTS
        finally:
            stopped.set()
            writer.join()
        restore(database_url)


def restore(database_url: str) -> None:
    """Restores the accounts' initial numbers."""
    with postgresql.connect(database_url, autocommit=True) as one, one.cursor() as run:
        run.execute(
            "UPDATE graphql_ledger.tb_account SET balance = 100, "
            f"pk_account = pk_account - {ACCOUNTS} * ((pk_account - 1) / {ACCOUNTS})"
        )


def test_a_claim_filters_every_endpoint(service: Service) -> None:
    found = info(service, "{ mine { id } }", sub="bob", tenant_id="tenant0")
    rows = [read(service, one, sub="bob", tenant_id="tenant0") for one in found.endpoints]
    assert len(rows) == 4
    numbers = pa.concat_tables(rows)["id"].to_pylist()
    assert sorted(numbers) == list(range(2, ACCOUNTS + 1, 2))


def test_an_endpoint_of_another_principal_is_refused(service: Service) -> None:
    found = info(service, "{ mine { id } }", sub="bob", tenant_id="tenant0")
    with pytest.raises(flight.FlightUnauthorizedError, match="another principal"):
        read(service, found.endpoints[0], sub="bob", tenant_id="tenant1")
    # A renewed token belongs to the same principal.
    later = {"sub": "bob", "tenant_id": "tenant0", "exp": time.time() + 1000}
    for one in found.endpoints:
        read(service, one, **later)


def test_filters_apply_to_every_endpoint(service: Service) -> None:
    found = info(service, "{ accounts(where: {id: {gt: 2}, balance: {eq: 100}}) { id } }")
    rows = pa.concat_tables([read(service, one) for one in found.endpoints])
    assert sorted(rows["id"].to_pylist()) == list(range(3, ACCOUNTS + 1))


@pytest.mark.parametrize(
    "text",
    [
        "{ accounts(where: {id: {eq: 7}}) { id } }",
        "{ accounts(limit: 20000) { id } }",
        "{ accounts(orderBy: {id: ASC}) { id } }",
        "{ accounts(offset: 1) { id } }",
        "{ grouped { id } }",
        "{ a: accounts { id } b: accounts { id } }",
    ],
)
def test_a_small_or_ordered_result_has_one_endpoint(service: Service, text: str) -> None:
    [endpoint] = info(service, text).endpoints
    assert b'"type":"GraphQLQuery"' in endpoint.ticket.ticket


def test_one_field_of_several_can_have_endpoints(service: Service) -> None:
    ticket = {"type": "GraphQLQuery", "query": "{ a: accounts { id } b: grouped { id } }"}
    asked = json.dumps({**ticket, "field": "a"}).encode()
    descriptor = flight.FlightDescriptor.for_command(asked)
    endpoints = service.client.get_flight_info(descriptor, bearing(**ANN)).endpoints
    assert sum(read(service, one).num_rows for one in endpoints) == ACCOUNTS


def test_the_snapshot_is_released_when_all_endpoints_have_been_read(
    service: Service, database_url: str
) -> None:
    before = held(database_url)
    found = info(service, KINDS["a flat view"])
    assert held(database_url) == before
    for endpoint in found.endpoints[:-1]:
        read(service, endpoint)
        assert held(database_url) == before + 1
    read(service, found.endpoints[-1])
    assert held(database_url) == before
    with pytest.raises(pa.ArrowInvalid, match="Call GetFlightInfo again"):
        read(service, found.endpoints[0])


def test_an_endpoint_can_be_read_again_after_an_interruption(service: Service) -> None:
    found = info(service, KINDS["a table's documents"])
    reader = service.client.do_get(found.endpoints[0].ticket, bearing(**ANN))
    assert reader.read_chunk().data.num_rows
    reader.cancel()
    parts = [read(service, endpoint) for endpoint in found.endpoints]
    assert sum(part.num_rows for part in parts) == ACCOUNTS


def test_a_snapshot_is_released_after_its_timeout(ledger: Settings, database_url: str) -> None:
    before = held(database_url)
    for service in running(ledger.model_copy(update={"graphql_snapshot_seconds": 1.5})):
        found = info(service, KINDS["a flat view"])
        assert len(found.endpoints) == 4
        read(service, found.endpoints[0])
        deadline = time.monotonic() + 20
        while held(database_url) > before:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        with pytest.raises(pa.ArrowInvalid, match="FRAISEQL_GRAPHQL_SNAPSHOT_SECONDS"):
            read(service, found.endpoints[1])


def test_the_number_of_endpoints_does_not_depend_on_who_asked_before(
    ledger: Settings, database_url: str
) -> None:
    before = held(database_url)
    for service in running(ledger.model_copy(update={"graphql_snapshots": 1})):
        found = [info(service, KINDS["a flat view"]) for _ in range(6)]
        assert [len(one.endpoints) for one in found] == [4] * 6
        assert held(database_url) == before
        first, second, *_ = found
        read(service, first.endpoints[0])
        # The one snapshot is held, so a part has all rows, and the others have none.
        parts = [read(service, second.endpoints[n]) for n in (2, 0, 1, 3)]
        assert [part.num_rows for part in parts] == [ACCOUNTS, 0, 0, 0]
        assert {part.schema == second.schema for part in parts} == {True}
        for endpoint in first.endpoints[1:]:
            assert read(service, endpoint).num_rows > 0
        third = [read(service, endpoint).num_rows for endpoint in found[2].endpoints]
        assert sum(third) == ACCOUNTS
        assert 0 not in third


def test_one_principal_holds_half_of_the_snapshots(ledger: Settings) -> None:
    for service in running(ledger.model_copy(update={"graphql_snapshots": 2})):
        found = [info(service, KINDS["a flat view"]) for _ in range(2)]
        for one in found:
            read(service, one.endpoints[0])
        assert read(service, found[0].endpoints[1]).num_rows > 0
        assert read(service, found[1].endpoints[1]).num_rows == 0
        other = info(service, KINDS["a flat view"], sub="bob")
        assert all(read(service, one, sub="bob").num_rows for one in other.endpoints)


def test_a_principal_can_read_all_its_endpoints_at_once(ledger: Settings) -> None:
    for service in running(ledger.model_copy(update={"graphql_connections": 8})):
        found = info(service, KINDS["a flat view"])
        assert len(found.endpoints) == 2
        assert sum(read(service, one).num_rows for one in found.endpoints) == ACCOUNTS


def test_the_row_limit_applies_to_all_endpoints_together(ledger: Settings) -> None:
    for service in running(ledger.model_copy(update={"graphql_max_rows": ACCOUNTS - 1})):
        found = info(service, KINDS["a flat view"])
        for endpoint in found.endpoints[:-1]:
            read(service, endpoint)
        with pytest.raises(pa.ArrowInvalid, match="FRAISEQL_GRAPHQL_MAX_ROWS"):
            read(service, found.endpoints[-1])


def test_a_snapshot_that_the_database_ended_is_an_error(
    ledger: Settings, database_url: str
) -> None:
    for service in running(ledger):
        found = info(service, KINDS["a flat view"])
        read(service, found.endpoints[1])
        with postgresql.connect(database_url, autocommit=True) as one, one.cursor() as run:
            run.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE query LIKE '%pg_export_snapshot%' AND pid <> pg_backend_pid()"
            )
            run.fetchall()
        # PostgreSQL answers before the backend has ended.
        deadline = time.monotonic() + 20
        while held(database_url):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        with pytest.raises(pa.ArrowInvalid, match="Call GetFlightInfo again"):
            read(service, found.endpoints[0])
