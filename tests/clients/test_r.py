"""The R package, over Flight and over HTTP, against the service. R runs in a system of its own."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.broken import Cut, short_flight, short_http
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
    tool,
)
from tests.clients.trust import trusting, untouched
from tests.examples import BLOCK, blocks

FOLDER = CLIENTS / "r"
ALL_ROWS = ROWS * len(DAYS)
REPOSITORY = "opt/fraiseql"
"""Where the repository is for R, with this package alone."""

R = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def root() -> Path:
    """The folder that R runs in, with the package installed."""
    tool("debootstrap")
    made = run([FOLDER.parents[1] / ".ci" / "r-root"], {}, seconds=SECONDS_TO_BUILD)
    found = Path(output(made))
    shutil.rmtree(found / REPOSITORY, ignore_errors=True)
    shutil.copytree(FOLDER, found / REPOSITORY / "clients" / "r")
    [install] = blocks(FOLDER / "README.md", "sh")
    shell = ["sh", "-euc", f"cd /{REPOSITORY}\n{install}"]
    output(run(["/usr/sbin/chroot", found, *shell], {}))
    return found


def command(root: Path, program: str) -> list[str | Path]:
    loaded = f"suppressMessages(library(fraiseql)); {program}"
    return ["/usr/sbin/chroot", root, "Rscript", "-e", loaded]


@pytest.fixture
def r(root: Path, served: Served) -> R:
    """Runs a program."""

    def run_program(program: str, **changes: str) -> subprocess.CompletedProcess[str]:
        return run(command(root, program), {**environment(served), **changes})

    return run_program


def environment(served: Served) -> dict[str, str]:
    own = {"PATH": os.defpath, "RETICULATE_PYTHON": "/usr/bin/python3", "LC_ALL": "C.UTF-8"}
    return {**own, **served.environment}


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


def test_fewer_rows_than_announced_are_an_error(r: R) -> None:
    with short_flight() as flight_url, short_http() as http_url:
        urls = {"FRAISEQL_FLIGHT_URL": flight_url, "FRAISEQL_HTTP_URL": http_url}
        for program in (
            "read_asset(fraiseql_connect(), 'analytics/events')",
            "read_asset_http(fraiseql_http(), 'analytics/events')",
        ):
            short = r(program, **urls)
            assert (short.returncode, "3 of 5" in short.stderr) == (1, True), short.stderr


NOTES = """
    notes <- data.frame(
      event_id = paste0("r-", 1:6), event_type = "INSERT", entity_type = "Note",
      entity_id = as.character(1:6), timestamp = Sys.time(), data = "{}"
    )
"""


def test_written_events_are_in_the_log_once(r: R, served: Served) -> None:
    before = served.head()
    program = f"{NOTES} cat(unlist(write_rows(fraiseql_connect(), notes)[c('rows', 'duplicates')]))"
    assert output(r(program)) == "6 0"
    written = served.logged(before, 6)
    assert {event["event_id"] for event in written} == {f"r-{number}" for number in range(1, 7)}
    refused = r(f"{NOTES} write_rows(fraiseql_connect(), notes['data'])")
    assert (refused.returncode, "event_id" in refused.stderr) == (1, True), refused.stderr


FOLLOW = """
    rows <- 0
    position <- follow_events(fraiseql_connect(), function(events) {{
      rows <<- rows + nrow(events)
      cat(nrow(events), "events\n")
      rows < {count}
    }}, after = {after})
    cat("up to", position, "\n")
"""


def test_following_continues_after_a_break_and_after_a_position(
    r: R, root: Path, served: Served
) -> None:
    before = served.head()
    # Behind all rows of the last message.
    follow = FOLLOW.format(count=9, after=f"'{before}:{2**32 - 1}'")
    with Cut(served.settings.flight_url) as cut:
        own = {**environment(served), "FRAISEQL_FLIGHT_URL": cut.url}
        served.publish(3)
        with running(command(root, follow), own) as (process, lines):
            assert lines == ["3 events"]
            cut.now()
            served.publish(6)
    assert process.returncode == 0, lines
    events = sum(int(line.split()[0]) for line in lines if line.strip().endswith("events"))
    assert (events, lines[-1].split()[-1]) == (9, f"{served.head()}:0")
    after = lines[-1].split()[-1]
    served.publish(4)
    later = output(r(FOLLOW.format(count=4, after=f"'{after}'")))
    assert later.endswith(f"up to {served.head()}:0")


@pytest.mark.parametrize(
    "program",
    [
        "cat(nrow(read_asset(fraiseql_connect(), 'analytics/events')))",
        "cat(nrow(read_asset_http(fraiseql_http(), 'analytics/events')))",
    ],
    ids=["flight", "http"],
)
def test_tls_uses_a_file_or_the_authorities_of_the_system(
    root: Path, served: Served, tmp_path: Path, program: str
) -> None:
    own = {**environment(served), **served.environment_of(served.encrypted)}
    shutil.copy(served.authority, root / "opt" / "authority.pem")
    named = {"FRAISEQL_FLIGHT_CA_FILE": "/opt/authority.pem"}
    assert output(run(untouched(command(root, program)), {**own, **named})) == f"{ALL_ROWS}"
    trusted = trusting(served.authority, tmp_path, command(root, program), root)
    assert output(run(trusted, own)) == f"{ALL_ROWS}"
    refused = run(untouched(command(root, program)), own)
    assert (refused.returncode, "FRAISEQL_FLIGHT_CA_FILE" in refused.stderr) == (1, True)


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
