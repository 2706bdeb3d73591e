"""docker-compose.yml: valid by the Compose Specification, and at one with the settings."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from fraiseql_assets.settings import Settings, variable

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ONE_SHOT = {"setup", "kibana-user"}
LONG_RUNNING = SERVICES.keys() - ONE_SHOT

REQUIRED = re.compile(r"(?<!\$)\$\{(\w+):\?[^}]+\}")
"""A variable of `.env` without which Compose refuses to start."""

every_service = pytest.mark.parametrize("name", SERVICES)
long_running = pytest.mark.parametrize("name", sorted(LONG_RUNNING))


def environments() -> list[tuple[str, dict[str, str]]]:
    return [(name, service.get("environment", {})) for name, service in SERVICES.items()]


def filled_in(value: str) -> str:
    return REQUIRED.sub(lambda found: found[1].lower(), value)


def test_the_file_is_valid_by_the_specification() -> None:
    schema = json.loads((ROOT / "tests/data/compose-spec.json").read_text())
    errors = jsonschema.Draft7Validator(schema).iter_errors(COMPOSE)
    assert [f"{error.json_path}: {error.message}" for error in errors] == []


@long_running
def test_a_service_that_stays_is_watched_and_restarted(name: str) -> None:
    service = SERVICES[name]
    assert "test" in service.get("healthcheck", {})
    assert service["restart"] == "unless-stopped"
    assert "mem_limit" in service


@pytest.mark.parametrize("name", sorted(ONE_SHOT))
def test_a_service_that_runs_once_is_waited_for(name: str) -> None:
    waiting = [
        other
        for other, service in SERVICES.items()
        if service.get("depends_on", {}).get(name)
        == {"condition": "service_completed_successfully"}
    ]
    assert SERVICES[name]["restart"] == "no"
    assert waiting


@every_service
def test_what_a_service_waits_for_can_be_reached(name: str) -> None:
    for other, how in SERVICES[name].get("depends_on", {}).items():
        expected = "service_completed_successfully" if other in ONE_SHOT else "service_healthy"
        assert how == {"condition": expected}, other


@every_service
def test_an_image_is_pinned_to_a_release(name: str) -> None:
    assert re.fullmatch(r"[a-z-]+:\d+\.\d+(\.\d+)*(-alpine)?", SERVICES[name]["image"])


@every_service
def test_ports_are_open_on_the_loopback_interface_only(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


def test_data_lies_in_named_volumes() -> None:
    used = {
        mount.partition(":")[0]
        for service in SERVICES.values()
        for mount in service.get("volumes", [])
        if not mount.startswith("./")
    }
    assert used == COMPOSE["volumes"].keys()


def test_what_is_mounted_from_the_project_is_there() -> None:
    mounted = [
        mount.partition(":")[0]
        for service in SERVICES.values()
        for mount in service.get("volumes", [])
        if mount.startswith("./")
    ]
    assert mounted
    assert [path for path in mounted if not (ROOT / path).exists()] == []


def test_no_secret_stands_in_the_file() -> None:
    secret = re.compile(r"password|secret|token|(?<!apikey_)key$", re.IGNORECASE)
    literal = [
        (service, variable)
        for service, environment in environments()
        for variable, value in environment.items()
        if secret.search(variable) and not REQUIRED.search(value)
    ]
    assert literal == []
    in_urls = [url for url in re.findall(r"://\w+:(\S+)@", TEXT) if not url.startswith("${")]
    assert in_urls == []


def test_the_example_names_every_variable_and_no_value() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    example = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert example.keys() == {found[1] for found in REQUIRED.finditer(TEXT)}
    assert set(example.values()) == {""}


def test_every_variable_of_ours_is_a_setting() -> None:
    known = {variable(name) for name in Settings.model_fields}
    used = {
        variable
        for _, environment in environments()
        for variable in environment
        if variable.startswith("FRAISEQL_")
    }
    assert used
    assert used <= known


@pytest.mark.parametrize("name", ["setup", "code", "web", "daemon", "flight"])
def test_the_environment_makes_settings_that_name_the_services(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in SERVICES[name]["environment"].items():
        monkeypatch.setenv(key, filled_in(value))
    if name == "flight":
        monkeypatch.setenv("FRAISEQL_JWT_SECRET", "x" * 32)
    settings = Settings(_env_file=None)  # pyright: ignore[reportCallIssue]
    assert settings.nats_url.get_secret_value() == "nats://fraiseql:nats_password@nats:4222"
    assert (
        settings.clickhouse_url.get_secret_value()
        == "http://fraiseql:clickhouse_password@clickhouse:8123/fraiseql"
    )
    assert (
        settings.elasticsearch_url.get_secret_value()
        == "http://elastic:elastic_password@elasticsearch:9200"
    )
    assert (
        settings.database_url.get_secret_value()
        == "postgresql://fraiseql:postgres_password@postgres:5432/fraiseql"
    )
    assert settings.dagster_url == "http://web:3000"
    assert settings.flight_url == f"grpc://{'0.0.0.0' if name == 'flight' else 'flight'}:50051"


def test_the_flight_service_has_tokens_and_is_watched_without_one() -> None:
    flight = SERVICES["flight"]
    assert REQUIRED.fullmatch(flight["environment"]["FRAISEQL_JWT_SECRET"])
    assert "/health" in " ".join(flight["healthcheck"]["test"])


def test_the_workspace_names_the_code_server() -> None:
    [entry] = yaml.safe_load((ROOT / "docker/workspace.yaml").read_text())["load_from"]
    server = entry["grpc_server"]
    assert server["host"] == "code"
    assert SERVICES["code"]["hostname"] == "code"
    assert str(server["port"]) in SERVICES["code"]["command"]


def test_the_image_holds_every_package() -> None:
    dockerfile = (ROOT / "docker/Dockerfile").read_text()
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.MULTILINE)
    allowed = (ROOT / ".dockerignore").read_text().splitlines()
    paths = " ".join(copied).split()
    assert {"fraiseql_assets", "sensors", "flight_service", "local_stack"} <= set(paths)
    assert [path for path in paths if f"!{path}" not in allowed] == []
    assert [path for path in paths if not (ROOT / path).exists()] == []
