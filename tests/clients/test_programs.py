"""What the programs in Go, Rust and JavaScript have in common, against the service."""

import pytest

from tests.clients.broken import Cut, short_flight, short_http
from tests.clients.harness import DAYS, ORDERS, ROWS, SECRET, Served, output, run, running
from tests.clients.programs import Command
from tests.tokens import signed

ALL_ROWS = ROWS * len(DAYS)


@pytest.fixture(params=["go", "rust", "javascript"])
def reading(request: pytest.FixtureRequest) -> Command:
    """A program that reads."""
    return request.getfixturevalue(request.param)


@pytest.fixture(params=["go", "rust"])
def following(request: pytest.FixtureRequest) -> Command:
    """A program that also follows the log and writes."""
    return request.getfixturevalue(request.param)


def positions(lines: list[str]) -> list[str]:
    """What a program that follows the log printed: where it stood."""
    return [line.split()[-1] for line in lines if "events up to" in line]


def followed(lines: list[str]) -> int:
    """How many events it printed."""
    return sum(int(line.split()[0]) for line in lines if "events up to" in line)


@pytest.mark.parametrize("asset", ["analytics/events", "operational/events"])
def test_an_asset_is_read_from_all_endpoints(reading: Command, served: Served, asset: str) -> None:
    printed = output(run([*reading, "read", asset], served.environment))
    assert f"{asset}: {ALL_ROWS} rows of {ALL_ROWS} announced, {len(DAYS)} endpoints" in printed


def test_a_query_is_read(reading: Command, served: Served) -> None:
    query = "{ orders { id totalPrice } }"
    assert output(run([*reading, "query", query], served.environment)) == f"{ORDERS} rows"


def test_search_finds_events(reading: Command, served: Served) -> None:
    printed = output(run([*reading, "search", "entity_type:Order"], served.environment))
    assert printed == "100 hits"


def test_fewer_rows_than_announced_are_an_error(reading: Command, served: Served) -> None:
    with short_flight() as flight_url, short_http() as http_url:
        urls = {"FRAISEQL_FLIGHT_URL": flight_url, "FRAISEQL_HTTP_URL": http_url}
        short = run([*reading, "read", "analytics/events"], {**served.environment, **urls})
    assert short.returncode == 1
    assert "3 of 5" in short.stderr


def test_errors_have_the_message_of_the_service(reading: Command, served: Served) -> None:
    unknown = run([*reading, "read", "analytics/nothing"], served.environment)
    assert unknown.returncode == 1
    assert "There are: " in unknown.stderr
    nobody = {**served.environment, "FRAISEQL_FLIGHT_TOKEN": ""}
    stranger = run([*reading, "read", "analytics/events"], nobody)
    assert stranger.returncode == 1
    assert "token" in stranger.stderr.lower()


def test_an_unreachable_service_is_named(reading: Command, served: Served) -> None:
    urls = {"FRAISEQL_FLIGHT_URL": "grpc://127.0.0.1:1", "FRAISEQL_HTTP_URL": "http://127.0.0.1:1"}
    silent = run([*reading, "read", "analytics/events"], {**served.environment, **urls})
    assert silent.returncode == 1
    assert "127.0.0.1:1" in silent.stderr


def test_written_events_are_in_the_log_once(following: Command, served: Served) -> None:
    before = served.head()
    assert output(run([*following, "write", "7"], served.environment)).startswith(
        "7 events written"
    )
    written = served.logged(before, 7)
    assert {event["entity_type"] for event in written} == {"Note"}
    assert len({event["event_id"] for event in written}) == 7


def test_writing_without_the_scope_is_refused(following: Command, served: Served) -> None:
    reader = {**served.environment, "FRAISEQL_FLIGHT_TOKEN": signed(SECRET, sub="eve")}
    refused = run([*following, "write", "1"], reader)
    assert refused.returncode == 1
    assert "scope" in refused.stderr


def test_new_events_are_followed_after_the_missed_ones(following: Command, served: Served) -> None:
    with running([*following, "follow", "5"], served.environment) as (process, lines):
        assert lines == ["following"]
        served.publish(5)
    assert (process.returncode, followed(lines)) == (0, 5), lines
    served.publish(4)
    after = positions(lines)[-1]
    missed = output(run([*following, "follow", "4", after], served.environment)).splitlines()
    assert followed(missed) == 4
    assert positions(missed)[-1] == f"{served.head()}:0"


def test_following_continues_after_the_connection_breaks(
    following: Command, served: Served
) -> None:
    with Cut(served.settings.flight_url) as cut:
        environment = {**served.environment, "FRAISEQL_FLIGHT_URL": cut.url}
        with running([*following, "follow", "9"], environment) as (process, lines):
            served.publish(3)
            cut.after(lambda: followed(lines) == 3)
            served.publish(6)
    assert (process.returncode, followed(lines)) == (0, 9), lines
    assert positions(lines)[-1] == f"{served.head()}:0"


def test_a_position_that_the_log_does_not_have_is_refused(
    following: Command, served: Served
) -> None:
    ahead = run([*following, "follow", "1", "999999:0"], served.environment)
    assert ahead.returncode == 1
    assert "start_sequence" in ahead.stderr
