"""Erased GraphQL requests are not restored by any run, rebuild or replay."""
# ruff: noqa: F811 [fixtures are imported, and are then parameters]

from collections.abc import Callable

import pytest
from request_messages import publish_payloads
from test_requests import (  # noqa: F401 - their fixtures
    COUNT,
    contents,
    day_of,
    filled,
    log,
    other,
    plane,
)
from typer.testing import CliRunner

from fraiseql_assets.cli.commands import erase as command
from fraiseql_assets.cli.main import app
from fraiseql_assets.pipeline.dead_letter_replay import replay
from fraiseql_assets.pipeline.erase import erase_requests
from fraiseql_assets.pipeline.job import Report
from fraiseql_assets.pipeline.verify import verify_day
from fraiseql_assets.planes import Batching, Plane
from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.dead_letter_reader import read_dead_letters
from fraiseql_assets.stream.log import Log

Materialise = Callable[..., Report]


def test_an_erased_request_stays_erased_after_a_rebuild(
    plane: Plane, filled: Log, ingest: Materialise, rebuild: Materialise, settings: Settings
) -> None:
    ingest(plane)
    day = day_of(filled)
    [erased] = erase_requests(settings, request_id="r-20")
    assert (erased.plane, erased.day, erased.rows) == (plane.name, day, 1)
    assert "r-20" not in contents(plane, day)["request_id"].to_pylist()
    assert verify_day(plane, filled, day).is_complete
    assert rebuild(plane, day).rows == COUNT - 1
    assert list(erase_requests(settings, request_id="r-20")) == []


def test_all_requests_of_a_user_are_erased_before_and_after_ingestion(
    plane: Plane, filled: Log, ingest: Materialise, settings: Settings
) -> None:
    head = b'"query":"{ a }","status":"ok","transport":"http","timestamp":"2026-01-01T00:00:00Z"'
    publish_payloads(settings, b'{"id":"other","user_id":"bob",%s}' % head)
    publish_payloads(settings, b'{"id":"nobody",%s}' % head)
    ingest(plane, 1, COUNT - 1)
    list(erase_requests(settings, user_id="ada"))
    ingest(plane, COUNT)
    assert contents(plane, day_of(filled))["request_id"].to_pylist() == ["other", "nobody"]


def test_a_replay_does_not_write_an_erased_request(
    plane: Plane, filled: Log, ingest: Materialise, settings: Settings
) -> None:
    ingest(plane, 1, COUNT - 1)
    last = SequenceRange(COUNT, COUNT)
    [message] = filled.read(last, Batching(1, 1, 1, 1), ahead=1)
    filled.store_dead_letters(plane.name, [message.reject(0, "refused")])
    list(erase_requests(settings, request_id=f"r-{COUNT}"))
    assert replay(settings, list(read_dead_letters(settings))).failures == ()
    assert plane.count(day_of(filled)).rows == COUNT - 1
    assert list(read_dead_letters(settings)) == []


@pytest.mark.parametrize("arguments", [["--request-id", "r-20"], ["--requests-of", "ada"]])
def test_the_command_erases_requests(
    arguments: list[str],
    plane: Plane,
    filled: Log,
    ingest: Materialise,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ingest(plane)
    monkeypatch.setattr(command, "read_settings", lambda: settings)
    done = CliRunner().invoke(app, ["erase", *arguments, "--yes"])
    assert done.exit_code == 0, done.output
    assert "r-20" not in contents(plane, day_of(filled))["request_id"].to_pylist()
