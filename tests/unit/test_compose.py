"""docker-compose.yml: valid by the Compose Specification, and consistent with the settings.

One file is tested, so its tests stay together in a file that is longer than others.
"""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from examples import blocks

from fraiseql_assets.settings import SECRETS_DIR, Settings, variable

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SPECIFICATION = json.loads((ROOT / "tests/data/compose-spec.json").read_text())
ONE_SHOT = {"setup", "search-users"}
DIGESTS = "docker compose config --resolve-image-digests"
LONG_RUNNING = SERVICES.keys() - ONE_SHOT

REQUIRED = re.compile(r"(?<!\$)\$\{(\w+):\?[^}]+\}")
"""A variable of `.env` without which Compose refuses to start."""

every_service = pytest.mark.parametrize("name", SERVICES)
long_running = pytest.mark.parametrize("name", sorted(LONG_RUNNING))


def environments() -> list[tuple[str, dict[str, str]]]:
    return [(name, service.get("environment", {})) for name, service in SERVICES.items()]


def test_the_file_is_valid_by_the_specification() -> None:
    errors = jsonschema.Draft7Validator(SPECIFICATION).iter_errors(COMPOSE)
    assert [f"{error.json_path}: {error.message}" for error in errors] == []


class Merging(yaml.SafeLoader):
    """Knows Compose's tag for a value that is taken away."""


Merging.add_constructor("!reset", lambda _loader, _node: [])


@pytest.mark.parametrize("override", blocks(ROOT / "docs" / "scaling.md", "yaml"))
def test_an_override_of_the_pages_is_valid_and_changes_services_that_exist(override: str) -> None:
    changes = yaml.load(override, Merging)
    errors = jsonschema.Draft7Validator(SPECIFICATION).iter_errors(changes)
    assert [f"{error.json_path}: {error.message}" for error in errors] == []
    assert changes["services"].keys() <= SERVICES.keys()


def test_every_yaml_of_the_pages_is_checked() -> None:
    # kubernetes.md is checked with the chart.
    pages = [*(ROOT / "docs").glob("*.md"), *ROOT.glob("clients/*/README.md"), ROOT / "README.md"]
    assert sorted(page.name for page in pages if blocks(page, "yaml")) == [
        "kubernetes.md",
        "scaling.md",
    ]


@long_running
def test_a_long_running_service_has_a_health_check_and_a_restart_policy(name: str) -> None:
    service = SERVICES[name]
    assert "test" in service.get("healthcheck", {})
    assert service["restart"] == "unless-stopped"
    assert "mem_limit" in service


@pytest.mark.parametrize("name", sorted(ONE_SHOT))
def test_dependents_wait_for_a_service_that_runs_once(name: str) -> None:
    waiting = [
        other
        for other, service in SERVICES.items()
        if service.get("depends_on", {}).get(name)
        == {"condition": "service_completed_successfully"}
    ]
    assert SERVICES[name]["restart"] == "no"
    assert waiting


@every_service
def test_a_service_waits_until_its_dependencies_are_healthy(name: str) -> None:
    for other, how in SERVICES[name].get("depends_on", {}).items():
        expected = "service_completed_successfully" if other in ONE_SHOT else "service_healthy"
        assert how == {"condition": expected}, other


@every_service
def test_an_image_is_pinned_to_a_release_and_a_digest(name: str) -> None:
    release, _, digest = SERVICES[name]["image"].partition("@")
    assert re.fullmatch(r"([a-z]+/)?[a-z-]+:v?\d+\.\d+(\.\d+)*(-alpine)?", release)
    # Ours is built here, and Envoy's digest is not in the records of Docker's library.
    if not release.startswith(("fraiseql-assets:", "envoyproxy/")):
        assert re.fullmatch(r"sha256:[0-9a-f]{64}", digest)


@pytest.mark.parametrize("path", ["docker", "fraiseql_assets/project/templates/compose"])
def test_an_image_is_built_from_a_digest(path: str) -> None:
    bases = re.findall(r"^FROM (\S+)", (ROOT / path / "Dockerfile").read_text(), re.MULTILINE)
    assert bases
    for base in bases:
        assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm@sha256:[0-9a-f]{64}", base)


def test_a_new_project_has_the_same_images() -> None:
    template = ROOT / "fraiseql_assets/project/templates/compose/compose.yaml"
    images = set(re.findall(r"image: (\S+@sha256:\S+)", template.read_text()))
    assert images
    assert images <= {service["image"] for service in SERVICES.values()}


