"""One service for the clients of all languages: filled planes, the demo's database, and a token."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from pydantic import SecretStr

from fraiseql_assets.stream.publish import publish_generated
from local_stack.demo import COMPILED_SCHEMA, on_database
from local_stack.demo.database import load
from local_stack.ports import distinct_free_ports
from tests.certificates import Authority
from tests.clients.harness import DAYS, DEMO_SCALE, PUBLISHED, ROWS, SECRET, Served
from tests.clients.programs import go, javascript, jdbc, rust, rust_examples
from tests.flights import fill_planes, serving_alone
from tests.separate_names import separate_names
from tests.tokens import signed

__all__ = ["go", "javascript", "jdbc", "rust", "rust_examples"]


@pytest.fixture(scope="session")
def served(
    tmp_path_factory: pytest.TempPathFactory,
    nats_url: str,
    clickhouse_url: str,
    elasticsearch_url: str,
    database_url: str,
) -> Iterator[Served]:
    demo = on_database(database_url, "demo")
    load(demo, DEMO_SCALE)
    urls = (nats_url, clickhouse_url, elasticsearch_url, demo)
    [page_port] = distinct_free_ports(1)
    with ExitStack() as opened:
        settings = opened.enter_context(separate_names(*urls))
        fill_planes(settings, DAYS, ROWS)
        asyncio.run(publish_generated(settings, count=PUBLISHED, shape="arrow", seed=1))
        changes = {
            "schema_path": COMPILED_SCHEMA,
            "graphql_parallel_rows": 10_000,
            "cors_origins": [f"http://127.0.0.1:{page_port}"],
        }
        unguarded = opened.enter_context(serving_alone(settings, **changes))
        changes |= {"jwt_secret": SecretStr(SECRET), "writable": ["events"]}
        guarded = opened.enter_context(serving_alone(settings, **changes))
        authority = Authority(tmp_path_factory.mktemp("certificates"))
        certificate, key = authority.sign("service")
        encrypted = opened.enter_context(
            serving_alone(
                settings,
                **changes,
                flight_url="grpc+tls://127.0.0.1:0",
                http_url="https://127.0.0.1:0",
                tls_certificate=certificate,
                tls_key=key,
            )
        )
        token = signed(SECRET, sub="ada", scopes=["sql", "write"])
        yield Served(guarded, unguarded, encrypted, authority.file, token, page_port)
