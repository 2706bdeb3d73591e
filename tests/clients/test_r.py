"""The R package, over Flight and over HTTP, against the service. R runs in a system of its own."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.harness import (
    CLIENTS,
    DAYS,
    ORDERS,
    ROWS,
    SECONDS,
    SECONDS_TO_BUILD,
    Served,
    output,
    run,
)
from tests.examples import BLOCK

FOLDER = CLIENTS / "r"
ALL_ROWS = ROWS * len(DAYS)
PACKAGE = "opt/fraiseql"

R = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def root() -> Path:
    """The folder that R runs in, with the package installed."""
    assert shutil.which("debootstrap"), "debootstrap is missing: .ci/clients installs it."
    made = run([FOLDER.parents[1] / ".ci" / "r-root"], {}, seconds=SECONDS_TO_BUILD)
    found = Path(output(made))
    shutil.rmtree(found / PACKAGE, ignore_errors=True)
    shutil.copytree(FOLDER, found / PACKAGE)
    output(run(["/usr/sbin/chroot", found, "R", "CMD", "INSTALL", f"/{PACKAGE}"], {}))
    return found


@pytest.fixture
def r(root: Path, served: Served) -> R:
    """Runs a program."""

    def run_program(program: str, **changes: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": os.defpath,
            "RETICULATE_PYTHON": "/usr/bin/python3",
            "LC_ALL": "C.UTF-8",
            **served.environment,
            **changes,
        }
        return subprocess.run(
            [
                "/usr/sbin/chroot",
                root,
                "Rscript",
                "-e",
                f"suppressMessages(library(fraiseql)); {program}",
            ],
            env=environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    return run_program


@pytest.mark.parametrize("asset", ["analytics/events", "operational/events"])
def test_an_asset_is_read_from_all_endpoints(r: R, asset: str) -> None:
    assert output(r(f"cat(nrow(read_asset(fraiseql_connect(), '{asset}')))")) == f"{ALL_ROWS}"


def test_an_asset_is_narrowed_by_days_and_columns(r: R) -> None:
    program = (
        "some <- read_asset(fraiseql_connect(), 'analytics/events', "
        f"start = as.Date('{DAYS[1]}'), columns = 'event_id'); cat(dim(some))"
    )
    assert output(r(program)) == f"{2 * ROWS} 1"


def test_queries_events_and_search_are_read(r: R) -> None:
    program = """
        client <- fraiseql_connect()
        cat(nrow(query_graphql(client, "{ orders { id totalPrice } }")), "")
        one <- query_graphql(client, "query($n: Int) { orders(limit: $n) { id } }", list(n = 7))
        cat(nrow(as.data.frame(one)), "")
        cat(nrow(read_events(client, "Order", limit = 20)), "")
        cat(nrow(search_events(client, "entity_type:Order", limit = 5)))
    """
    assert output(r(program)) == f"{ORDERS} 7 20 5"


def test_rows_over_http_need_no_python(r: R) -> None:
    program = """
        http <- fraiseql_http()
        cat(nrow(read_asset_http(http, "analytics/events")), "")
        cat(nrow(query_graphql_http(http, "{ orders { id } }")), "")
        cat(nrow(search_events_http(http, "entity_type:Order", limit = 5)), "")
        stopifnot(!"reticulate" %in% loadedNamespaces() || !reticulate::py_available())
        content <- fraiseql:::ask(http, "/assets/analytics/org_daily", list(format = "arrow"))
        cat(nrow(as.data.frame(nanoarrow::read_nanoarrow(content))) > 0)
    """
    assert output(r(program)) == f"{ALL_ROWS} {ORDERS} 5 TRUE"


def test_errors_have_the_message_of_the_service(r: R) -> None:
    for program in (
        "read_asset(fraiseql_connect(), 'analytics/nothing')",
        "read_asset_http(fraiseql_http(), 'analytics/nothing')",
    ):
        unknown = r(program)
        assert (unknown.returncode, "There are: " in unknown.stderr) == (1, True), unknown.stderr
        stranger = r(program, FRAISEQL_FLIGHT_TOKEN="")
        assert "set FRAISEQL_FLIGHT_TOKEN" in stranger.stderr


def test_the_calls_of_the_fraiseql_script_work(r: R, served: Served) -> None:
    program = """
        suppressMessages({library(arrow); library(jsonlite)})
        client <- flight_connect(host = "127.0.0.1", port = %s)
        ask <- function(ticket) flight_get(client, toJSON(ticket, auto_unbox = TRUE))
        query <- "{ orders(limit: 9) { id } }"
        rows <- ask(list(type = "GraphQLQuery", query = query, variables = NULL))
        events <- ask(list(type = "ObserverEvents", entity_type = "Order",
                           start_date = "2026-01-01", limit = 20))
        cat(nrow(as.data.frame(rows)), nrow(as.data.frame(events)))
    """
    port = served.unguarded.settings.flight_url.rpartition(":")[2]
    assert output(r(program % port, FRAISEQL_FLIGHT_TOKEN="")) == "9 20"


def test_the_examples_of_the_readme_run(r: R) -> None:
    blocks = [
        found["code"]
        for found in BLOCK.finditer((FOLDER / "README.md").read_text())
        if found["language"] == "r" and not found["kept_from"]
    ]
    assert len(blocks) > 3
    output(r("\n".join(blocks)))
