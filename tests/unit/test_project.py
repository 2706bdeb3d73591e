"""A project that `init` writes: what it finds by itself, and that its files fit each other."""

import json
import stat
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

from fraiseql_assets.cli.main import app
from fraiseql_assets.project.discover import ProjectError, find_database, find_schema
from fraiseql_assets.project.write import Project, as_container_sees, module_of, write_project
from fraiseql_assets.settings import Settings, variable
from local_stack.demo import COMPILED_SCHEMA

ROOT = Path(__file__).parents[2]
URL = "postgresql://reader:p%40ss@db.example:5433/shop"


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("FRAISEQL_SCHEMA", "FRAISEQL_DATABASE_URL", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    path = tmp_path / "app" / "schema.compiled.json"
    path.parent.mkdir()
    path.write_bytes(COMPILED_SCHEMA.read_bytes())
    return path


def write(folder: Path, schema: Path | None = None, **others: Any) -> Path:
    write_project(Project(**{"folder": folder, "name": "Shop Data", "schema": schema,
                             "database_url": URL, **others}))  # fmt: skip
    return folder


def compose(folder: Path) -> dict[str, Any]:
    return yaml.safe_load((folder / "compose.yaml").read_text())


def variables(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return {name: value.strip("'") for name, _, value in (line.partition("=") for line in lines)}


def test_the_written_settings_are_valid(tmp_path: Path, schema: Path) -> None:
    folder = write(tmp_path / "shop", schema)
    settings = Settings(_env_file=folder / ".env")  # pyright: ignore[reportCallIssue]
    assert settings.database_url.get_secret_value() == URL
    assert settings.schema_path is not None
    assert (folder / settings.schema_path).resolve() == schema
    assert settings.subjects == Settings.model_fields["subjects"].default


@pytest.mark.parametrize("kubernetes", [False, True])
def test_every_variable_is_a_setting(tmp_path: Path, schema: Path, kubernetes: bool) -> None:
    folder = write(tmp_path / "shop", schema, kubernetes=kubernetes)
    known = {variable(name) for name in Settings.model_fields}
    named = {name for name in variables(folder / ".env") if name.startswith("FRAISEQL_")}
    if kubernetes:
        named |= variables(folder / "secret.env").keys() - {"DAGSTER_POSTGRES_URL"}
        named |= yaml.safe_load((folder / "values.yaml").read_text())["settings"].keys()
    else:
        for service in compose(folder)["services"].values():
            given = service.get("environment", {})
            named |= {name for name in given if name.startswith("FRAISEQL_")}
    assert named <= known


@pytest.mark.parametrize("has_schema", [True, False])
def test_the_compose_file_is_valid_by_the_specification(
    tmp_path: Path, schema: Path, has_schema: bool
) -> None:
    folder = write(tmp_path / "shop", schema if has_schema else None)
    specification = json.loads((ROOT / "tests/data/compose-spec.json").read_text())
    errors = jsonschema.Draft7Validator(specification).iter_errors(compose(folder))
    assert [f"{error.json_path}: {error.message}" for error in errors] == []


def test_env_defines_every_variable_of_the_compose_file(tmp_path: Path, schema: Path) -> None:
    import re

    folder = write(tmp_path / "shop", schema)
    text = (folder / "compose.yaml").read_text()
    assert set(re.findall(r"\$\{(\w+)", text)) <= variables(folder / ".env").keys()


def test_services_listen_on_the_loopback_interface_and_use_the_released_images(
    tmp_path: Path, schema: Path
) -> None:
    services = compose(write(tmp_path / "shop", schema))["services"]
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in ports)
    own = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    images = {service["image"] for service in own.values()}
    others = {s["image"] for s in services.values() if not s["image"].startswith("shop-data:")}
    assert others <= images


def test_the_dagster_configuration_equals_that_of_production(tmp_path: Path) -> None:
    written = (write(tmp_path / "shop") / "docker" / "dagster.yaml").read_text()
    own = (ROOT / "docker" / "dagster.yaml").read_text()
    assert yaml.safe_load(written) == yaml.safe_load(own)


def test_passwords_are_random_and_only_the_owner_reads_them(tmp_path: Path) -> None:
    one, other = (write(tmp_path / name, kubernetes=True) for name in ("one", "other"))
    for name in (".env", "secret.env"):
        assert stat.S_IMODE((one / name).stat().st_mode) == 0o600
        assert name in (one / ".gitignore").read_text().splitlines()
    secret = {name for name in variables(one / ".env") if "SECRET" in name or "PASSWORD" in name}
    first, second = (variables(folder / ".env") for folder in (one, other))
    assert secret
    assert [name for name in secret if first[name] == second[name]] == []


def test_the_package_is_named_after_the_project(tmp_path: Path) -> None:
    folder = write(tmp_path / "shop")
    project = tomllib.loads((folder / "pyproject.toml").read_text())
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == ["shop_data"]
    assert (folder / "shop_data" / "definitions.py").is_file()
    assert "<<" not in "".join(
        path.read_text().replace("<<: *", "") for path in folder.rglob("*") if path.is_file()
    )


@pytest.mark.parametrize("present", [".env", "shop_data/assets.py"])
def test_no_file_is_overwritten(tmp_path: Path, present: str) -> None:
    path = tmp_path / "shop" / present
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    with pytest.raises(ProjectError, match=f"{present} would be overwritten"):
        write(tmp_path / "shop")
    assert [p for p in (tmp_path / "shop").rglob("*") if p.is_file()] == [path]
    assert path.read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "module"),
    [("Shop Data", "shop_data"), ("shop-2", "shop_2"), ("sensors", "sensors_project")],
)
def test_a_name_is_converted_to_a_module_name(name: str, module: str) -> None:
    assert module_of(name) == module


