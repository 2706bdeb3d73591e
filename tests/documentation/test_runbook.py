"""Every incident of `docs/runbook.md`: its commands give the answers that the page shows.

The page is read from top to bottom. A block of `text` shows lines of the output of the commands
before it, in their order; `…` stands for anything.
"""

import os
import re
import subprocess
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from event_tables import block
from flights import environment, serving
from incidents import incidents
from request_rows import index_requests

from fraiseql_assets.operational.plane import OperationalPlane
from fraiseql_assets.settings import Settings

PAGE = Path(__file__).parents[2] / "docs" / "runbook.md"
SECONDS = 60


@dataclass(frozen=True)
class Step:
    """Commands, and the lines of their output that the page shows."""

    commands: str
    shown: list[str]


def sections() -> dict[str, str]:
    parts = re.split(r"^## (\d+\. .*)$", PAGE.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def steps(section: str) -> list[Step]:
    pairs = re.findall(r"```sh\n(.*?)```\n+```text\n(.*?)```", section, re.DOTALL)
    return [Step(commands, shown.splitlines()) for commands, shown in pairs]


@pytest.fixture(scope="module")
def settings(module_settings: Settings) -> Iterator[Settings]:
    """Settings of a service whose operational plane holds the incidents, once for the module."""
    events, requests, day = incidents()
    plane = OperationalPlane(module_settings)
    plane.setup()
    plane.write(block(events, day=day))
    assert plane.count(day).rows == len(events)
    plane.close()
    index_requests(module_settings, requests)
    with serving(module_settings) as service:
        yield service.settings


def test_the_runbook_has_ten_incidents_in_full() -> None:
    assert len(sections()) == 10
    for title, section in sections().items():
        commands = re.findall(r"^```sh$", section, re.MULTILINE)
        assert commands, title
        assert len(steps(section)) == len(commands), title
        assert "**Cause:**" in section, title


@pytest.mark.parametrize("title", sections())
def test_an_incident_is_resolved_as_the_runbook_says(
    title: str, settings: Settings, commands: Path
) -> None:
    scripts = f"{commands}:{sysconfig.get_path('scripts')}:{os.environ['PATH']}"
    for step in steps(sections()[title]):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", step.commands],
            env={**environment(settings), "PATH": scripts},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        output = done.stdout + done.stderr
        assert done.returncode == 0, output
        lines = iter(output.splitlines())
        for shown in step.shown:
            pattern = ".*".join(map(re.escape, shown.split("…")))
            # Each is looked for behind the one before.
            assert any(re.fullmatch(pattern, line.rstrip()) for line in lines), (shown, output)
