"""The statements for ClickHouse, on its engine, against the service."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.broken import growing_http, short_http
from tests.clients.harness import CLIENTS, DAYS, ROWS, SECONDS, Served, output

FOLDER = CLIENTS / "clickhouse"
PROGRAM = Path(__file__).with_name("clickhouse_statements.py")
ALL_ROWS = ROWS * len(DAYS)

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def statements(served: Served, tmp_path: Path) -> Run:
    """Runs files and statements in one session, with the service's real address."""

    def run(
        *texts: str,
        token: str = served.token,
        url: str = served.settings.http_url,
        files: tuple[Path, ...] = (),
    ) -> subprocess.CompletedProcess[str]:
        given = [(FOLDER / text).read_text() if text.endswith(".sql") else text for text in texts]
        sql = ";\n".join(given).replace("http://127.0.0.1:8080", url)
        return subprocess.run(
            [sys.executable, PROGRAM, tmp_path, FOLDER / "named_collection.xml", *files],
            input=sql.replace("TOKEN", served.token),
            env={"TZ": "UTC", "FRAISEQL_AUTHORIZATION": f"Bearer {token}"},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    return run


def test_an_asset_is_read(statements: Run) -> None:
    lines = output(statements("read_asset.sql")).splitlines()
    assert sum(int(line.split("\t")[1]) for line in lines) == ALL_ROWS


def test_the_rows_are_compared_with_the_announced_total(statements: Run) -> None:
    assert output(statements("compare_rows.sql")) == f"{ALL_ROWS}\t{ALL_ROWS}\t0"


def test_days_are_read_on_their_own(statements: Run) -> None:
    days = ",".join(f"{day}" for day in DAYS[1:])
    address = f"http://127.0.0.1:8080/assets/analytics/events?format=arrow&partition={{{days}}}"
    count = f"SELECT count(), uniqExact(event_id) FROM url(fraiseql, url = '{address}')"
    assert output(statements(count)) == f"{2 * ROWS}\t{2 * ROWS}"


def test_fewer_rows_than_announced_are_an_error(statements: Run) -> None:
    with short_http() as url:
        short = statements("compare_rows.sql", url=url)
    assert (short.returncode, "Fewer rows arrived" in short.stderr) == (1, True), short.stderr


def test_rows_that_arrive_meanwhile_are_no_error(statements: Run) -> None:
    with growing_http() as url:
        announced, arrived, short = map(
            int, output(statements("compare_rows.sql", url=url)).split()
        )
    assert (announced < arrived, short) == (True, 0)


def test_a_named_collection_created_by_sql_has_the_token(statements: Run) -> None:
    address = "http://127.0.0.1:8080/assets/analytics/events?format=arrow&columns=event_id"
    count = f"SELECT count() FROM url(fraiseql_by_statement, url = '{address}')"
    assert output(statements("named_collection.sql", count)) == f"{ALL_ROWS}"


def test_a_view_over_a_query_is_refreshed(statements: Run) -> None:
    printed = output(
        statements(
            "CREATE DATABASE shop ENGINE = Atomic",
            "USE shop",
            "graphql_view.sql",
            "SYSTEM REFRESH VIEW shipped_orders",
            "SYSTEM WAIT VIEW shipped_orders",
            "SELECT count() > 0, uniqExact(id) = count() FROM shipped_orders",
        )
    )
    assert printed == "1\t1"


def test_search_hits_are_read(statements: Run) -> None:
    lines = output(statements("search.sql")).splitlines()
    assert len(lines) == 20
    assert {line.split("\t")[3] for line in lines} == {"Order"}


def test_an_invalid_token_is_refused(statements: Run) -> None:
    refused = statements("read_asset.sql", token="nonsense")
    assert refused.returncode == 1
    assert "401" in refused.stderr


def test_tls_trusts_the_authority_of_a_file(
    statements: Run, served: Served, tmp_path: Path
) -> None:
    text = (FOLDER / "authority.xml").read_text()
    authority = tmp_path / "authority.xml"
    authority.write_text(
        text.replace("/etc/clickhouse-server/authority.pem", f"{served.authority}")
    )
    url = served.encrypted.settings.http_url
    printed = output(statements("compare_rows.sql", url=url, files=(authority,)))
    assert printed == f"{ALL_ROWS}\t{ALL_ROWS}\t0"
    # It would try again for two minutes.
    refused = statements("SET http_max_tries = 1", "compare_rows.sql", url=url)
    assert (refused.returncode, "certificate verify failed" in refused.stderr) == (1, True)


def test_the_engine_of_the_tests_has_no_arrow_flight_function(statements: Run) -> None:
    # As the README says. Where this fails, the engine has it: give an example, and test it.
    names = "SELECT count() FROM system.table_functions WHERE name ILIKE 'arrowFlight'"
    assert output(statements(names)) == "0"
