"""Real servers for the tests. Each starts once per session, for the first test that uses it."""

import asyncio
import contextlib
import os
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import hypothesis
import order_view
import pytest
import requests
from distribution import ByStack, sort_by_rank
from nats.js.errors import NotFoundError
from pydantic import SecretStr
from stacks import Stack, own_folder, running, whole
from xdist.remote import Producer

from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.connection import connect
from local_stack import servers
from local_stack.elasticsearch.engines import Search

# A search engine of the tests lives for seconds to minutes. Java's optimising compiler takes more
# processor time than it saves in them: without it a start takes half.
os.environ.setdefault("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1")

NAMES_IN_A_LINE = 50
"""So that the first line of a request stays below the 4 KiB that a search engine accepts."""

# Every run uses the same examples.
# `pytest --hypothesis-profile=explore` looks for new ones.
for name, derandomize in (("tests", True), ("explore", False)):
    hypothesis.settings.register_profile(
        name,
        deadline=None,
        derandomize=derandomize,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
hypothesis.settings.load_profile("tests")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByStack | None:
    return ByStack(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    sort_by_rank(items)


@pytest.fixture(scope="session")
def nats_url() -> Iterator[str]:
    with running(servers.nats) as url:
        yield url


@pytest.fixture(scope="session")
def clickhouse_url() -> Iterator[str]:
    """The `default` database of a ClickHouse server."""
    with running(servers.clickhouse) as url:
        yield url


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--search",
        choices=[*Search],
        default=Search.elasticsearch,
        help="The engine of the operational plane.",
    )


@pytest.fixture(scope="session")
def elasticsearch_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The engine of the operational plane, Elasticsearch unless another was asked for."""
    with running(getattr(servers, request.config.getoption("--search"))) as url:
        yield url


@pytest.fixture(scope="session")
def database_url() -> Iterator[str]:
    """The `postgres` database of a PostgreSQL server."""
    with running(servers.postgresql) as url:
        yield url


@pytest.fixture
def settings(
    nats_url: str, clickhouse_url: str, elasticsearch_url: str, database_url: str
) -> Iterator[Settings]:
    """Settings for the session's servers, with names that no other test uses.

    Nothing is set up. Everything that the test creates under these names is deleted after it.
    """
    name = f"test_{secrets.token_hex(4)}"
    settings = Settings(
        nats_url=SecretStr(nats_url),
        clickhouse_url=SecretStr(f"{clickhouse_url.removesuffix('/default')}/{name}"),
        elasticsearch_url=SecretStr(elasticsearch_url),
        database_url=SecretStr(database_url),
        stream=f"{name}_events",
        subjects=[f"{name}.mutation.>", f"{name}.change.>", f"{name}._none_.*"],
        subject_prefix=f"{name}.mutation",
        dead_letter_stream=f"{name}_dead_letters",
        request_stream=f"{name}_requests",
        request_subject_prefix=f"{name}.request",
        index_prefix=name.replace("_", "-"),
    )
    yield settings
    asyncio.run(drop_streams(settings))
    requests.post(clickhouse_url, data=f"DROP DATABASE IF EXISTS {name} SYNC", timeout=30)
    drop_indices(elasticsearch_url, settings.index_prefix)


async def drop_streams(settings: Settings) -> None:
    async with connect(settings, name="tests") as client:
        for stream in (settings.stream, settings.request_stream, settings.dead_letter_stream):
            with contextlib.suppress(NotFoundError):
                await client.jetstream().delete_stream(stream)


def drop_indices(url: str, prefix: str) -> None:
    """Deletes every index and template whose name starts with the prefix, many in a request: each
    is a new state of the cluster, which takes longer than the deletions themselves."""
    matching = f"{url}/_resolve/index/{prefix}*?expand_wildcards=all"
    indices = requests.get(matching, timeout=30).json()["indices"]
    names = [found["name"] for found in indices]
    for first in range(0, len(names), NAMES_IN_A_LINE):
        some = ",".join(names[first : first + NAMES_IN_A_LINE])
        requests.delete(f"{url}/{some}?ignore_unavailable=true", timeout=30).raise_for_status()
    templates = f"{url}/_index_template/{prefix}*"
    if requests.get(templates, timeout=30).json().get("index_templates"):
        requests.delete(templates, timeout=30).raise_for_status()


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """Everything that `fraiseql-assets dev` starts, without the demo, on free ports.

    One for the whole session, so its log and planes hold what other tests have published. A file
    that uses it is one of `distribution.ON_THE_STACK`.
    """
    # Partitions before today, which an empty log has none of, for backfills.
    first = datetime.now(UTC).date() - timedelta(days=7)
    with (
        pytest.MonkeyPatch.context() as patched,
        own_folder() as folder,
    ):
        patched.setenv("FRAISEQL_FIRST_DAY", f"{first}")
        patched.setenv("FRAISEQL_WRITABLE", '["events"]')
        patched.setenv("FRAISEQL_SCHEMA", str(order_view.write_schema(folder)))
        with whole(folder / "data") as stack:
            patched.undo()
            order_view.create(stack.settings.database_url.get_secret_value())
            yield stack
