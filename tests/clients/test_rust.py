"""The Rust crate, its example and the one with DataFusion, against the service."""

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

FOLDER = CLIENTS / "rust"
ALL_ROWS = ROWS * len(DAYS)


@pytest.fixture(scope="module")
def examples() -> Path:
    """The folder of the compiled examples."""
    assert shutil.which("cargo"), "Rust is missing: .ci/clients installs what the tests need."
    build = ["cargo", "build", "--quiet", "--examples", "--features", "datafusion"]
    output(run(build, {}, cwd=FOLDER, seconds=SECONDS_TO_BUILD))
    return FOLDER / "target" / "debug" / "examples"


@pytest.fixture(scope="module")
def program(examples: Path) -> Path:
    return examples / "fraiseql"


def test_the_tests_of_the_crate_pass(examples: Path) -> None:
    test = ["cargo", "test", "--quiet", "--lib", "--features", "datafusion"]
    assert "0 failed" in output(run(test, {}, cwd=FOLDER, seconds=SECONDS_TO_BUILD))


@pytest.mark.parametrize("asset", ["analytics/events", "operational/events"])
def test_an_asset_is_read_from_all_endpoints(program: Path, served: Served, asset: str) -> None:
    printed = output(run([program, "read", asset], served.environment))
    assert f"{asset}: {ALL_ROWS} rows of {ALL_ROWS} announced, {len(DAYS)} endpoints" in printed


def test_a_query_is_read(program: Path, served: Served) -> None:
    query = "{ orders { id totalPrice } }"
    assert output(run([program, "query", query], served.environment)) == f"{ORDERS} rows"


def test_sql_is_read(program: Path, served: Served) -> None:
    statement = "SELECT entity_type FROM fraiseql_events"
    assert output(run([program, "sql", statement], served.environment)) == f"{ALL_ROWS} rows"


def test_datafusion_reads_the_endpoints_as_partitions(examples: Path, served: Served) -> None:
    statement = "SELECT count(*) AS events, count(DISTINCT event_id) AS ids FROM asset"
    command = [examples / "datafusion", "analytics/events", statement]
    assert f"| {ALL_ROWS}   | {ALL_ROWS} |" in output(run(command, served.environment))


def test_search_finds_events(program: Path, served: Served) -> None:
    printed = output(run([program, "search", "entity_type:Order"], served.environment))
    assert printed == "100 hits"


def test_new_events_are_followed_after_the_missed_ones(program: Path, served: Served) -> None:
    with running([program, "follow", "5"], served.environment) as (process, lines):
        assert lines == ["following"]
        served.publish_until(5, process, seed=31)
    assert process.returncode == 0, lines
    last = lines[-1].split()[-1]
    served.publish(4, seed=32)
    missed = output(run([program, "follow", "4", last], served.environment)).splitlines()
    assert sum(int(line.split()[0]) for line in missed[1:]) == 4


def test_errors_have_the_message_of_the_service(program: Path, served: Served) -> None:
    unknown = run([program, "read", "analytics/nothing"], served.environment)
    assert unknown.returncode == 1
    assert "There are: " in unknown.stderr
    nobody = {**served.environment, "FRAISEQL_FLIGHT_TOKEN": ""}
    stranger = run([program, "read", "analytics/events"], nobody)
    assert stranger.returncode == 1
    assert "Set FRAISEQL_FLIGHT_TOKEN" in stranger.stderr
    absent = {**served.environment, "FRAISEQL_FLIGHT_URL": "grpc://127.0.0.1:1"}
    silent = run([program, "read", "analytics/events"], absent)
    assert "No service answers at grpc://127.0.0.1:1" in silent.stderr