@every_service
def test_ports_are_open_on_the_loopback_interface_only(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


def test_data_is_stored_in_named_volumes() -> None:
    used = {
        mount.partition(":")[0]
        for service in SERVICES.values()
        for mount in service.get("volumes", [])
        if not mount.startswith("./")
    }
    assert used == COMPOSE["volumes"].keys()


@every_service
def test_a_service_has_only_the_privileges_that_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert 0 < service["pids_limit"] <= 4096
    assert "privileged" not in service
    # PostgreSQL's entry point becomes another user.
    assert set(service.get("cap_add", [])) <= (
        {"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"} if name == "postgres" else set()
    )


@every_service
def test_a_service_writes_to_volumes_and_memory_only(name: str) -> None:
    mounted = [mount for mount in SERVICES[name].get("volumes", []) if mount.startswith("./")]
    assert all(mount.endswith(":ro") for mount in mounted)


def test_only_the_edge_network_has_internet_access() -> None:
    networks = COMPOSE["networks"]
    outside = [name for name, options in networks.items() if not (options or {}).get("internal")]
    assert outside == ["edge"]


@every_service
def test_only_services_with_a_published_port_are_on_the_edge_network(name: str) -> None:
    service = SERVICES[name]
    assert ("edge" in service["networks"]) == bool(service.get("ports"))
    assert "network_mode" not in service


@every_service
def test_a_service_shares_a_network_with_its_dependencies(name: str) -> None:
    own = set(SERVICES[name]["networks"])
    for other in SERVICES[name].get("depends_on", {}):
        assert own & set(SERVICES[other]["networks"]) or other in ONE_SHOT, other


@pytest.mark.parametrize(
    ("name", "servers"),
    [
        ("setup", {"nats", "clickhouse", "elasticsearch", "web"}),
        ("code", {"nats", "clickhouse", "elasticsearch", "postgres"}),
        ("web", {"code", "postgres"}),
        ("daemon", {"code", "postgres"}),
        ("flight", {"nats", "clickhouse", "elasticsearch", "postgres"}),
    ],
)
def test_a_service_reaches_the_servers_that_it_uses(name: str, servers: set[str]) -> None:
    own = set(SERVICES[name]["networks"])
    assert [other for other in servers if not own & set(SERVICES[other]["networks"])] == []


@pytest.mark.parametrize(("name", "server"), [("web", "nats"), ("daemon", "clickhouse")])
def test_a_service_does_not_reach_what_it_does_not_use(name: str, server: str) -> None:
    own = set(SERVICES[name]["networks"]) - {"edge"}
    assert not own & set(SERVICES[server]["networks"])


def test_files_mounted_from_the_project_exist() -> None:
    mounted = [
        mount.partition(":")[0]
        for service in SERVICES.values()
        for mount in service.get("volumes", [])
        if mount.startswith("./")
    ]
    assert mounted
    assert [path for path in mounted if not (ROOT / path).exists()] == []


def secrets_of(name: str) -> dict[str, str]:
    """The secrets of a service, by the path of their files in the container."""
    given = SERVICES[name].get("secrets", [])
    named = [one if isinstance(one, dict) else {"source": one, "target": one} for one in given]
    return {one["target"]: one["source"] for one in named}


def test_secrets_are_only_in_files() -> None:
    secret = re.compile(r"password|secret|token|_url$|(?<!apikey_)key$", re.IGNORECASE)
    harmless = {
        "FRAISEQL_SECRETS_DIR",
        "FRAISEQL_DAGSTER_URL",
        "FRAISEQL_FLIGHT_URL",
        "FRAISEQL_HTTP_URL",
    }
    in_environments = {
        (service, variable)
        for service, environment in environments()
        for variable in environment
        if secret.search(variable) and not variable.endswith("_FILE") and variable not in harmless
    }
    assert in_environments == set()
    assert re.findall(r"://\w+:(\S+)@", TEXT) == []


@every_service
def test_no_command_line_has_a_password(name: str) -> None:
    service = SERVICES[name]
    words = [*service.get("command", []), *service.get("entrypoint", [])]
    words += service.get("healthcheck", {}).get("test", [])
    for word in words:
        # A shell's own `printf` and `export` start no process that others could see.
        for command in re.split(r"[|;]", word):
            if "/run/secrets/" in command or "PASSWORD" in command:
                assert command.split()[0] in ("printf", "export"), command


def test_every_secret_is_used_and_comes_from_the_script(tmp_path: Path) -> None:
    docker = tmp_path / "docker"
    docker.mkdir()
    shutil.copy(ROOT / "docker/make-secrets.sh", docker)
    subprocess.run(["sh", docker / "make-secrets.sh"], check=True, capture_output=True)
    made = {path.name: path for path in (tmp_path / "secrets").iterdir() if path.is_file()}
    declared = COMPOSE["secrets"]
    used = {source for name in SERVICES for source in secrets_of(name).values()}
    assert made.keys() == declared.keys() == used
    assert all(one["file"] == f"./secrets/{name}" for name, one in declared.items())
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in made.values()} == {0o444}
    before = {name: path.read_text() for name, path in made.items()}
    subprocess.run(["sh", docker / "make-secrets.sh"], check=True, capture_output=True)
    assert {name: path.read_text() for name, path in made.items()} == before
    passwords = [path.read_text() for path in (tmp_path / "secrets/passwords").iterdir()]
    assert len(set(passwords)) == len(passwords)
    assert min(map(len, passwords)) >= 32


