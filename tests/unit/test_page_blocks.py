"""The blocks of SQL, JSON and configuration in README, `docs/` and the pages of the clients can be
read by the programs that they are for. Those of SQL also run, unless a comment says why not; see
`tests/documentation/test_documentation.py`."""

import io
import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlglot
import yaml
from dotenv import dotenv_values
from examples import blocks, dialect_of

from fraiseql_assets.settings import Settings, variable

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "clients").glob("*/README.md")),
]
NAMES = {variable(name) for name in Settings.model_fields}
CHART = ROOT / "charts"


class Compose(yaml.SafeLoader):
    """YAML with the tag by which Compose replaces a list."""


def _reset(loader: yaml.SafeLoader, node: yaml.SequenceNode) -> list[Any]:
    return loader.construct_sequence(node)


Compose.add_constructor("!reset", _reset)


def of_yaml(code: str) -> Any:
    return yaml.load(code, Compose)


PARSERS: dict[str, Callable[[str], Any]] = {
    "json": json.loads,
    "toml": tomllib.loads,
    "yaml": of_yaml,
}


def cases(*languages: str) -> list[Any]:
    return [
        pytest.param(page, language, code, id=f"{page.parent.name}/{page.name}-{number}")
        for page in PAGES
        for language in languages
        for number, code in enumerate(blocks(page, language))
    ]


@pytest.mark.parametrize(("page", "language", "code"), cases(*PARSERS))
def test_a_block_of_data_can_be_read(page: Path, language: str, code: str) -> None:
    assert isinstance(PARSERS[language](code), dict)


@pytest.mark.parametrize(("page", "language", "code"), cases("ini"))
def test_a_block_of_settings_is_valid(page: Path, language: str, code: str, tmp_path: Path) -> None:
    assert None not in dotenv_values(stream=io.StringIO(code)).values()
    path = tmp_path / "settings.env"
    path.write_text(code)
    changed = Settings(_env_file=path).model_fields_set  # pyright: ignore[reportCallIssue]
    assert {variable(name) for name in changed} >= set(dotenv_values(path))


@pytest.mark.parametrize(("page", "language", "code"), cases("ini", "yaml", "toml", "json"))
def test_a_block_names_settings_that_there_are(page: Path, language: str, code: str) -> None:
    assert set(re.findall(r"\bFRAISEQL_\w+", code)) <= NAMES


@pytest.mark.parametrize(
    ("page", "language", "code"),
    [case for case in cases("yaml") if "kubernetes.md" in str(case.id)],
)
def test_values_of_the_chart_are_those_that_it_has(page: Path, language: str, code: str) -> None:
    [values] = CHART.glob("*/values.yaml")
    assert of_yaml(code).keys() <= yaml.safe_load(values.read_text()).keys()


@pytest.mark.parametrize(("page", "language", "code"), cases("sql"))
def test_a_block_of_sql_is_of_its_dialect(page: Path, language: str, code: str) -> None:
    assert all(sqlglot.parse(code, dialect=dialect_of(page)))


@pytest.mark.parametrize("language", [*PARSERS, "ini", "sql"])
def test_there_are_blocks_of_every_language(language: str) -> None:
    assert cases(language)
