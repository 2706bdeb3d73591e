"""`fraiseql-assets events`, run as a person runs it."""

import asyncio
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from command_line import invoke
from flights import (
    SECONDS,
    Service,
    environment,
    events_of,
    fill,
    serving,
    set_up,
)
from pydantic import SecretStr
from stacks import WHOLE
from tokens import signed
from typer.testing import Result

from fraiseql_assets.analytics.plane import AnalyticsPlane
from fraiseql_assets.events.schema import EVENT_SCHEMA
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.publish import publish_generated

DAY = datetime.now(UTC).date() - timedelta(days=2)
SECRET = "a secret of at least thirty-two characters"
TOKEN = signed(SECRET, sub="ada")


def run(settings: Settings, *arguments: str) -> Result:
    return invoke(environment(settings), "events", *arguments)


@pytest.fixture(scope="module")
def service(module_settings: Settings) -> Iterator[Service]:
    plane = AnalyticsPlane(module_settings)
    set_up(module_settings, plane)
    fill(plane, module_settings, DAY, events_of(DAY, 200, first=1))
    plane.close()
    with serving(module_settings, jwt_secret=SecretStr(SECRET)) as service:
        yield service


@pytest.fixture
def with_token(service: Service) -> Settings:
    """The settings of a user who may call the service."""
    settings = service.settings
    return settings.model_copy(update={"flight_token": SecretStr(TOKEN), "jwt_secret": None})


def test_events_are_shown(with_token: Settings) -> None:
    table = run(with_token, "--entity-type", "Order", "--limit", "3").stdout.splitlines()
    assert [*table[0].split()] == [
        "timestamp", "entity_type", "event_type", "entity_id", "tenant_id", "data",
    ]  # fmt: skip
    assert [line.split()[2] for line in table[1:]] == ["Order"] * 3
    lines = run(with_token, "--start", f"{DAY}", "--end", f"{DAY}", "--json").stdout.splitlines()
    rows = [json.loads(line) for line in lines]
    assert (len(rows), list(rows[0])) == (100, EVENT_SCHEMA.names)
    nothing = run(with_token, "--start", f"{DAY + timedelta(days=1)}")
    assert (nothing.exit_code, nothing.stdout) == (0, "")
    assert nothing.stderr == "There are no such events.\n"


def test_the_newest_events_are_shown_in_order(with_token: Settings) -> None:
    rows = [
        json.loads(line) for line in run(with_token, "--limit", "7", "--json").stdout.splitlines()
    ]
    assert [row["stream_seq"] for row in rows] == list(range(194, 201))


def test_an_error_is_one_line(with_token: Settings) -> None:
    wrong = run(with_token, "--start", "yesterday")
    assert wrong.exit_code == 1
    assert wrong.stderr.startswith("✗ The ticket's field start_date is 'yesterday'. Write a date")
    assert "Detail" not in wrong.stderr
    unknown = run(with_token.model_copy(update={"flight_token": None}))
    assert unknown.exit_code == 1
    assert unknown.stderr.startswith("✗ Send the header `authorization: Bearer <JWT>`")


def test_an_unreachable_service_is_reported() -> None:
    done = run(Settings(flight_url="grpc://127.0.0.1:1"))
    assert done.exit_code == 1
    assert done.stderr == (
        "✗ The Flight service at grpc://127.0.0.1:1 does not answer. Work in a folder with the "
        "`.fraiseql` of a running stack, start the service with `python -m flight_service`, or set "
        "FRAISEQL_FLIGHT_URL.\n"
    )


@contextmanager
def publishing(settings: Settings) -> Iterator[None]:
    """An event now and then, for as long as the block takes."""
    enough = threading.Event()

    def publish() -> None:
        while not enough.wait(0.1):
            asyncio.run(publish_generated(settings, count=1, shape="observer"))

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join()


def test_new_events_are_followed_until_ctrl_c(service: Service, with_token: Settings) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WHOLE, "events", "--follow", "--json"],
        env=environment(with_token),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as following:
        assert following.stdout
        assert following.stderr
        with publishing(service.settings):
            first = following.stdout.readline()
        following.send_signal(signal.SIGINT)
        following.wait(SECONDS)
        # Not `communicate`, which passes over what `readline` has buffered.
        rest, told = following.stdout.read(), following.stderr.read()
    assert (following.returncode, told) == (0, "")
    sequences = [json.loads(line)["stream_seq"] for line in [first, *rest.splitlines()]]
    assert sequences == [*range(sequences[0], sequences[0] + len(sequences))]


def test_following_ends_at_its_limit(service: Service, with_token: Settings) -> None:
    with publishing(service.settings):
        done = run(with_token, "--follow", "--limit", "2")
    assert (done.exit_code, len(done.stdout.splitlines())) == (0, 3)


def test_following_starts_in_the_past_and_filters(service: Service, with_token: Settings) -> None:
    asyncio.run(publish_generated(service.settings, count=100, shape="observer", seed=1))
    past = ("--follow", "--start", f"{datetime.now(UTC).date()}", "--limit", "3", "--json")
    lines = run(with_token, *past, "--where", "status = 'paid'").stdout.splitlines()
    assert [json.loads(json.loads(line)["data"])["status"] for line in lines] == ["paid"] * 3
    assert "--where" in run(with_token, "--where", "status = 'paid'").stderr
