"""The recipes of `docs/recipes.md`, each section in a process of its own, in an environment with
what the page says to install and nothing else."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.clients.harness import (
    CLIENTS,
    DAYS,
    ORDERS,
    ROWS,
    SECONDS_TO_BUILD,
    Served,
    output,
    run,
)
from tests.examples import BLOCK, RUNNABLE

PAGE = CLIENTS.parent / "docs" / "recipes.md"
VERSIONS = Path(__file__).with_name("recipes.txt")
ALL_ROWS = ROWS * len(DAYS)
_, CONNECT, *SECTIONS = re.split(r"^(?=## )", PAGE.read_text(), flags=re.MULTILINE)
SHELL = """
import subprocess
subprocess.run(["bash", "-euo", "pipefail", "-c", {code!r}], check=True)
"""
HOLDS = {
    "pandas": f"""
        assert days["event_count"].sum() == counts["events"].sum() == {ALL_ROWS}
        assert len(orders) == {ORDERS}
    """,
    "DuckDB": f"""
        assert sum(row[1] for row in busiest) == {ALL_ROWS}
        assert stored.sql("SELECT count(*) FROM events").fetchall() == [({ALL_ROWS},)]
        assert sum(row[1] for row in totals) == {ORDERS}
    """,
    "Ibis": f"""
        assert by_type.events.sum().execute() == number == {ALL_ROWS}
    """,
    "dbt": f"""
        assert sum(row[1] for row in report.result_rows) == {ALL_ROWS}
    """,
}
"""What holds after a section has run: it has read every row."""


def title(section: str) -> str:
    return section.partition("\n")[0].removeprefix("## ")


@pytest.fixture(scope="module")
def python() -> Path:
    """An environment's Python, with what the page installs, at fixed versions."""
    [command] = re.findall(r"^pip (install .*)$", CONNECT, re.MULTILINE)
    digest = hashlib.sha256(f"{command}{VERSIONS.read_text()}{sys.version}".encode()).hexdigest()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fraiseql-assets"
    folder = cache / f"recipes-{digest[:12]}"
    found = folder / "bin" / "python"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        words = f"{found} -m pip --quiet {command}"
        environment = {"PIP_CONSTRAINT": str(VERSIONS), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        output(run(["bash", "-c", words], environment, seconds=SECONDS_TO_BUILD))
        (folder / "complete").touch()
    return found


def program(*sections: str) -> str:
    """The examples of sections as one Python program."""
    parts: list[str] = []
    for found in BLOCK.finditer("\n".join(sections)):
        if found["language"] in RUNNABLE and not found["kept_from"]:
            code = found["code"]
            parts.append(code if found["language"] == "python" else SHELL.format(code=code))
    return "\n".join(parts)


@pytest.mark.parametrize("section", SECTIONS, ids=title)
def test_the_recipes_of_a_section_read_every_row(
    section: str, python: Path, served: Served, tmp_path: Path
) -> None:
    checks = "\n".join(line.strip() for line in HOLDS[title(section)].splitlines())
    clickhouse = served.settings.clickhouse_url.get_secret_value()
    plane = urlsplit(clickhouse)
    environment = {
        **served.environment,
        "FRAISEQL_CLICKHOUSE_URL": clickhouse,
        "CLICKHOUSE_PORT": f"{plane.port}",
        "CLICKHOUSE_USER": plane.username or "default",
        "CLICKHOUSE_PASSWORD": plane.password or "",
        "CLICKHOUSE_DATABASE": plane.path.strip("/"),
        "PATH": f"{python.parent}:{os.environ['PATH']}",
    }
    done = subprocess.run(
        [python, "-"],
        input=f"{program(CONNECT, section)}\n{checks}",
        env={**os.environ, **environment},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=SECONDS_TO_BUILD,
        check=False,
    )
    output(done)
