"""The Go example, against the service."""

import shutil
from pathlib import Path

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
    running,
)

FOLDER = CLIENTS / "go"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, compiled."""
    assert shutil.which("go"), "Go is missing: .ci/clients installs what the tests need."
    built = tmp_path_factory.mktemp("go") / "fraiseql"
    output(run(["go", "build", "-o", built, "."], {}, cwd=FOLDER, seconds=SECONDS_TO_BUILD))
    return built


@pytest.mark.parametrize("asset", ["analytics/events", "operational/events"])
def test_an_asset_is_read_from_all_endpoints(program: Path, served: Served, asset: str) -> None:
    rows = ROWS * len(DAYS)
    printed = output(run([program, "read", asset], served.environment))
    assert f"{asset}: {rows} rows of {rows} announced, {len(DAYS)} endpoints" in printed


def test_a_query_is_read(program: Path, served: Served) -> None:
    query = "{ orders { id totalPrice } }"
    assert output(run([program, "query", query], served.environment)) == f"{ORDERS} rows"


def test_search_finds_events(program: Path, served: Served) -> None:
    printed = output(run([program, "search", "entity_type:Order"], served.environment))
    assert printed == "100 hits"


def test_new_events_are_followed(program: Path, served: Served) -> None:
    with running([program, "follow", "5"], served.environment) as (process, lines):
        assert lines == ["following"]
        served.publish_until(5, process, seed=21)
    assert process.returncode == 0, lines
    assert sum(int(line.split()[0]) for line in lines[1:]) >= 5


def test_errors_have_the_message_of_the_service(program: Path, served: Served) -> None:
    unknown = run([program, "read", "analytics/nothing"], served.environment)
    assert unknown.returncode == 1
    assert "There are: " in unknown.stderr
    stranger = run(
        [program, "read", "analytics/events"], {**served.environment, "FRAISEQL_FLIGHT_TOKEN": ""}
    )
    assert stranger.returncode == 1
    assert "Set FRAISEQL_FLIGHT_TOKEN" in stranger.stderr
