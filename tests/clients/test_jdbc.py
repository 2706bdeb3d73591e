"""The JDBC example, against the service."""

from tests.clients.broken import short_sql
from tests.clients.harness import DAYS, ROWS, Served, output, run
from tests.clients.programs import Command

ALL_ROWS = ROWS * len(DAYS)


def test_all_rows_of_a_statement_are_read(jdbc: Command, served: Served) -> None:
    printed = output(run([*jdbc, "SELECT * FROM fraiseql_events"], served.environment))
    assert f"{ALL_ROWS} rows of {ALL_ROWS} announced" in printed


def test_errors_have_the_message_of_the_service(jdbc: Command, served: Served) -> None:
    unknown = run([*jdbc, "SELECT * FROM nothing"], served.environment)
    assert unknown.returncode == 1
    assert "There is no relation nothing" in unknown.stderr
    nobody = {**served.environment, "FRAISEQL_FLIGHT_TOKEN": ""}
    stranger = run([*jdbc, "SELECT * FROM fraiseql_events"], nobody)
    assert stranger.returncode == 1
    assert "Set FRAISEQL_FLIGHT_TOKEN" in stranger.stderr


def test_fewer_rows_than_counted_are_an_error(jdbc: Command, served: Served) -> None:
    with short_sql() as url:
        environment = {**served.environment, "FRAISEQL_FLIGHT_URL": url}
        short = run([*jdbc, "SELECT * FROM fraiseql_events"], environment)
    assert short.returncode == 1
    assert "3 of 5" in short.stderr
