"""Modules that the Flight service loads: each makes its start slower."""

import subprocess
import sys


def test_the_service_loads_neither_dagster_nor_data_frames() -> None:
    script = (
        "import flight_service.__main__; flight_service.__main__.skip_pandas()\n"
        "flight_service.__main__.skip_async_clients()\n"
        "import flight_service.registry, flight_service.server\n"
        "import flight_service.http, sys\nprint(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = set(done.stdout.split())
    assert "flight_service.server" in loaded
    unwanted = {"dagster", "sensors", "polars", "pandas", "chdb", "aiohttp", "fraiseql_assets.defs"}
    assert loaded & unwanted == set()
