"""What only the Rust crate has: its own tests, Flight SQL, and DataFusion over an asset."""

from pathlib import Path

from tests.clients.harness import CLIENTS, DAYS, ROWS, SECONDS_TO_BUILD, Served, output, run, tool
from tests.clients.programs import Command

ALL_ROWS = ROWS * len(DAYS)


def test_the_tests_of_the_crate_pass(rust_examples: Path) -> None:
    test = [tool("cargo"), "test", "--quiet", "--lib", "--features", "datafusion"]
    done = run(test, {}, cwd=CLIENTS / "rust", seconds=SECONDS_TO_BUILD)
    assert "0 failed" in output(done)


def test_sql_is_read(rust: Command, served: Served) -> None:
    statement = "SELECT entity_type FROM fraiseql_events"
    assert output(run([*rust, "sql", statement], served.environment)) == f"{ALL_ROWS} rows"


def test_datafusion_reads_the_endpoints_as_partitions(rust_examples: Path, served: Served) -> None:
    statement = "SELECT count(*) AS events, count(DISTINCT event_id) AS ids FROM asset"
    command = [rust_examples / "datafusion", "analytics/events", statement]
    assert f"| {ALL_ROWS}   | {ALL_ROWS} |" in output(run(command, served.environment))
