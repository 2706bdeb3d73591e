"""What runs on the embedded servers: set-up, Dagster's processes, the Flight service, the demo."""

import sys
import sysconfig
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

from local_stack.demo import COMPILED_SCHEMA
from local_stack.probes import HOST, accepts, agrees, answers
from local_stack.programs import Program

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
    """`fraiseql-assets setup` on the servers, with planes switched off."""
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
    """Dagster: the code server, where runs execute too, the web server, and the daemon.

    The code server starts first and alone, since two programs that open a new instance race to
    create it. It waits for the servers, because its partitions begin where log and planes do.
    """
    workspace = home / "workspace.yaml"

    def prepare() -> None:
        home.mkdir(parents=True, exist_ok=True)
        (home / "dagster.yaml").write_bytes(
            files("local_stack").joinpath("dagster.yaml").read_bytes()
        )
        workspace.write_text(WORKSPACE.format(host=HOST, port=code_port, name=DEFINITIONS))

    environment = {"DAGSTER_HOME": str(home), "FRAISEQL_START_SENSORS": "true"}
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
            *(_script("dagster-webserver"), "--workspace", str(workspace)),
            *("--host", HOST, "--port", str(port)),
        ),
        is_ready=partial(answers, port, "/server_info"),
        addresses={"dagster_url": f"http://{HOST}:{port}"},
        environment=environment,
        needs=(code.name,),
    )
    daemon = Program(
        name="dagster-daemon",
        title="Dagster's daemon",
        command=(_script("dagster-daemon"), "run", "--workspace", str(workspace)),
        is_ready=partial(agrees, port, DAEMON_HEALTH, _all_healthy),
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
    """What loads a shop's data and publishes what happens there, on and on.

    It is ready when the database is; then it makes the file `loaded`.
    """
    return Program(
        name="demo",
        title="Demo data",
        command=(sys.executable, "-m", "local_stack.demo", "--loaded", str(loaded)),
        is_ready=loaded.exists,
        settings={"schema_path": str(COMPILED_SCHEMA)},
        prepare=partial(loaded.unlink, missing_ok=True),
        needs=("setup",),
        # It is mostly computing: a busy machine takes many times its usual fifteen.
        start_seconds=600.0,
    )


def _all_healthy(answer: Mapping[str, Any]) -> bool:
    daemons = answer["data"]["instance"]["daemonHealth"]["allDaemonStatuses"]
    required = [daemon for daemon in daemons if daemon["required"]]
    return bool(required) and all(daemon["healthy"] for daemon in required)


def _script(name: str) -> str:
    return str(Path(sysconfig.get_path("scripts")) / name)
