"""What runs on the embedded servers: set-up, Dagster's processes, the Flight service, the demo."""

import sys
import sysconfig
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

from fraiseql_assets.settings import DAGSTER_USER, get_settings
from local_stack.demo import COMPILED_SCHEMA
from local_stack.probes import HOST, accepts, agrees, answers
from local_stack.programs import Program
from local_stack.request_guard import login

DEFINITIONS = "fraiseql_assets.defs.definitions"

WORKSPACE = """\
load_from:
  - grpc_server:
      host: {host}
      port: {port}
      location_name: {name}
"""

DAEMON_HEALTH = "{instance {daemonHealth {allDaemonStatuses {required healthy}}}}"


def setup(servers: Sequence[str], *, off: Sequence[str]) -> Program:
    """`fraiseql-assets setup` on the servers, without the planes in `off`."""
    return Program(
        name="setup",
        title="Streams, tables and templates",
        command=(_script("fraiseql-assets"), "setup"),
        is_ready=lambda: False,
        settings={f"{plane}_plane": "false" for plane in off},
        needs=tuple(servers),
        once=True,
    )


def dagster(home: Path, port: int, code_port: int, servers: Sequence[str]) -> list[Program]:
    """Dagster: the code server, which also executes runs, the web server, and the daemon.

    The code server starts first, because two programs that open a new instance at the same time
    would both create it. It waits for the servers, because the first partition depends on the log
    and the planes.
    """
    workspace = home / "workspace.yaml"

    def prepare() -> None:
        home.mkdir(parents=True, exist_ok=True)
        (home / "dagster.yaml").write_bytes(
            files("local_stack").joinpath("dagster.yaml").read_bytes()
        )
        workspace.write_text(WORKSPACE.format(host=HOST, port=code_port, name=DEFINITIONS))

    password = get_settings().dagster_password
    headers = login(DAGSTER_USER, password.get_secret_value()) if password else {}
    environment = {
        "DAGSTER_HOME": str(home),
        "FRAISEQL_START_SENSORS": "true",
        # Otherwise the allocator keeps an arena of freed memory for each of many threads.
        "MALLOC_ARENA_MAX": "2",
    }
    code = Program(
        name="dagster-code",
        title="Dagster's code server",
        command=(
            *(sys.executable, "-m", "fraiseql_assets.defs.code_server"),
            *("--module-name", DEFINITIONS),
            *("--host", HOST, "--port", str(code_port), "--location-name", DEFINITIONS),
        ),
        is_ready=partial(accepts, code_port),
        environment=environment,
        prepare=prepare,
        needs=tuple(servers),
    )
    web = Program(
        name="dagster",
        title="Dagster",
        command=(
            *(sys.executable, "-m", "fraiseql_assets.defs.web_server"),
            *("--workspace", str(workspace), "--host", HOST, "--port", str(port)),
        ),
        is_ready=partial(answers, port, "/server_info", headers),
        addresses={"dagster_url": f"http://{HOST}:{port}"},
        environment=environment,
        needs=(code.name,),
    )
    daemon = Program(
        name="dagster-daemon",
        title="Dagster's daemon",
        command=(_script("dagster-daemon"), "run", "--workspace", str(workspace)),
        is_ready=partial(agrees, port, DAEMON_HEALTH, _all_healthy, headers),
        environment=environment,
        needs=(code.name, "setup"),
    )
    return [code, web, daemon]


def flight(port: int, http_port: int) -> Program:
    """The Flight service, with its HTTP side."""
    return Program(
        name="flight",
        title="Flight service",
        command=(sys.executable, "-m", "flight_service"),
        is_ready=lambda: accepts(port) and answers(http_port, "/health"),
        addresses={
            "flight_url": f"grpc://{HOST}:{port}",
            "http_url": f"http://{HOST}:{http_port}",
        },
        needs=("setup",),
    )


def demo(loaded: Path) -> Program:
    """The demo: loads a shop's data, then publishes its events until it is stopped.

    It is ready when the database is loaded. It then creates the file `loaded`.
    """
    return Program(
        name="demo",
        title="Demo data",
        command=(sys.executable, "-m", "local_stack.demo", "--loaded", str(loaded)),
        is_ready=loaded.exists,
        settings={"schema_path": str(COMPILED_SCHEMA)},
        prepare=partial(loaded.unlink, missing_ok=True),
        needs=("setup",),
        # It needs processor time: on a busy machine it takes many times the usual 15 seconds.
        start_seconds=600.0,
    )


def _all_healthy(answer: Mapping[str, Any]) -> bool:
    daemons = answer["data"]["instance"]["daemonHealth"]["allDaemonStatuses"]
    required = [daemon for daemon in daemons if daemon["required"]]
    return bool(required) and all(daemon["healthy"] for daemon in required)


def _script(name: str) -> str:
    return str(Path(sysconfig.get_path("scripts")) / name)
