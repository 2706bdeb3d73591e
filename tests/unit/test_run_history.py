"""Dagster's run history is deleted after its time; the last materialisations stay."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from fraiseql_assets.catalogue import ANALYTICS_EVENTS
from fraiseql_assets.defs.retention import delete_runs

KEY = dg.AssetKey(ANALYTICS_EVENTS.path)
LATER = datetime.now(UTC) + timedelta(days=1)


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


def materialise(instance: dg.DagsterInstance, day: str) -> str:
    """A run that materialises a partition."""

    @dg.op
    def write(context: dg.OpExecutionContext) -> None:
        context.log_event(dg.AssetMaterialization(KEY, partition=day))

    @dg.job
    def materialising() -> None:
        write()

    return materialising.execute_in_process(instance=instance).run_id


def test_the_latest_materialisation_of_each_partition_is_kept(instance: dg.DagsterInstance) -> None:
    runs = [materialise(instance, day) for day in ("2026-03-02", "2026-03-02", "2026-03-03")]
    assert delete_runs(instance, LATER) == 1
    assert {run.run_id for run in instance.get_runs()} == set(runs[1:])
    assert instance.get_materialized_partitions(KEY) == {"2026-03-02", "2026-03-03"}
    assert delete_runs(instance, LATER) == 0


def test_a_deleted_run_leaves_no_file(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    first, _ = (materialise(instance, "2026-03-02") for _ in range(2))
    assert list(tmp_path.rglob(f"{first}*"))
    delete_runs(instance, LATER)
    assert not [path for path in tmp_path.rglob(f"{first}*") if path.is_file()]


def test_newer_runs_are_kept(instance: dg.DagsterInstance) -> None:
    for _ in range(2):
        materialise(instance, "2026-03-02")
    assert delete_runs(instance, datetime.now(UTC) - timedelta(days=7)) == 0
    assert len(instance.get_runs()) == 2
