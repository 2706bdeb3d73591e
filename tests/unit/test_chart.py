"""The Helm chart: it passes Helm's own checks, what it renders fits Kubernetes's schemas and asks
for nothing that it should not have."""

import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from dagster._core.instance.ref import InstanceRef
from examples import blocks
from pod_security import violations

from fraiseql_assets.project.write import Project, write_project
from fraiseql_assets.settings import Settings, variable

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "fraiseql-assets"
SNAPSHOTS = ROOT / "tests" / "data" / "chart"
KUBERNETES = ("1.30", kubernetes_validate.latest_version())
EVERYTHING = """\
schema: {configMap: fraiseql-schema}
settings: {FRAISEQL_STREAM_REPLICAS: "3", FRAISEQL_LOG_FORMAT: json}
imagePullSecrets: [{name: registry}]
podLabels: {team: data}
podAnnotations: {example.com/owner: data}
nodeSelector: {disk: ssd}
tolerations: [{key: data, operator: Exists}]
flight: {secretName: flight-only, autoscaling: {enabled: true}, service: {annotations: {a: b}}}
bridge: {enabled: true, replicas: 2}
networkPolicy: {flightFrom: [{namespaceSelector: {matchLabels: {team: data}}}]}
"""
DAGSTER_VALUES = yaml.safe_load((ROOT / "charts" / "dagster-values.yaml").read_text())
CASES = {"defaults": "", "everything": EVERYTHING}

HELM = shutil.which("helm", path=f"{sysconfig.get_path('scripts')}:/usr/local/bin:/usr/bin")
pytestmark = pytest.mark.skipif(HELM is None, reason="helm is missing: `make helm` builds it")


