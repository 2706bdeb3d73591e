"""Every example of README and `docs/` runs, against a running stack.

Blocks marked `sh` and `python` run in the order in which a reader meets them; those of a page
share a folder, and its Python blocks their names. A block that a test cannot run (it starts
everything, or needs a container engine) says why in a comment before it: `<!-- not run: … -->`.
"""

import contextlib
import io
import os
import re
import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest
from stacks import Stack

from fraiseql_assets.settings import Settings

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(
    r"(?:<!-- (?P<kept_from>not run: [^>]+) -->\s*)?"
    r"^```(?P<language>\w+)[^\n]*\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
RUNNABLE = {"sh", "python"}
SHELL_SECONDS = 120


@dataclass(frozen=True)
class Example:
    """A block of a page that runs."""

    line: int
    language: str
    code: str


def examples(page: Path) -> list[Example]:
    text = page.read_text()
    return [
        Example(text.count("\n", 0, found.start("code")) + 1, found["language"], found["code"])
        for found in BLOCK.finditer(text)
        if found["language"] in RUNNABLE and not found["kept_from"]
    ]


def environment_of(settings: Settings) -> dict[str, str]:
    """The settings that differ from the defaults, as variables."""
    values = settings.model_dump(mode="json", exclude_defaults=True)
    secret = {
        name: getattr(settings, name).get_secret_value()
        for name in values
        if hasattr(getattr(settings, name), "get_secret_value")
    }
    return {f"FRAISEQL_{name}".upper(): str(value) for name, value in {**values, **secret}.items()}


@pytest.mark.parametrize("page", [p for p in PAGES if examples(p)], ids=lambda page: page.name)
def test_the_examples_of_a_page_run(
    page: Path, stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment_of(stack.settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    for example in examples(page):
        run(page, example, names)


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


def test_a_page_marks_the_language_of_every_block() -> None:
    bare = [
        f"{page.name}:{number}"
        for page in PAGES
        for number, fence in enumerate(re.findall(r"^```.*$", page.read_text(), re.MULTILINE))
        if number % 2 == 0 and fence == "```"
    ]
    assert bare == []
