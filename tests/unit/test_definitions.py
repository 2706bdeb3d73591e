"""What Dagster shows of the assets: freshness, tables, columns, tags, and where the code is."""

import warnings
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.definitions.automation_tick_evaluation_context import (
    build_run_requests_with_backfill_policies,
)
from dagster._core.definitions.events import AssetKeyPartitionKey
from dagster._core.definitions.freshness import TimeWindowFreshnessPolicy

from fraiseql_assets.catalogue import AGGREGATES, ANALYTICS_EVENTS, OPERATIONAL_EVENTS

with warnings.catch_warnings():
    # Dagster warns of features that are in preview, such as partitioned checks.
    warnings.simplefilter("ignore")
    from fraiseql_assets.defs.definitions import defs

ROOT = Path(__file__).parents[2]
RANGE_START = "dagster/asset_partition_range_start"
PLANES = (ANALYTICS_EVENTS, *AGGREGATES, OPERATIONAL_EVENTS)


def spec(key: str) -> dg.AssetSpec:
    return defs.resolve_asset_graph().get(dg.AssetKey(key.split("/"))).to_asset_spec()


@pytest.mark.parametrize("asset", PLANES, ids=lambda asset: asset.key)
def test_an_asset_that_gets_nothing_warns_after_half_an_hour_and_fails_after_two(
    asset: object,
) -> None:
    policy = spec(getattr(asset, "key", "")).freshness_policy
    assert isinstance(policy, TimeWindowFreshnessPolicy)
    assert policy.warn_window is not None
    assert policy.warn_window.to_timedelta() == timedelta(minutes=30)
    assert policy.fail_window.to_timedelta() == timedelta(hours=2)


@pytest.mark.parametrize("place", ["local_stack", "docker"])
def test_the_instance_evaluates_freshness(place: str) -> None:
    configured = yaml.safe_load((ROOT / place / "dagster.yaml").read_text())
    assert configured["freshness"] == {"enabled": True}


def test_a_backfill_of_all_assets_has_runs_of_one_plane_each() -> None:
    graph = defs.resolve_asset_graph()
    days = ("2026-11-25", "2026-11-26")
    wanted = {
        AssetKeyPartitionKey(dg.AssetKey(asset.path), day) for asset in PLANES for day in days
    }
    with dg.DagsterInstance.ephemeral() as instance:
        requests = build_run_requests_with_backfill_policies(wanted, graph, instance)
    found = sorted(
        (request.tags.get(RANGE_START) or f"{request.partition_key}", *planes)
        for request in requests
        for planes in [sorted({key.path[0] for key in request.asset_selection or ()})]
    )
    assert found == [(day, plane) for day in days for plane in ("analytics", "operational")]