@pytest.mark.parametrize("name", ["2026", "…", "class"])
def test_a_name_without_a_valid_module_name_is_refused(name: str) -> None:
    with pytest.raises(ProjectError, match="--name"):
        module_of(name)


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        (URL, URL),
        ("postgresql://u:p@localhost/x", "postgresql://u:p@host.docker.internal/x"),
        ("postgresql://127.0.0.1:5433/x", "postgresql://host.docker.internal:5433/x"),
    ],
)
def test_a_local_database_is_reached_by_another_host_name_in_a_container(
    url: str, seen: str
) -> None:
    assert as_container_sees(url) == seen


def test_a_quote_in_an_address_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="the database's address holds a quote"):
        write(tmp_path / "shop", database_url="postgresql://u:it's@db/x")


# What is found without asking.


def test_the_only_compiled_schema_is_found(tmp_path: Path, schema: Path) -> None:
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / schema.name).write_text("{}")
    assert find_schema(None, (tmp_path, tmp_path / "app")) == schema


def test_several_compiled_schemas_need_a_choice(tmp_path: Path, schema: Path) -> None:
    other = tmp_path / schema.name
    other.write_bytes(schema.read_bytes())
    with pytest.raises(ProjectError, match=r"several compiled schemas: .*--schema"):
        find_schema(None, (tmp_path,))
    assert find_schema(other, (tmp_path,)) == other


@pytest.mark.parametrize("text", ["", "[]", '{"types": []}'])
def test_an_invalid_compiled_schema_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(ProjectError, match=r"other\.json"):
        find_schema(path, ())


def test_the_database_is_found_in_the_folder_of_the_schema(
    schema: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toml = schema.parents[1] / "fraiseql.toml"
    toml.write_text('[database]\nurl = "postgresql://u:${DB_PASSWORD}@db/x"\n')
    monkeypatch.setenv("DB_PASSWORD", "secret")
    assert find_database(None, schema) == "postgresql://u:secret@db/x"
    monkeypatch.setenv("DATABASE_URL", "postgresql://of/environment")
    assert find_database(None, schema) == "postgresql://of/environment"
    assert find_database("postgresql://given/x", schema) == "postgresql://given/x"


def test_the_command_lists_missing_settings(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["init", "shop"])
    assert done.exit_code == 0, done.output
    assert "No compiled schema was found: fill in FRAISEQL_SCHEMA in .env." in done.output
    assert "No database was found: fill in FRAISEQL_DATABASE_URL in .env." in done.output
    again = CliRunner().invoke(app, ["init", "shop"])
    assert again.exit_code == 1
    assert "would be overwritten" in again.output
