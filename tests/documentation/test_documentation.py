"""Every example of README and `docs/` runs, against a running stack; those of `graphql.md` against
the demo's database.

Blocks marked `sh`, `python` and `sql` run in the order in which a reader meets them; those of a
page share a folder, and its Python blocks their names. A block that a test cannot run (it starts
everything, or needs a container engine) says why in a comment before it: `<!-- not run: … -->`.
"""

import contextlib
import io
import json
import os
import re
import subprocess
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from adbc_driver_postgresql import dbapi
from clickhouse_connect.driver.client import Client
from examples import Example, dialect_of, examples
from flights import serving
from pydantic import SecretStr

from fraiseql_assets.analytics.client import connect
from fraiseql_assets.settings import Settings, variable
from local_stack.demo import COMPILED_SCHEMA, on_database
from local_stack.demo.database import load

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
WITH_A_TEST_OF_ITS_OWN = ("runbook.md", "recipes.md")
SHELL_SECONDS = 120
OF_THE_DEMO = ("graphql.md", "migration.md")
DEMO_SCALE = 0.01
"""As the tests of its queries have it, which share the database."""


def environment_of(settings: Settings) -> dict[str, str]:
    """The settings that differ from the defaults, as variables."""
    values = settings.model_dump(mode="json", exclude_defaults=True)
    secret = {
        name: getattr(settings, name).get_secret_value()
        for name in values
        if hasattr(getattr(settings, name), "get_secret_value")
    }
    return {
        variable(name): value if isinstance(value, str) else json.dumps(value)
        for name, value in {**values, **secret}.items()
    }


@contextlib.contextmanager
def demo(database_url: str) -> Iterator[Settings]:
    """The demo's database, smaller, behind a Flight service; yields where it is."""
    url = on_database(database_url, "demo")
    load(url, DEMO_SCALE)
    served = Settings(database_url=SecretStr(url), schema_path=COMPILED_SCHEMA)
    with serving(served) as service:
        yield service.settings


@pytest.fixture
def settings_of(request: pytest.FixtureRequest) -> Iterator[Callable[[Path], Settings]]:
    """Where the examples of a page run."""
    with contextlib.ExitStack() as opened:

        def settings(page: Path) -> Settings:
            if page.name in OF_THE_DEMO:
                return opened.enter_context(demo(request.getfixturevalue("database_url")))
            return request.getfixturevalue("stack").settings

        yield settings


RUN = [page for page in PAGES if examples(page) and page.name not in WITH_A_TEST_OF_ITS_OWN]


@pytest.mark.parametrize("page", RUN, ids=lambda page: page.name)
def test_the_examples_of_a_page_run(
    page: Path,
    settings_of: Callable[[Path], Settings],
    commands: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = settings_of(page)
    for name, value in environment_of(settings).items():
        monkeypatch.setenv(name, value)
    scripts = sysconfig.get_path("scripts")
    monkeypatch.setenv("PATH", f"{commands}:{scripts}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    for example in examples(page):
        if example.language == "sql":
            run_sql(dialect_of(page), example.code, settings)
        else:
            run(page, example, names)


def test_the_example_that_lists_assets_also_runs_with_queries(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stack of the other examples has no compiled schema, which `make demo` has."""
    page = ROOT / "docs" / "flight.md"
    [example] = [one for one in examples(page) if "list_flights()" in one.code]
    with demo(database_url) as settings:
        for name, value in environment_of(settings).items():
            monkeypatch.setenv(name, value)
        run(page, example, {"__name__": "__main__"})


def run(page: Path, example: Example, names: dict[str, object]) -> None:
    where = f"{page.name}:{example.line}"
    if example.language == "python":
        # Line numbers in a traceback are the page's own.
        code = compile("\n" * (example.line - 1) + example.code, str(page), "exec")
        with contextlib.redirect_stdout(io.StringIO()):
            exec(code, names)
        return
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", example.code],
        capture_output=True,
        text=True,
        timeout=SHELL_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{where}\n{example.code}\n{done.stdout}\n{done.stderr}"


def run_sql(dialect: str, code: str, settings: Settings) -> None:
    """Runs a statement as its reader does, in the server of its dialect."""
    if dialect == "clickhouse":
        with production_database(settings) as client:
            client.command(code)
        return
    url = settings.database_url.get_secret_value()
    with dbapi.connect(url) as connection, connection.cursor() as cursor:
        # The driver reads results by COPY, in which no semicolon may stand.
        cursor.execute(code.rstrip().removesuffix(";"))
        cursor.fetchall()


@contextlib.contextmanager
def production_database(settings: Settings) -> Iterator[Client]:
    """A client whose current database exists for the block alone. A table of events is in the
    database that production has, and that a stack has not."""
    with connect(settings, timeout=SHELL_SECONDS) as client:
        events = f"{client.database}.fraiseql_events"
        for name in ("fraiseql", "of_the_page"):
            client.command(f"CREATE DATABASE {name}")
        try:
            client.command(f"CREATE TABLE fraiseql.fraiseql_events AS {events}")
            client.database = "of_the_page"
            yield client
        finally:
            client.database = "default"
            for name in ("of_the_page", "fraiseql"):
                client.command(f"DROP DATABASE {name}")


def test_every_code_block_of_a_page_has_a_language() -> None:
    bare = [
        f"{page.name}:{number}"
        for page in PAGES
        for number, fence in enumerate(re.findall(r"^```.*$", page.read_text(), re.MULTILINE))
        if number % 2 == 0 and fence == "```"
    ]
    assert bare == []
