"""Metrics and the call log of a real service, over filled planes and a real log."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import jwt
import pytest
import requests
from flights import ServiceProcess, events_of, fill, serving_alone, set_up
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client.parser import text_string_to_metric_families
from pyarrow import flight
from pydantic import SecretStr

from fraiseql_assets.analytics.plane import AnalyticsPlane
from fraiseql_assets.operational.plane import OperationalPlane
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.publish import publish_generated
from local_stack.demo import COMPILED_SCHEMA
from tests.stacks import wait_until

DAY = datetime.now(UTC).date() - timedelta(days=2)
ROWS = 100
"""Rows of each plane, whose sequences are the first of the log."""
PUBLISHED = 150
SECRET = "a secret of at least thirty-two characters"
TOKEN = "a token of Prometheus"


@pytest.fixture(scope="module")
def settings(module_settings: Settings) -> Settings:
    planes = AnalyticsPlane(module_settings), OperationalPlane(module_settings)
    set_up(module_settings, *planes)
    for plane in planes:
        fill(plane, module_settings, DAY, events_of(DAY, ROWS, first=1))
        plane.close()
    asyncio.run(publish_generated(module_settings, count=PUBLISHED, shape="observer", seed=1))
    return module_settings


@pytest.fixture(scope="module")
def service(settings: Settings) -> Iterator[ServiceProcess]:
    with serving_alone(settings, log_format="json") as service:
        yield service


@pytest.fixture(scope="module")
def guarded(settings: Settings) -> Iterator[ServiceProcess]:
    secrets = {"jwt_secret": SecretStr(SECRET), "metrics_token": SecretStr(TOKEN)}
    with serving_alone(settings, **secrets) as service:
        yield service


def scraped(service: ServiceProcess) -> dict[tuple[str, tuple[str, ...]], float]:
    """Every sample by its name and the values of its labels."""
    answer = requests.get(f"{service.http_url}/metrics", timeout=30)
    answer.raise_for_status()
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def calls(service: ServiceProcess) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in list(service.log)]
    return [line for line in lines if line["logger"] == "flight_service.calls"]


def test_the_state_of_the_log_and_the_planes_is_scraped(service: ServiceProcess) -> None:
    found = scraped(service)
    assert found["fraiseql_log_last_sequence", ()] == PUBLISHED
    assert found["fraiseql_log_messages", ()] == PUBLISHED
    assert found["fraiseql_dead_letter_messages", ()] == 0
    for plane in ("analytics", "operational"):
        assert found["fraiseql_dependency_up", (plane,)] == 1
        assert found["fraiseql_plane_position", (plane,)] == ROWS
        assert found["fraiseql_plane_lag_messages", (plane,)] == PUBLISHED - ROWS
        assert found["fraiseql_plane_rows", (plane,)] == ROWS
        assert 0 < found["fraiseql_plane_freshness_seconds", (plane,)] < 600
    assert found["fraiseql_request_log_dropped_total", ()] == 0
    assert found["fraiseql_db_pool_connections_limit", ("queries",)] == 16


def test_calls_are_counted_and_logged(service: ServiceProcess) -> None:
    ticket = b'{"type": "Asset", "asset": "analytics/events"}'
    header = [(b"x-request-id", b"the-audit-1")]
    options = flight.FlightCallOptions(headers=header)
    assert service.client.do_get(flight.Ticket(ticket), options).read_all().num_rows == ROWS
    counted = ("fraiseql_arrow_requests_total", ("Asset", "do_get", "ok"))
    wait_until(lambda: counted in scraped(service))
    found = scraped(service)
    assert found["fraiseql_arrow_rows_sent_total", ("Asset",)] == ROWS
    assert found["fraiseql_arrow_streams", ()] == 0
    wait_until(lambda: any(line["request_id"] == "the-audit-1" for line in calls(service)))
    [line] = [line for line in calls(service) if line["request_id"] == "the-audit-1"]
    assert (line["what"], line["rows"], line["status"]) == ("analytics/events", ROWS, "ok")


def test_http_requests_are_counted_and_logged(service: ServiceProcess) -> None:
    headers = {"x-request-id": "found", "accept-encoding": "identity"}
    answer = requests.get(f"{service.http_url}/search?q=order", headers=headers, timeout=30)
    assert answer.headers["x-request-id"] == "found"
    counted = ("fraiseql_http_requests_total", ("GET", "/search", "200"))
    wait_until(lambda: counted in scraped(service))
    assert scraped(service)[counted] == 1
    wait_until(lambda: any(line["request_id"] == "found" for line in calls(service)))
    [line] = [line for line in calls(service) if line["request_id"] == "found"]
    assert (line["kind"], line["bytes"]) == ("/search", len(answer.content))
    assert "/metrics" not in {line["kind"] for line in calls(service)}


def test_a_plane_that_is_down_is_scraped_as_down(settings: Settings) -> None:
    down = {"clickhouse_url": SecretStr("http://default:@127.0.0.1:9/default")}
    with serving_alone(settings, **down) as service:
        down_now = ("fraiseql_dependency_up", ("analytics",))
        wait_until(lambda: scraped(service).get(down_now) == 0)
        found = scraped(service)
    assert found["fraiseql_dependency_up", ("operational",)] == 1
    assert ("fraiseql_plane_position", ("analytics",)) not in found


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (None, 401),
        ("Bearer something else", 401),
        (f"Bearer {TOKEN}", 200),
        (f"Bearer {jwt.encode({'sub': 'ada', 'exp': 4_000_000_000}, SECRET)}", 401),
        (
            f"Bearer {jwt.encode({'scope': 'metrics', 'exp': 4_000_000_000}, SECRET)}",
            200,
        ),
    ],
)
def test_metrics_need_permission(
    guarded: ServiceProcess, authorization: str | None, status: int
) -> None:
    headers = {"authorization": authorization} if authorization else {}
    answer = requests.get(f"{guarded.http_url}/metrics", headers=headers, timeout=30)
    assert answer.status_code == status


def test_a_forwarded_request_is_not_local(service: ServiceProcess) -> None:
    headers = {"x-forwarded-for": "203.0.113.9"}
    answer = requests.get(f"{service.http_url}/metrics", headers=headers, timeout=30)
    assert answer.status_code == 401


def test_every_server_has_a_state(service: ServiceProcess) -> None:
    answer = requests.get(f"{service.http_url}/ready", timeout=30)
    states = {name: found["state"] for name, found in answer.json()["dependencies"].items()}
    assert (answer.status_code, answer.json()["status"]) == (200, "ready")
    assert states == {"log": "up", "analytics": "up", "operational": "up", "database": "off"}


def test_a_required_plane_that_is_down_makes_the_service_not_ready(
    settings: Settings, database_url: str
) -> None:
    down = {
        "clickhouse_url": SecretStr("http://default:@127.0.0.1:9/default"),
        "database_url": SecretStr(database_url),
        "schema_path": COMPILED_SCHEMA,
        "ready_requires": ["analytics"],
        "health_url": "grpc://127.0.0.1:0",
    }
    with serving_alone(settings, **down) as service:
        answer = requests.get(f"{service.http_url}/ready", timeout=30)
        found = answer.json()["dependencies"]
        assert (answer.status_code, answer.json()["status"]) == (503, "unready")
        assert found.pop("analytics")["error"].startswith("ClickHouse at ")
        assert {name: one["state"] for name, one in found.items()} == {
            "log": "up",
            "operational": "up",
            "database": "up",
        }
        assert service.settings.health_url
        address = service.settings.health_url.removeprefix("grpc://")
        with grpc.insecure_channel(address) as channel:
            check = health_pb2_grpc.HealthStub(channel).Check

            def serves(name: str) -> bool:
                request = health_pb2.HealthCheckRequest(service=name)
                return check(request).status == health_pb2.HealthCheckResponse.SERVING

            wait_until(lambda: serves("log"))
            assert (serves("database"), serves("analytics"), serves("")) == (True, False, False)


def test_reasons_need_permission_to_read_metrics(guarded: ServiceProcess) -> None:
    answer = requests.get(f"{guarded.http_url}/ready", timeout=30)
    assert answer.status_code == 200
    assert {tuple(found) for found in answer.json()["dependencies"].values()} == {("state",)}
