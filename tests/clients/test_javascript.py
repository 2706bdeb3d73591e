"""The JavaScript client's page in a real browser, against the service."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.harness import CLIENTS, Served, output, run, tool
from tests.clients.programs import NODE, Command

FOLDER = CLIENTS / "javascript"


@pytest.fixture
def page(javascript: Command, served: Served) -> Iterator[str]:
    """The address of the page, from an origin that may call the service."""
    process = subprocess.Popen(
        [NODE, "serve.mjs"],
        cwd=FOLDER,
        env={"PORT": f"{served.page_port}"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    yield process.stdout.readline().strip()
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_browser_renders_the_chart(page: str, served: Served, tmp_path: Path) -> None:
    tool("chromium")
    picture = tmp_path / "chart.png"
    seen = json.loads(
        output(run([NODE, "look.mjs", page, picture], served.environment, cwd=FOLDER))
    )
    assert (seen["failures"], seen["elsewhere"]) == ([], [])
    read = re.match(r"analytics/events_hourly: (\d+) rows of (\d+) announced", seen["said"])
    assert read, seen["said"]
    assert read[1] == read[2] != "0"
    # The time and a line for each entity type.
    assert seen["lines"] > 2
    assert seen["pixels"] > 1000
    assert picture.stat().st_size > 10_000


def test_a_page_without_a_token_asks_for_one(page: str, served: Served) -> None:
    nobody = {**served.environment, "FRAISEQL_FLIGHT_TOKEN": ""}
    seen = json.loads(output(run([NODE, "look.mjs", page], nobody, cwd=FOLDER)))
    assert "Give a token" in seen["said"]
