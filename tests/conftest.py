"""Real servers for the tests. Each starts once per session, for the first test that uses it."""

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import hypothesis
import order_view
import pytest
from distribution import ByStack, sort_by_rank
from separate_names import separate_names
from shared_servers import borrowed, lending
from stacks import Stack, own_folder, running, whole
from warm_commands import warm_commands
from xdist.remote import Producer
from xdist.workermanage import WorkerController

from fraiseql_assets.settings import Settings
from local_stack import servers
from local_stack.elasticsearch.engines import Search

# A search engine of the tests lives for seconds to minutes. Java's optimising compiler takes more
# processor time than it saves in them: without it a start takes half.
os.environ.setdefault("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1")

# When jsonschema is imported it compiles grammars of IRIs with it, which takes three seconds of a
# processor in every worker. It checks formats only where it is asked to, which no test does.
sys.modules["rfc3987_syntax"] = None  # pyright: ignore[reportArgumentType]

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


LENT = pytest.StashKey[str]()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: WorkerController) -> None:
    """Tells a worker where it borrows servers that all workers share."""
    if LENT not in node.config.stash:
        session = ExitStack()
        node.config.stash[LENT] = session.enter_context(lending())
        node.config.add_cleanup(session.close)
    node.workerinput["servers"] = node.config.stash[LENT]


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
    """The engine of the operational plane, Elasticsearch unless another was asked for.

    The workers of a session share it.
    """
    engine = request.config.getoption("--search")
    worker = getattr(request.config, "workerinput", None)
    if worker is not None:
        yield borrowed(worker["servers"], engine)
        return
    with running(getattr(servers, engine)) as url:
        yield url


@pytest.fixture(scope="session")
def database_url() -> Iterator[str]:
    """The `postgres` database of a PostgreSQL server."""
    with running(servers.postgresql) as url:
        yield url


@pytest.fixture(scope="session")
def commands() -> Iterator[Path]:
    """The folder of a `fraiseql-assets` that starts at once, for shells."""
    with warm_commands() as folder:
        yield folder


@pytest.fixture
def settings(
    nats_url: str, clickhouse_url: str, elasticsearch_url: str, database_url: str
) -> Iterator[Settings]:
    """Settings for the session's servers, with names that no other test uses.

    Nothing is set up. Everything that the test creates under these names is deleted after it.
    """
    urls = (nats_url, clickhouse_url, elasticsearch_url, database_url)
    with separate_names(*urls) as settings:
        yield settings


@pytest.fixture(scope="module")
def module_settings(
    nats_url: str, clickhouse_url: str, elasticsearch_url: str
) -> Iterator[Settings]:
    """The same for all tests of a module, without a database."""
    with separate_names(nats_url, clickhouse_url, elasticsearch_url) as settings:
        yield settings


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


def pytest_collection_finish() -> None:
    """Has the garbage collector pass over what has been imported and collected, which stays."""
    gc.collect()
    gc.freeze()