def test_the_secrets_are_not_in_the_repository_or_the_image() -> None:
    assert "/secrets/" in (ROOT / ".gitignore").read_text().splitlines()
    assert (ROOT / ".dockerignore").read_text().splitlines()[0] == "*"


def test_the_example_names_every_variable_and_no_value() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    example = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert example.keys() == {found[1] for found in REQUIRED.finditer(TEXT)}
    assert set(example.values()) == {""}


def test_every_variable_of_ours_is_a_setting() -> None:
    known = {variable(name) for name in Settings.model_fields} | {SECRETS_DIR}
    used = {
        variable
        for _, environment in environments()
        for variable in environment
        if variable.startswith("FRAISEQL_")
    }
    used |= {
        target for name in SERVICES for target in secrets_of(name) if target.startswith("FRAISEQL_")
    }
    assert used
    assert used <= known


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """The folder `secrets` as the script creates it."""
    docker = tmp_path / "docker"
    docker.mkdir()
    shutil.copy(ROOT / "docker/make-secrets.sh", docker)
    subprocess.run(["sh", docker / "make-secrets.sh"], check=True, capture_output=True)
    return tmp_path / "secrets"


def settings_in(name: str, secrets: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings that a service reads in its container."""
    mounted = secrets.parent / "mounted"
    mounted.mkdir()
    for target, source in secrets_of(name).items():
        shutil.copy(secrets / source, mounted / target)
    for key, value in SERVICES[name]["environment"].items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv(SECRETS_DIR, str(mounted))
    return Settings(_env_file=None)  # pyright: ignore[reportCallIssue]


@pytest.mark.parametrize(
    ("name", "user"), [("setup", "setup"), ("code", "pipeline"), ("flight", "flight")]
)
def test_a_service_has_a_user_of_its_own_in_every_server(
    name: str, user: str, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_in(name, secrets, monkeypatch)
    password = "[0-9a-f]{64}"
    nats = settings.nats_url.get_secret_value()
    assert re.fullmatch(f"nats://{user}:{password}@nats:4222", nats)
    clickhouse = settings.clickhouse_url.get_secret_value()
    assert re.fullmatch(f"http://{user}:{password}@clickhouse:8123/fraiseql", clickhouse)
    search = settings.elasticsearch_url.get_secret_value()
    assert re.fullmatch(f"http://fraiseql_{user}:{password}@elasticsearch:9200", search)


def test_the_flight_service_has_its_own_role_and_requires_tokens(
    secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_in("flight", secrets, monkeypatch)
    url = settings.database_url.get_secret_value()
    assert re.fullmatch("postgresql://fraiseql_flight:[0-9a-f]{64}@postgres:5432/fraiseql", url)
    assert settings.jwt_secret is not None
    assert settings.flight_url == "grpc://0.0.0.0:50051"
    [schema] = SERVICES["flight"]["configs"]
    assert str(settings.schema_path) == schema["target"]
    assert COMPOSE["configs"][schema["source"]]["file"].startswith("${FRAISEQL_SCHEMA:?")


def test_the_health_of_the_flight_service_is_checked_over_http() -> None:
    assert "/health'" in SERVICES["flight"]["healthcheck"]["test"][-1]


def test_dagster_requires_a_password(secrets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "fraiseql_assets.defs.web_server" in SERVICES["web"]["command"]
    settings = settings_in("web", secrets, monkeypatch)
    assert settings.dagster_login is not None
    assert settings.dagster_url == "http://web:3000"
    assert [name for name in SERVICES if "dagster-webserver" in str(SERVICES[name])] == []


@pytest.mark.parametrize("name", ["web", "daemon"])
def test_the_web_server_and_daemon_have_no_password_of_a_plane(name: str) -> None:
    assert secrets_of(name).keys() <= {"DAGSTER_POSTGRES_URL", "FRAISEQL_DAGSTER_PASSWORD"}


def test_dagster_commands_read_the_database_password_from_a_file() -> None:
    """Health checks too, which do not go through the image's entry point."""
    assert 'ENTRYPOINT ["with-secrets"]' in (ROOT / "docker/Dockerfile").read_text()
    for name in ("code", "daemon"):
        assert SERVICES[name]["healthcheck"]["test"][1] == "with-secrets"
    for name in ("code", "web", "daemon"):
        assert "DAGSTER_POSTGRES_URL" in secrets_of(name)


@pytest.mark.parametrize("role", ["setup", "pipeline", "flight"])
def test_a_search_role_may_use_our_indices_only(role: str) -> None:
    found = json.loads((ROOT / f"docker/elasticsearch/roles/{role}.json").read_text())
    assert [index["names"] for index in found["indices"]] == [["fraiseql-*"]]
    allowed = {"monitor"} | ({"manage_index_templates", "manage_ilm"} if role == "setup" else set())
    assert set(found["cluster"]) <= allowed
    if role == "flight":
        assert found["indices"][0]["privileges"] == ["read", "view_index_metadata"]


def test_the_file_documents_how_to_pin_images_by_digest() -> None:
    assert DIGESTS in TEXT


@pytest.mark.parametrize(
    "script", sorted(path.relative_to(ROOT) for path in (ROOT / "docker").rglob("*.sh")), ids=str
)
def test_scripts_are_valid_and_executable(script: Path) -> None:
    subprocess.run(["sh", "-n", ROOT / script], check=True)
    assert (ROOT / script).stat().st_mode & 0o111 == 0o111


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


PROXY = yaml.safe_load((ROOT / "docker/envoy/envoy.yaml").read_text())
LIMIT = re.compile(r"^\| [^|]+ \| ([\d,]+ ?\w*) \| `([a-z_]+)` \|$", re.MULTILINE)
UNITS = {"": 1, "s": 1, "KiB": 2**10, "MiB": 2**20}


def values_of(field: str, within: Any = PROXY) -> list[Any]:
    """The values of a field, wherever it is in the proxy's configuration."""
    if isinstance(within, list):
        return [value for one in within for value in values_of(field, one)]
    if not isinstance(within, dict):
        return []
    own = [within[field]] if field in within else []
    return own + [value for one in within.values() for value in values_of(field, one)]


def test_the_proxy_has_the_limits_of_the_security_page() -> None:
    limits = LIMIT.findall((ROOT / "docs/security.md").read_text())
    assert len(limits) == 9
    for shown, field in limits:
        number, _, unit = shown.replace(",", "").partition(" ")
        found = values_of(field)
        assert found, field
        for value in found:
            counted = int(str(value).removesuffix("s")) * (1024 if field.endswith("_kb") else 1)
            assert counted == int(number) * UNITS[unit], field


def test_the_proxy_has_a_timeout_for_every_method_but_streams() -> None:
    [host] = values_of("virtual_hosts")[0]
    streams, others = host["routes"]
    pattern = re.compile(streams["match"]["safe_regex"]["regex"])
    service = "/arrow.flight.protocol.FlightService/"
    methods = ("Handshake", "DoPut", "DoExchange", "DoGet", "GetFlightInfo", "DoAction")
    unbounded = [name for name in methods if pattern.fullmatch(f"{service}{name}")]
    assert unbounded == ["Handshake", "DoPut", "DoExchange"]
    assert others["match"] == {"prefix": service}
    assert "typed_per_filter_config" not in others


def test_the_proxy_is_optional_and_forwards_only_to_the_flight_service() -> None:
    assert SERVICES["proxy"]["profiles"] == ["proxy"]
    assert [name for name in SERVICES if "profiles" in SERVICES[name]] == ["proxy"]
    listening, *_ = [one["address"]["socket_address"] for one in values_of("listeners")[0]]
    assert SERVICES["proxy"]["ports"] == [f"127.0.0.1:50052:{listening['port_value']}"]
    [cluster] = values_of("clusters")[0]
    assert values_of("socket_address", cluster) == [{"address": "flight", "port_value": 50051}]
    assert values_of("address", PROXY["admin"])[0]["socket_address"]["address"] == "127.0.0.1"
