"""TLS in the clients that are programs, against a service with a certificate of its own."""

import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.clients.harness import CLIENTS, DAYS, ROWS, Served, output, run
from tests.clients.programs import NODE, Command
from tests.clients.trust import trusting, untouched

ALL_ROWS = ROWS * len(DAYS)
PYTHON = (
    "import fraiseql_client as f; "
    "print(f.connect().read_asset('analytics/events').to_arrow().num_rows, 'rows')"
)


@dataclass(frozen=True)
class Reading:
    """A command that reads all events and prints their number."""

    command: Command
    setting: str = "FRAISEQL_FLIGHT_CA_FILE"
    """The variable that names the authority."""
    environment: dict[str, str] = field(default_factory=dict)


@pytest.fixture(params=["go", "rust", "javascript", "jdbc", "python"])
def reading(request: pytest.FixtureRequest) -> Reading:
    if request.param == "python":
        path = {"PYTHONPATH": str(CLIENTS / "python" / "src")}
        return Reading([sys.executable, "-c", PYTHON], environment=path)
    command: Command = request.getfixturevalue(request.param)
    if request.param == "jdbc":
        return Reading([*command, "SELECT * FROM fraiseql_events"])
    if request.param == "javascript":
        system = [NODE, "--use-system-ca", *command[1:]]
        return Reading([*system, "read", "analytics/events"], "NODE_EXTRA_CA_CERTS")
    return Reading([*command, "read", "analytics/events"])


@pytest.fixture
def environment(served: Served, reading: Reading) -> dict[str, str]:
    return {**served.environment_of(served.encrypted), **reading.environment}


def test_an_authority_in_a_file_is_trusted(
    reading: Reading, environment: dict[str, str], served: Served
) -> None:
    named = ["env", f"{reading.setting}={served.authority}", *reading.command]
    done = run(untouched(named), environment)
    assert f"{ALL_ROWS} rows" in output(done)


def test_authorities_of_the_system_are_trusted(
    reading: Reading, environment: dict[str, str], served: Served, tmp_path: Path
) -> None:
    done = run(trusting(served.authority, tmp_path, reading.command), environment)
    assert f"{ALL_ROWS} rows" in output(done)


def test_an_unknown_authority_is_refused(reading: Reading, environment: dict[str, str]) -> None:
    refused = run(untouched(reading.command), environment)
    assert refused.returncode != 0
    assert "rows" not in refused.stdout
    assert reading.setting in refused.stderr
