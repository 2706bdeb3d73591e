"""The result of a check belongs to the partition that its run was requested for."""

import warnings
from collections.abc import Iterator

import dagster as dg
import pytest

from fraiseql_assets.defs.checks import day_of_check
from fraiseql_assets.defs.partitions import DAILY, FIRST_DAY

DAY = f"{FIRST_DAY}"


RANGE = {f"dagster/asset_partition_range_{edge}": DAY for edge in ("start", "end")}


@dg.asset(partitions_def=DAILY)
def rows() -> None: ...


with warnings.catch_warnings():
    # Dagster warns that partitioned checks are in preview.
    warnings.simplefilter("ignore")
    SPEC = dg.AssetCheckSpec("whole", asset="rows", partitions_def=DAILY)


@dg.multi_asset_check(specs=[SPEC])
def whole(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
    yield dg.AssetCheckResult(passed=f"{day_of_check(context)}" == DAY)


@pytest.mark.parametrize("tags", [{"dagster/partition": DAY}, RANGE], ids=["run", "backfill"])
@pytest.mark.filterwarnings("ignore::dagster.PreviewWarning")
def test_a_check_is_recorded_for_its_partition(tags: dict[str, str]) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize([rows, whole], instance=instance, tags=tags)
        [evaluation] = done.get_asset_check_evaluations()
        stored = instance.get_run_by_id(done.run_id)
    assert (evaluation.partition, evaluation.passed) == (DAY, True)
    # A retry copies the stored tags, and Dagster refuses a run with both kinds.
    assert stored is not None
    assert {*stored.tags} & {*RANGE, "dagster/partition"} == {*tags}
