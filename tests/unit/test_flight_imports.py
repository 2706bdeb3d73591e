"""What the Flight service loads: every module costs its start."""

import subprocess
import sys


def test_the_service_never_loads_dagster() -> None:
    script = (
        "import flight_service.__main__, flight_service.registry, flight_service.server\n"
        "import flight_service.http, sys\nprint(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = set(done.stdout.split())
    assert "flight_service.server" in loaded
    assert (
        loaded & {"dagster", "sensors", "polars", "chdb", "fraiseql_assets.defs.definitions"}
        == set()
    )
