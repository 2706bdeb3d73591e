"""What Dagster shows of the assets: freshness, tables, columns, tags, and where the code is."""

import importlib
import tomllib
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

from fraiseql_assets.analytics.schemas import COLUMN_DESCRIPTIONS, SCHEMAS
from fraiseql_assets.catalogue import (
    AGGREGATES,
    ANALYTICS_EVENTS,
    ASSETS,
    OPERATIONAL_EVENTS,
    STREAM_EVENTS,
    STREAM_REQUESTS,
    Asset,
)
from fraiseql_assets.datasets import DATASETS
from fraiseql_assets.defs.metadata import column_schema
from fraiseql_assets.defs.source_links import with_source_links
from fraiseql_assets.resources import RESOURCES, ClickHouse, Nats, RunHistory, settings_of
from fraiseql_assets.runs import WORKER_TAG, EventsConfig
from fraiseql_assets.settings import get_settings

with warnings.catch_warnings():
    # Dagster warns of features that are in preview, such as partitioned checks.
    warnings.simplefilter("ignore")
    from fraiseql_assets.defs import operational_assets
    from fraiseql_assets.defs.definitions import defs

ROOT = Path(__file__).parents[2]
RANGE_START = "dagster/asset_partition_range_start"
PLANES = (ANALYTICS_EVENTS, *AGGREGATES, OPERATIONAL_EVENTS)


def spec(key: str) -> dg.AssetSpec:
    return defs.resolve_asset_graph().get(dg.AssetKey(key.split("/"))).to_asset_spec()


@pytest.mark.parametrize("asset", PLANES, ids=lambda asset: asset.key)
def test_freshness_warns_after_half_an_hour_and_fails_after_two(
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


def test_each_run_of_a_backfill_has_assets_of_one_plane() -> None:
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


def sources(source_url: str | None) -> list[str]:
    """Where the UI says that the code of the operational plane's events is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        [linked] = with_source_links([operational_assets.operational_events], source_url)
    metadata = linked.metadata_by_key[dg.AssetKey(OPERATIONAL_EVENTS.path)]
    found = metadata["dagster/code_references"].code_references
    return [getattr(each, "url", None) or f"{each.file_path}:{each.line_number}" for each in found]


def test_an_asset_links_to_its_code() -> None:
    [place] = sources(None)
    path, _, line = place.rpartition(":")
    assert Path(path) == ROOT / "fraiseql_assets/defs/operational_assets.py"
    assert int(line) > 1


@pytest.mark.parametrize(
    ("source_url", "start"),
    [
        ("https://github.com/acme/data/tree/main", "https://github.com/acme/data/tree/main/"),
        ("https://gitlab.com/acme/data/-/tree/v1", "https://gitlab.com/acme/data/-/tree/v1/"),
    ],
)
def test_a_git_url_replaces_the_local_code_link(source_url: str, start: str) -> None:
    [link] = sources(source_url)
    assert link.startswith(f"{start}fraiseql_assets/defs/operational_assets.py#L")


def test_table_names_of_assets_are_unique() -> None:
    names = [spec(asset.key).metadata["dagster/table_name"] for asset in ASSETS]
    assert len(set(names)) == len(ASSETS)


def test_every_column_has_a_description() -> None:
    for schema in SCHEMAS.values():
        for column in column_schema(schema, COLUMN_DESCRIPTIONS).columns:
            assert column.description, column.name


def test_internal_tags_are_hidden() -> None:
    # Dagster's UI hides tags that begin with a dot.
    assert WORKER_TAG.startswith(".")


def test_every_configuration_field_has_a_description() -> None:
    assert all(field.description for field in EventsConfig.model_fields.values())


def test_the_command_line_of_dagster_finds_the_definitions() -> None:
    configured = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["dg"]
    assert configured["directory_type"] == "project"
    module = importlib.import_module(configured["project"]["code_location_target_module"])
    assert module.defs is defs


@pytest.mark.parametrize("asset", PLANES, ids=lambda asset: asset.key)
def test_an_asset_requires_the_resources_of_its_servers(asset: Asset) -> None:
    definition = defs.resolve_asset_graph().get(dg.AssetKey(asset.path)).assets_def
    assert definition.required_resource_keys >= {"nats", "clickhouse", "elasticsearch"}
    assert {*RESOURCES} <= {*(defs.resources or {})}


SERVERS = {"nats", "clickhouse", "elasticsearch"}
USED_BY_SENSORS = {
    "analytics_events_from_the_log": SERVERS,
    "operational_events_from_the_log": SERVERS,
    "operational_requests_from_the_log": SERVERS,
    "stream_events_observed": {"nats"},
    "stream_requests_observed": {"nats"},
    "failed_runs": {"failure_webhook"},
}


@pytest.mark.parametrize("sensor", USED_BY_SENSORS)
def test_a_sensor_requires_the_resources_that_it_uses(sensor: str) -> None:
    found = defs.resolve_sensor_def(sensor).required_resource_keys
    assert found == USED_BY_SENSORS[sensor]


@pytest.mark.parametrize("pool", ["analytics", "operational", "operational_requests"])
def test_the_retention_schedule_of_a_plane_requires_its_servers(pool: str) -> None:
    job = defs.resolve_job_def(f"{pool}_retention_job")
    [op] = job.graph.node_defs
    assert isinstance(op, dg.OpDefinition)
    assert op.required_resource_keys == {"clickhouse", "elasticsearch"}


def test_only_the_retention_jobs_delete_days() -> None:
    root = Path(__file__).parents[2]
    modules = [*root.glob("fraiseql_assets/**/*.py"), *root.glob("sensors/*.py")]
    using = [
        str(module.relative_to(root))
        for module in modules
        if ".enforce_retention(" in module.read_text()
    ]
    assert using == ["fraiseql_assets/defs/retention.py"]


def test_the_retention_schedule_of_runs_shows_its_days() -> None:
    [op] = defs.resolve_job_def("run_history").graph.node_defs
    assert isinstance(op, dg.OpDefinition)
    assert op.required_resource_keys == {"run_history"}
    assert RunHistory(days=3).kept_days() == 3
    assert RunHistory().kept_days() == get_settings().run_history_days


@pytest.mark.parametrize("asset", [STREAM_EVENTS, STREAM_REQUESTS], ids=lambda asset: asset.key)
def test_a_log_asset_has_its_column_schema(asset: Asset) -> None:
    columns = spec(asset.key).metadata["dagster/column_schema"].columns
    schema = DATASETS[asset.dataset].schema
    assert [(each.name, each.type, each.constraints.nullable) for each in columns] == [
        (field.name, str(field.type), field.nullable) for field in schema
    ]
    assert all(column.description for column in columns)


def test_a_resource_defaults_to_the_address_of_the_setting() -> None:
    assert settings_of(Nats(), ClickHouse()) == get_settings()
    configured = settings_of(Nats(), ClickHouse(url="http://other:8123/events"))
    assert configured.clickhouse_url.get_secret_value() == "http://other:8123/events"
    assert configured.nats_url == get_settings().nats_url
