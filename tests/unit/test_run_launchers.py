"""The examples of run launchers, as Dagster itself loads them.

Each test imports its launcher itself, whose libraries take seconds to load: every worker imports
every file, and one runs these tests.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
import yaml
from dagster._core.instance.ref import InstanceRef
from dagster._core.launcher import RunLauncher
from dagster._core.storage.dagster_run import DagsterRun
from pod_security import violations

if TYPE_CHECKING:
    from dagster_k8s import K8sRunLauncher

ROOT = Path(__file__).parents[2]
LAUNCHERS = ROOT / "docker" / "launchers"
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def launcher_of(name: str, home: Path) -> RunLauncher:
    """The launcher of an instance with the production configuration and an example."""
    parts = (ROOT / "docker" / "dagster.yaml", LAUNCHERS / f"{name}.yaml")
    (home / "dagster.yaml").write_text("\n".join(part.read_text() for part in parts))
    launcher = InstanceRef.from_dir(str(home)).run_launcher
    assert launcher is not None
    return launcher


def test_there_is_an_example_of_each_launcher() -> None:
    assert {path.stem for path in LAUNCHERS.iterdir()} == {"docker", "kubernetes", "celery"}


def test_docker_runs_have_the_image_the_networks_and_the_secrets_of_the_code_server(
    tmp_path: Path,
) -> None:
    from dagster_docker import DockerRunLauncher

    launcher = launcher_of("docker", tmp_path)
    assert isinstance(launcher, DockerRunLauncher)
    code, project = COMPOSE["services"]["code"], COMPOSE["name"]
    assert launcher.image == code["image"]
    assert launcher.networks == [f"{project}_{network}" for network in code["networks"]]
    mounted = {
        volume.split(":")[1]: Path(volume.split(":")[0]).name
        for volume in launcher.container_kwargs["volumes"]
        if "/run/secrets/" in volume
    }
    assert mounted == {
        f"/run/secrets/{secret['target']}": secret["source"] for secret in code["secrets"]
    }


@pytest.fixture
def of_kubernetes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "K8sRunLauncher":
    """The launcher for Kubernetes."""
    from dagster_k8s import K8sRunLauncher

    # Outside of a cluster there is no configuration to load.
    monkeypatch.setattr("kubernetes.config.load_incluster_config", lambda: None)
    launcher = launcher_of("kubernetes", tmp_path)
    assert isinstance(launcher, K8sRunLauncher)
    return launcher


def test_kubernetes_runs_have_the_image_of_the_chart(of_kubernetes: "K8sRunLauncher") -> None:
    chart = yaml.safe_load((ROOT / "charts/fraiseql-assets/Chart.yaml").read_text())
    assert of_kubernetes.job_image == f"fraiseql-assets:{chart['appVersion']}"
    assert of_kubernetes.job_namespace == "fraiseql"


def test_a_namespace_that_enforces_pod_security_accepts_the_pods_of_kubernetes_runs(
    of_kubernetes: "K8sRunLauncher",
) -> None:
    from dagster_k8s.container_context import K8sContainerContext
    from dagster_k8s.job import construct_dagster_k8s_job
    from kubernetes.client import ApiClient

    run = DagsterRun(job_name="events")
    context = K8sContainerContext.create_for_run(run, of_kubernetes, include_run_tags=True)
    job = construct_dagster_k8s_job(
        context.get_k8s_job_config(job_image=None, run_launcher=of_kubernetes),
        args=["dagster", "api", "execute_run"],
        job_name="dagster-run",
        user_defined_k8s_config=context.run_k8s_config,
    )
    written = cast(Any, ApiClient().sanitize_for_serialization(job))
    assert violations(written["spec"]["template"]["spec"]) == []


def test_celery_runs_take_their_broker_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dagster_celery.launcher import CeleryRunLauncher

    for end in ("BROKER", "BACKEND"):
        monkeypatch.setenv(f"DAGSTER_CELERY_{end}_URL", f"memory://{end.lower()}")
    launcher = launcher_of("celery", tmp_path)
    assert isinstance(launcher, CeleryRunLauncher)
    assert (launcher.broker, launcher.backend) == ("memory://broker", "memory://backend")
    assert launcher.default_queue == "dagster"
