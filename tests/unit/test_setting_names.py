"""The names under which settings are read, and published by a stack."""

from pathlib import Path

import pytest
from pydantic import ValidationError
from pydantic_settings import SettingsError

from fraiseql_assets.settings import Settings, variable
from local_stack.demo import COMPILED_SCHEMA
from local_stack.services import demo
from local_stack.stack import variables


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_read_from_the_variable_of_its_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(variable(name), '"neither a number nor a list, nor long"')
    try:
        read = getattr(Settings(), name)
    except (ValidationError, SettingsError) as refused:
        read = refused
    assert read != Settings.model_fields[name].default


def test_the_path_of_the_schema_has_one_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FRAISEQL_SCHEMA", raising=False)
    monkeypatch.setenv("SCHEMA_PATH", "of/another/program")
    assert Settings().schema_path is None


def test_the_schema_of_the_demo_is_found_beside_the_stack(tmp_path: Path) -> None:
    published = variables([[demo(tmp_path / "loaded")]])
    assert published == {"FRAISEQL_SCHEMA": str(COMPILED_SCHEMA)}


def test_the_schema_path_is_read_from_endpoints_env(tmp_path: Path) -> None:
    path = tmp_path / "endpoints.env"
    path.write_text(f"FRAISEQL_SCHEMA={COMPILED_SCHEMA}\n")
    settings = Settings(_env_file=path)  # pyright: ignore[reportCallIssue]
    assert settings.schema_path == COMPILED_SCHEMA


def test_the_demo_is_ready_after_its_database_is_loaded(tmp_path: Path) -> None:
    loaded = tmp_path / "loaded"
    loaded.touch()
    program = demo(loaded)
    program.prepare()
    assert not program.is_ready()
    loaded.touch()
    assert program.is_ready()
