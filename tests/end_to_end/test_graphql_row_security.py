"""Row security by session variables, and schemas whose tenants it does not isolate."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import adbc_driver_postgresql.dbapi as postgresql
import pytest
from graphql_shop import AUTO, field, write_schema
from pydantic import SecretStr

from flight_service.authentication import ANYONE, Principal
from flight_service.graphql.errors import SchemaUnavailable
from flight_service.graphql.service import GraphQL, Request
from fraiseql_assets.settings import Settings

SCHEMA, ROLE = "graphql_tenants", "graphql_reader"
SQL = f"""
DROP SCHEMA IF EXISTS {SCHEMA} CASCADE;
DROP ROLE IF EXISTS {ROLE};
CREATE ROLE {ROLE} LOGIN PASSWORD 'reader';
CREATE SCHEMA {SCHEMA};
GRANT USAGE ON SCHEMA {SCHEMA} TO {ROLE};
SET search_path = {SCHEMA};
CREATE TABLE tb_note (id int, tenant_id text, body text);
INSERT INTO tb_note SELECT n, 't' || n % 3, 'note ' || n FROM generate_series(1, 9) AS n;
ALTER TABLE tb_note ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON tb_note USING (tenant_id = current_setting('app.tenant_id', true));
CREATE VIEW v_note WITH (security_invoker = true) AS SELECT id, tenant_id,
    jsonb_build_object('id', id, 'tenant_id', tenant_id, 'body', body) AS data FROM tb_note;
CREATE VIEW v_started AS SELECT 1 AS id, jsonb_build_object('id', 1, 'body',
    coalesce(current_setting('fraiseql.started_at', true), 'not set')) AS data;
CREATE VIEW v_leaking AS SELECT id, data FROM v_note;
CREATE TABLE ta_note AS SELECT id, body FROM tb_note;
CREATE TABLE tb_open AS SELECT id, to_jsonb(n) AS data FROM tb_note AS n;
GRANT SELECT ON ALL TABLES IN SCHEMA {SCHEMA} TO {ROLE};
"""
VARIABLES = {"variables": [{"name": "app.tenant_id", "source": "jwt", "claim": "tenant_id"}]}
Make = Callable[..., GraphQL]


@pytest.fixture(scope="module")
def tables(database_url: str) -> Iterator[str]:
    """The URL for the role with few rights."""
    with postgresql.connect(database_url, autocommit=True) as one, one.cursor() as run:
        for statement in SQL.split(";\n"):
            if statement.strip():
                run.execute(statement)
        url = urlsplit(database_url)
        host = url.netloc.rpartition("@")[2]
        yield urlunsplit(url._replace(netloc=f"{ROLE}:reader@{host}"))
        run.execute(f"DROP SCHEMA {SCHEMA} CASCADE")
        run.execute(f"DROP ROLE {ROLE}")


@pytest.fixture
def make(tables: str, tmp_path: Path) -> Iterator[Make]:
    made: list[GraphQL] = []

    def service(
        source: str, url: str = tables, query: Any = None, settings: Any = None, **sections: Any
    ) -> GraphQL:
        notes = {
            "name": "notes",
            "return_type": "Note",
            "returns_list": True,
            "sql_source": f"{SCHEMA}.{source}",
            "auto_params": AUTO,
            **(query or {}),
        }
        fields = [field("id", "Int"), field("body", "String")]
        compiled = {"types": [{"name": "Note", "fields": fields}], "queries": [notes], **sections}
        path = write_schema(tmp_path, compiled)
        own = {"database_url": SecretStr(url), "schema_path": path, **(settings or {})}
        made.append(GraphQL(Settings.model_validate(own)))
        return made[-1]

    yield service
    for one in made:
        one.close()


def ids(graphql: GraphQL, principal: Principal) -> list[int]:
    prepared = graphql.prepare(Request("{ notes(orderBy: {id: ASC}) { id } }"), principal)
    return [one for batch in graphql.batches(prepared) for one in batch["id"].to_pylist()]


def tenant(name: str) -> Principal:
    return Principal(claims={"tenant_id": name})


def test_a_session_variable_decides_which_rows_a_principal_sees(make: Make) -> None:
    rls = {"multi_tenant": True, "rls": {"enabled": True}}
    graphql = make("v_note", session_variables=VARIABLES, security=rls)
    assert ids(graphql, tenant("t1")) == [1, 4, 7]
    assert ids(graphql, tenant("t2")) == [2, 5, 8]
    assert ids(graphql, ANYONE) == []
    assert ids(graphql, Principal(claims={"sub": "x"})) == []


def test_a_flat_relation_without_row_security_is_left_out(make: Make) -> None:
    graphql = make("v_note", session_variables=VARIABLES, security={"rls": {"enabled": True}})
    prepared = graphql.prepare(Request("{ notes { id body } }"), tenant("t1"))
    [root] = graphql.explain(prepared)["roots"]
    assert root["source"] == f"{SCHEMA}.v_note"


@pytest.mark.parametrize("security", [{"multi_tenant": True}, {"rls": {"enabled": True}}])
@pytest.mark.parametrize("source", ["v_leaking", "tb_open"])
def test_a_schema_whose_tenants_are_not_isolated_is_refused(
    make: Make, source: str, security: dict[str, Any]
) -> None:
    with pytest.raises(SchemaUnavailable) as error:
        ids(make(source, session_variables=VARIABLES, security=security), tenant("t1"))
    assert f"{SCHEMA}.{source}" in str(error.value)


@pytest.mark.parametrize("size", [0, 2**20])
def test_the_isolation_of_tenants_does_not_depend_on_the_result_cache(
    make: Make, size: int
) -> None:
    settings, query = {"graphql_result_cache_bytes": size}, {"cache_ttl_seconds": 60}
    graphql = make("tb_open", settings=settings, query=query, security={"multi_tenant": True})
    with pytest.raises(SchemaUnavailable, match="row security"):
        ids(graphql, tenant("t1"))


def test_the_time_of_the_start_is_not_set(make: Make) -> None:
    """FraiseQL sets it for mutations, unless its schema says otherwise."""
    graphql = make("v_started", session_variables={"inject_started_at": True})
    prepared = graphql.prepare(Request("{ notes { body } }"), ANYONE)
    [batch] = graphql.batches(prepared)
    assert batch["body"].to_pylist() == ["not set"]


def test_row_security_that_does_not_apply_to_the_services_role_does_not_count(
    make: Make, database_url: str
) -> None:
    with pytest.raises(SchemaUnavailable):
        ids(make("v_note", database_url, security={"multi_tenant": True}), tenant("t1"))


def test_a_claim_isolates_tenants_too(make: Make) -> None:
    narrowed = {"inject_params": {"tenant_id": {"source": "jwt", "claim": "tenant_id"}}}
    security = {"tenancy": {"mode": "row", "tenant_claim": "tenant_id"}}
    assert ids(make("tb_open", query=narrowed, security=security), tenant("t1")) == [1, 4, 7]


def test_a_schema_with_rules_that_only_fraiseql_enforces_is_refused(make: Make) -> None:
    with pytest.raises(SchemaUnavailable) as error:
        ids(make("tb_open", security={"field_auth": [{}]}), ANYONE)
    assert "$.security.field_auth" in str(error.value)
