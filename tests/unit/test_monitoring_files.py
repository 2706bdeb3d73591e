"""Alert rules and the dashboards, held against their schemas and the definitions of the metrics."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import promql_parser
import pytest
import yaml

from flight_service.monitoring.metrics import DEFINITIONS, Metrics

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
RULES = yaml.safe_load((ROOT / "docker/prometheus/alerts.yml").read_text())
DASHBOARD = json.loads((ROOT / "docker/grafana/fraiseql-assets.json").read_text())
EVENTS = json.loads((ROOT / "docker/grafana/flight-sql.json").read_text())
RULE_TESTS = yaml.safe_load((ROOT / "docker/prometheus/alerts_test.yml").read_text())
SCRAPE = yaml.safe_load((ROOT / "docker/prometheus/prometheus.yml").read_text())

ADDED_BY_PROMETHEUS = {"instance", "job"}
"""Labels of every series."""

Selector = promql_parser.VectorSelector


def alerts() -> list[dict[str, Any]]:
    return [rule for group in RULES["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def expressions() -> list[str]:
    """Every PromQL expression, Grafana's variables filled in."""
    shown = [target["expr"] for panel in panels() for target in panel["targets"]]
    filled = [text.replace("$__rate_interval", "1m").replace("$instance", ".*") for text in shown]
    return [rule["expr"] for rule in alerts()] + filled


def selectors(expression: Any) -> Iterator[Selector]:
    """Every selector of series in an expression."""
    match expression:
        case promql_parser.VectorSelector():
            yield expression
        case promql_parser.MatrixSelector():
            yield expression.vector_selector
        case promql_parser.BinaryExpr():
            yield from selectors(expression.lhs)
            yield from selectors(expression.rhs)
        case promql_parser.Call():
            for argument in expression.args:
                yield from selectors(argument)
        case promql_parser.AggregateExpr() | promql_parser.ParenExpr():
            yield from selectors(expression.expr)


def series() -> dict[str, set[str]]:
    """The name of every series that is scraped, with its labels."""
    found: dict[str, set[str]] = {"up": set()}
    for metric in DEFINITIONS:
        labels = set(metric.labels)
        found[metric.name] = labels
        if metric.kind == "histogram":
            found[f"{metric.name}_bucket"] = labels | {"le"}
            found |= {f"{metric.name}_count": labels, f"{metric.name}_sum": labels}
    for family in Metrics().registry.collect():
        if not family.name.startswith("fraiseql_"):
            found |= {sample.name: set(sample.labels) for sample in family.samples}
    return found


@pytest.mark.parametrize(
    ("schema", "content"),
    [
        ("prometheus-rules", RULES),
        ("grafana-dashboard", DASHBOARD),
        ("grafana-dashboard", EVENTS),
    ],
    ids=["alerts", "dashboard", "events"],
)
def test_the_file_is_valid_by_its_schema(schema: str, content: Any) -> None:
    rules = json.loads((DATA / f"{schema}.schema.json").read_text())
    errors = jsonschema.Draft7Validator(rules).iter_errors(content)
    assert [f"{error.json_path}: {error.message}" for error in errors] == []


@pytest.mark.parametrize("expression", expressions())
def test_expressions_use_only_existing_metrics_and_labels(expression: str) -> None:
    known = series()
    found = list(selectors(promql_parser.parse(expression)))
    assert found
    for selector in found:
        assert selector.name in known, f"{selector.name} is not scraped"
        allowed = known[selector.name] | ADDED_BY_PROMETHEUS
        assert {matcher.name for matcher in selector.matchers.matchers} <= allowed


def test_every_metric_of_the_pipeline_is_in_a_panel_or_an_alert() -> None:
    used = {
        selector.name
        for expression in expressions()
        for selector in selectors(promql_parser.parse(expression))
    }
    about = [one.name for one in DEFINITIONS if one.name.startswith("fraiseql_plane_")]
    unused = {name for name in about if name not in used}
    assert unused == {"fraiseql_plane_rows", "fraiseql_plane_last_commit_timestamp_seconds"}


def test_alerts_have_unique_names_and_a_remedy() -> None:
    names = [rule["alert"] for rule in alerts()]
    assert len(names) == len(set(names))
    for rule in alerts():
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"].keys() == {"summary", "description"}


def test_every_alert_fires_in_the_tests_of_the_rules() -> None:
    """`promtool test rules` runs them. Their series are those that the service has."""
    assert RULE_TESTS["rule_files"] == ["alerts.yml"]
    quiet, broken = RULE_TESTS["tests"]
    assert quiet["promql_expr_test"][0]["exp_samples"] == []
    fired = [one["labels"] for one in broken["promql_expr_test"][0]["exp_samples"]]
    assert fired == [f'{{alertname="{rule["alert"]}"}}' for rule in alerts()]
    known = series()
    for test in (quiet, broken):
        for one in test["input_series"]:
            [found] = selectors(promql_parser.parse(one["series"]))
            assert found.name in known
            labels = {matcher.name for matcher in found.matchers.matchers}
            assert labels <= known[found.name] | ADDED_BY_PROMETHEUS


@pytest.mark.parametrize("dashboard", [DASHBOARD, EVENTS], ids=["dashboard", "events"])
def test_panels_have_unique_ids_and_do_not_overlap(dashboard: dict[str, Any]) -> None:
    shown = dashboard["panels"]
    assert len({panel["id"] for panel in shown}) == len(shown)
    taken: set[tuple[int, int]] = set()
    for panel in shown:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not taken & cells, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_prometheus_scrapes_the_service_and_reads_the_rules() -> None:
    assert SCRAPE["rule_files"] == ["alerts.yml"]
    [job] = SCRAPE["scrape_configs"]
    # The metrics' path is Prometheus's default.
    assert (job["job_name"], job.get("metrics_path", "/metrics")) == ("fraiseql", "/metrics")


def test_the_page_lists_every_alert() -> None:
    page = (ROOT / "docs/monitoring.md").read_text()
    assert [rule["alert"] for rule in alerts() if f"`{rule['alert']}`" not in page] == []
