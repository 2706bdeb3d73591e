"""Every example of README and `docs/` runs, against a running stack; those of `graphql.md` against
the demo's database.

Blocks marked `sh` and `python` run in the order in which a reader meets them; those of a page
share a folder, and its Python blocks their names. A block that a test cannot run (it starts
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
from examples import Example, examples
from flights import serving
from pydantic import SecretStr

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
    for name, value in environment_of(settings_of(page)).items():
        monkeypatch.setenv(name, value)
    scripts = sysconfig.get_path("scripts")
    monkeypatch.setenv("PATH", f"{commands}:{scripts}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    for example in examples(page):
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


def test_every_code_block_of_a_page_has_a_language() -> None:
    bare = [
        f"{page.name}:{number}"
        for page in PAGES
        for number, fence in enumerate(re.findall(r"^```.*$", page.read_text(), re.MULTILINE))
        if number % 2 == 0 and fence == "```"
    ]
    assert bare == []