def helm(*arguments: str, values: str = "") -> str:
    done = subprocess.run(
        [str(HELM), *arguments, "--values", "-"],
        input=values,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rendered(values: str) -> str:
    return helm("template", "planes", str(CHART), "--kube-version", "1.30.0", values=values)


@pytest.fixture(params=CASES, scope="module")
def case(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def objects(case: str) -> list[dict[str, Any]]:
    return [found for found in yaml.safe_load_all(rendered(CASES[case])) if found]


def pods(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [found["spec"]["template"] for found in objects if "template" in found.get("spec", {})]


def containers(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [found for pod in pods(objects) for found in pod["spec"]["containers"]]


def test_helm_lint_passes(case: str) -> None:
    assert "1 chart(s) linted, 0 chart(s) failed" in helm(
        "lint", "--strict", str(CHART), values=CASES[case]
    )


@pytest.mark.parametrize("version", KUBERNETES)
def test_every_object_is_valid_by_the_schema_of_kubernetes(
    objects: list[dict[str, Any]], version: str
) -> None:
    for found in objects:
        kubernetes_validate.validate(found, version, strict=True)


def test_the_rendered_chart_equals_the_snapshot(case: str) -> None:
    path = SNAPSHOTS / f"{case}.yaml"
    assert path.read_text() == rendered(CASES[case]), (
        f"{path} differs. If that is meant: helm template planes {CHART} --kube-version 1.30.0, "
        "with the values of this test."
    )


def test_a_container_has_no_privileges_and_a_read_only_file_system(
    objects: list[dict[str, Any]],
) -> None:
    for container in containers(objects):
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert "memory" in container["resources"]["limits"]
    for pod in pods(objects):
        assert violations(pod["spec"]) == []
        assert pod["spec"]["automountServiceAccountToken"] is False


def test_secrets_are_references_only(objects: list[dict[str, Any]]) -> None:
    assert [found for found in objects if found["kind"] == "Secret"] == []
    secret = {
        variable(n) for n, f in Settings.model_fields.items() if "Secret" in f"{f.annotation}"
    }
    given = {e["name"] for c in containers(objects) for e in c["env"] if "value" in e}
    assert given & secret == set()
    for pod in pods(objects):
        assert any("secret" in volume for volume in pod["spec"]["volumes"])


def test_every_variable_is_a_setting(objects: list[dict[str, Any]]) -> None:
    known = {variable(name) for name in Settings.model_fields} | {"FRAISEQL_SECRETS_DIR"}
    given = {e["name"] for c in containers(objects) for e in c["env"]}
    assert {name for name in given if name.startswith("FRAISEQL_")} <= known


def test_a_service_finds_its_pods_and_each_pod_has_a_policy(objects: list[dict[str, Any]]) -> None:
    labels = [pod["metadata"]["labels"] for pod in pods(objects)]

    def selects(selector: dict[str, str]) -> list[dict[str, str]]:
        return [found for found in labels if selector.items() <= found.items()]

    for found in objects:
        if found["kind"] == "Service":
            assert len(selects(found["spec"]["selector"])) == 1
    held = [
        label
        for found in objects
        if found["kind"] == "NetworkPolicy"
        for label in selects(found["spec"]["podSelector"]["matchLabels"])
    ]
    assert sorted(label["app.kubernetes.io/component"] for label in held) == sorted(
        label["app.kubernetes.io/component"] for label in labels
    )


def test_nothing_stays_when_the_chart_is_uninstalled(objects: list[dict[str, Any]]) -> None:
    """Helm does not uninstall hooks: they are deleted as soon as they have succeeded."""
    hooks = [
        found["metadata"]["annotations"] for found in objects if "annotations" in found["metadata"]
    ]
    policies = [
        found.get("helm.sh/hook-delete-policy") for found in hooks if "helm.sh/hook" in found
    ]
    assert policies == ["before-hook-creation,hook-succeeded"] * 2


def test_the_probes_use_the_ports_of_the_service(objects: list[dict[str, Any]]) -> None:
    [flight] = [found for found in containers(objects) if found["name"] == "flight"]
    assert flight["livenessProbe"]["httpGet"] == {"path": "/health", "port": "http"}
    assert flight["readinessProbe"]["httpGet"] == {"path": "/ready", "port": "http"}


def test_the_values_of_a_new_project_are_valid_for_the_chart(tmp_path: Path) -> None:
    write_project(
        Project(folder=tmp_path, name="shop", schema=None, database_url=None, kubernetes=True)
    )
    values = (tmp_path / "values.yaml").read_text()
    names = {
        f"{found['metadata']['name']}:4000"
        for found in yaml.safe_load_all(rendered(values))
        if found and found["kind"] == "Service"
    }
    workspace = yaml.safe_load((tmp_path / "dagster-values.yaml").read_text())
    [server] = workspace["dagsterWebserver"]["workspace"]["servers"]
    assert f"{server['host']}:{server['port']}" in names
    module = yaml.safe_load(values)["code"]["module"]
    assert server["name"] == module


def test_the_values_of_the_page_are_settings_of_every_pod() -> None:
    [values] = blocks(ROOT / "docs" / "kubernetes.md", "yaml")
    wanted = yaml.safe_load(values)["settings"]
    helm("lint", "--strict", str(CHART), values=values)
    found = [part for part in yaml.safe_load_all(rendered(values)) if part]
    assert containers(found)
    for container in containers(found):
        given = {entry["name"]: entry.get("value") for entry in container["env"]}
        assert wanted.items() <= given.items()
    assert wanted.keys() <= {variable(name) for name in Settings.model_fields}


def test_dagster_values_differ_from_those_of_a_project_only_in_the_module() -> None:
    template = ROOT / "fraiseql_assets/project/templates/kubernetes/dagster-values.yaml"
    text = template.read_text().replace(
        "<<module>>.definitions", "fraiseql_assets.defs.definitions"
    )
    assert (ROOT / "charts" / "dagster-values.yaml").read_text() == text


def test_the_chart_of_dagster_writes_the_workspace_and_no_deployments() -> None:
    deployments = DAGSTER_VALUES["dagster-user-deployments"]
    assert deployments == {"enabled": True, "enableSubchart": False}
    assert DAGSTER_VALUES["dagsterWebserver"]["workspace"]["enabled"] is True


def test_the_values_for_dagster_configure_it_as_on_one_host(tmp_path: Path) -> None:
    """Storage, run launcher and logs differ; the chart has its own defaults for the rest."""
    single = yaml.safe_load((ROOT / "docker" / "dagster.yaml").read_text())
    daemon, more = DAGSTER_VALUES["dagsterDaemon"], DAGSTER_VALUES["additionalInstanceConfig"]
    coordinator = daemon["runCoordinator"]["config"]["customRunCoordinator"]
    for section in ("concurrency", "run_retries", "freshness"):
        assert more[section] == single[section]
    assert coordinator == single["run_coordinator"]
    for part in ("sensors", "schedules"):
        given = {
            "use_threads": daemon[part]["useThreads"],
            "num_workers": daemon[part]["numWorkers"],
        }
        assert given == single[part]
    for part in ("sensor", "schedule"):
        kept = DAGSTER_VALUES["retention"][part]["purgeAfterDays"]
        assert kept == single["retention"][part]["purge_after_days"]
    assert DAGSTER_VALUES["telemetry"] == single["telemetry"]
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump({**more, "run_coordinator": coordinator}))
    assert InstanceRef.from_dir(str(tmp_path)).run_coordinator is not None
