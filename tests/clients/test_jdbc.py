"""The JDBC example, against the service."""

import shutil
from pathlib import Path

import pytest

from tests.clients.harness import CLIENTS, DAYS, ROWS, Served, output, run
from tests.jdbc_driver import driver_jar

EXAMPLE = CLIENTS / "jdbc" / "Fraiseql.java"
ALL_ROWS = ROWS * len(DAYS)


@pytest.fixture(scope="module")
def command() -> list[str | Path]:
    """What starts the example: Java compiles the file by itself."""
    assert shutil.which("javac"), "A JDK is missing: .ci/clients installs what the tests need."
    return ["java", "--add-opens=java.base/java.nio=ALL-UNNAMED", "-cp", driver_jar(), EXAMPLE]


def test_all_rows_of_a_statement_are_read(command: list[str | Path], served: Served) -> None:
    printed = output(run([*command, "SELECT * FROM fraiseql_events"], served.environment))
    assert f"{ALL_ROWS} rows of {ALL_ROWS} announced" in printed


def test_errors_have_the_message_of_the_service(command: list[str | Path], served: Served) -> None:
    unknown = run([*command, "SELECT * FROM nothing"], served.environment)
    assert unknown.returncode == 1
    assert "There is no relation nothing" in unknown.stderr
    nobody = {**served.environment, "FRAISEQL_FLIGHT_TOKEN": ""}
    stranger = run([*command, "SELECT * FROM fraiseql_events"], nobody)
    assert stranger.returncode == 1
    assert "Set FRAISEQL_FLIGHT_TOKEN" in stranger.stderr
