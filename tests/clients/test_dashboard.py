"""Every panel of the Grafana dashboard, asked of a Prometheus that scrapes the service."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from pyarrow import flight

from local_stack.ports import distinct_free_ports
from tests.clients.harness import CLIENTS, SECONDS, SECRET, Served
from tests.stacks import wait_until
from tests.tokens import signed

ROOT = CLIENTS.parent
DASHBOARD = json.loads((ROOT / "docker/grafana/fraiseql-assets.json").read_text())
PANELS = {
    f"{panel['title']}, {number}": [target["expr"] for target in panel["targets"]]
    for number, panel in enumerate(DASHBOARD["panels"])
    if panel["type"] != "row"
}


class Prometheus:
    """A running Prometheus."""

    def __init__(self, url: str) -> None:
        self._url = url

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """The series of an expression with a value, Grafana's variables filled in."""
        filled = expression.replace("$__rate_interval", "1m").replace("$instance", ".*")
        answer = requests.get(
            f"{self._url}/api/v1/query", params={"query": filled}, timeout=SECONDS
        ).json()
        assert answer["status"] == "success", answer
        return [one for one in answer["data"]["result"] if one["value"][1] != "NaN"]

    def is_ready(self) -> bool:
        try:
            return requests.get(f"{self._url}/-/ready", timeout=SECONDS).ok
        except requests.ConnectionError:
            return False


def configuration(served: Served, folder: Path) -> Path:
    """The configuration of the repository, with this service's address and token. It scrapes
    every second."""
    text = (ROOT / "docker/prometheus/prometheus.yml").read_text()
    given = yaml.safe_load(text)
    [job] = given["scrape_configs"]
    job["static_configs"] = [{"targets": [served.settings.http_url.removeprefix("http://")]}]
    (folder / "token").write_text(signed(SECRET, sub="prometheus", scopes=["metrics"]))
    job["authorization"]["credentials_file"] = str(folder / "token")
    given["global"]["scrape_interval"] = "1s"
    shutil.copy(ROOT / "docker/prometheus/alerts.yml", folder)
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(given))
    return path


def call_everything(served: Served) -> None:
    """One call of each kind that a panel counts."""
    headers = {"authorization": f"Bearer {served.token}"}
    query = {"query": "{ orders(limit: 3) { id } }", "format": "json"}
    for _ in range(2):
        for path, parameters in (("/graphql", query), ("/assets", {})):
            url = f"{served.settings.http_url}{path}"
            requests.get(
                url, params=parameters, headers=headers, timeout=SECONDS
            ).raise_for_status()
    options = flight.FlightCallOptions(
        headers=[(b"authorization", f"Bearer {served.token}".encode())]
    )
    with flight.connect(served.settings.flight_url) as client:
        client.do_get(flight.Ticket(b"analytics/org_daily"), options).read_all()


@pytest.fixture(scope="module")
def prometheus(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    program = shutil.which("prometheus")
    assert program, "Prometheus is missing: .ci/clients installs it."
    folder = tmp_path_factory.mktemp("prometheus")
    [port] = distinct_free_ports(1)
    command = [
        program,
        f"--config.file={configuration(served, folder)}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    running = Prometheus(f"http://127.0.0.1:{port}")
    try:
        wait_until(lambda: running.is_ready() or process.poll() is not None, folder / "log")
        wait_until(lambda: running.ask("up == 1"), folder / "log")
        yield running
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_of_the_dashboard_has_data(
    panel: str, prometheus: Prometheus, served: Served
) -> None:
    def has_data() -> bool:
        # A rate needs the counter before and after a call.
        call_everything(served)
        return all(prometheus.ask(expression) for expression in PANELS[panel])

    wait_until(has_data)
