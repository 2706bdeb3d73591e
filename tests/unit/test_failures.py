"""A failed run is reported once, as JSON to the webhook and as an error in the sensor's log."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import dagster as dg
import pytest
import requests

from fraiseql_assets import resources
from fraiseql_assets.resources import FailureWebhook
from fraiseql_assets.settings import Settings
from sensors.failures import failure_sensor


@dg.op
def broken() -> None:
    """Fails as an events asset does when its server is gone."""
    try:
        raise ConnectionError("ClickHouse at example:8123 cannot be reached")
    except ConnectionError as error:
        raise dg.Failure(description="the analytics plane failed") from error


@dg.job
def nightly() -> None:
    broken()


class Webhook(HTTPServer):
    """A chat service. It keeps what is posted to it."""

    def __init__(self, status: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status, self.posted = status, list[dict[str, Any]]()


class Handler(BaseHTTPRequestHandler):
    server: Webhook  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posted.append(json.loads(body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Prints nothing."""


@contextmanager
def serving(status: int = 200) -> Iterator[Webhook]:
    with Webhook(status) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def report(monkeypatch: pytest.MonkeyPatch, webhook: Webhook | None) -> str:
    """Lets the sensor report a failed run. Returns the run's id."""
    url = webhook and f"http://127.0.0.1:{webhook.server_port}/hook"
    settings = Settings(dagster_url="http://dagster:3000")
    monkeypatch.setattr(resources, "get_settings", lambda: settings)
    with dg.DagsterInstance.ephemeral() as instance:
        run = nightly.execute_in_process(
            instance=instance, raise_on_error=False, tags={"dagster/partition": "2026-03-02"}
        )
        context = dg.build_run_status_sensor_context(
            "failed_runs", run.get_run_failure_event(), instance, run.dagster_run
        ).for_run_failure()
        sensor = failure_sensor(dg.DefaultSensorStatus.STOPPED)
        sensor(context, failure_webhook=FailureWebhook(url=url))
    return run.run_id


def test_a_failed_run_is_posted_with_its_cause_and_its_url(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serving() as webhook:
        run = report(monkeypatch, webhook)
    [posted] = webhook.posted
    assert posted["text"].startswith(f"Run {run[:8]} of nightly of 2026-03-02 failed: ")
    assert "ClickHouse at example:8123 cannot be reached" in posted["error"]
    assert posted["url"] == f"http://dagster:3000/runs/{run}"
    assert (posted["run"], posted["job"], posted["partition"]) == (run, "nightly", "2026-03-02")


def test_an_error_of_the_webhook_fails_the_tick(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serving(status=500) as webhook, pytest.raises(requests.HTTPError, match="500"):
        report(monkeypatch, webhook)


def test_without_a_webhook_a_failed_run_is_only_logged(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run = report(monkeypatch, None)
    assert f"Run {run[:8]} of nightly of 2026-03-02 failed" in capfd.readouterr().err
