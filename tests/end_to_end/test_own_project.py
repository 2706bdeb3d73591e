"""A project that `init` has written is a Dagster code location whose own asset reads a plane."""

import asyncio
import subprocess
import sys
import sysconfig
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq
import pytest
from stacks import wait_for_midnight

from fraiseql_assets.analytics.plane import AnalyticsPlane
from fraiseql_assets.pipeline.ingest import ingest_range
from fraiseql_assets.pipeline.job import Job
from fraiseql_assets.planes import Batching
from fraiseql_assets.project.write import Project, write_project
from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.log import Log
from fraiseql_assets.stream.publish import publish_generated
from fraiseql_assets.stream.setup import setup_streams


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_project(Project(folder=tmp_path, name="shop", schema=None, database_url=None))
    return tmp_path


def test_the_definitions_of_a_new_project_are_valid(project: Path) -> None:
    done = subprocess.run(
        [
            f"{sysconfig.get_path('scripts')}/dagster",
            *("definitions", "validate", "--workspace", "workspace.yaml"),
        ],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "Validation successful for code location shop.definitions" in done.stdout


def test_the_asset_of_a_new_project_is_materialised_from_events(
    project: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_for_midnight(timedelta(minutes=1))
    fill(settings)
    monkeypatch.chdir(project)
    monkeypatch.syspath_prepend(str(project))
    monkeypatch.setattr("fraiseql_assets.settings.get_settings", lambda: settings)
    from shop.assets import changes_by_type  # pyright: ignore[reportMissingImports]

    today = f"{datetime.now(UTC).date()}"
    done = dg.materialize([changes_by_type], partition_key=today)
    assert done.success
    written = pq.read_table(project / "reports" / "changes_by_type" / f"{today}.parquet")
    assert written.column_names == ["entity_type", "event_type", "changes"]
    assert sum(written["changes"].to_pylist()) == 500
    for name in [name for name in sys.modules if name.partition(".")[0] == "shop"]:
        del sys.modules[name]


def fill(settings: Settings) -> None:
    """Publishes 500 events and adds them to the analytics plane."""
    asyncio.run(setup_streams(settings))
    asyncio.run(publish_generated(settings, count=500, shape="observer", seed=1))
    plane = AnalyticsPlane(settings)
    plane.setup()
    with Log(settings, name="tests") as log:
        first = log.position_from(1)
        assert first is not None
        batching = Batching(100, 2**20, 100_000, 2**26)
        ingest_range(plane, log, SequenceRange(1, 500), first.day, Job("run", 1, batching, ahead=2))
    plane.close()
