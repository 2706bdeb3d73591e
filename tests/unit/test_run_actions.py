"""The actions on Dagster's runs, without Dagster: what is refused, and how a run is followed."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import graphql
import pytest
from dagster_graphql.schema import create_schema
from pyarrow import flight

from flight_service.actions import StreamingAction
from flight_service.addresses import Address
from flight_service.assets import named
from flight_service.authentication import ANYONE, Principal
from flight_service.errors import Forbidden, InvalidRequest, Stopping, UnknownName
from flight_service.registry import Registry
from flight_service.runs import status
from flight_service.runs.actions import run_actions
from flight_service.runs.dagster import DOCUMENTS, Dagster, DagsterFailed
from flight_service.runs.status import followed
from flight_service.server import FlightServer
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.settings import Settings
from tests.unit.flight_server import SECRET, Made

NOWHERE = "http://127.0.0.1:9"


@contextmanager
def answering(code: int, content: str) -> Iterator[str]:
    """A web server that gives every request this response. Yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(code)
            self.end_headers()
            self.wfile.write(content.encode())

        def log_message(self, format: str, *args: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def run(name: str, body: Any, principal: Principal = ANYONE, **settings: Any) -> Any:
    """What the action answers, or its first result."""
    changed = Settings.model_validate({"dagster_url": NOWHERE, **settings})
    [action] = [one for one in run_actions(changed) if one.name == name]
    encoded = json.dumps(body).encode()
    if isinstance(action, StreamingAction):
        return next(action.run(encoded, principal, Cancellation()))
    return action.run(encoded, principal)


def test_the_documents_are_valid_by_the_schema_of_dagster() -> None:
    schema = create_schema().graphql_schema
    documents = [graphql.parse(path.read_text()) for path in DOCUMENTS.iterdir()]
    assert [error for one in documents for error in graphql.validate(schema, one)] == []


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("MaterializeAsset", {"asset": "analytics/events"}, "lacks the field `partition`"),
        ("MaterializeAsset", {"asset": "a", "partition": 1}, "'s field partition does not fit"),
        ("MaterializeAsset", [], "does not fit: expected `object`"),
        ("BackfillAsset", {"asset": "a", "start": "b", "stop": "c"}, "unknown field `stop`"),
        ("RunStatus", {}, "Name a run with run_id"),
        ("RunStatus", {"run_id": "a", "backfill_id": "b"}, "Name a run with run_id"),
        (
            "MaterializeAsset",
            {"asset": "stream/events", "partition": "2026-01-01"},
            "stream/events is the log itself",
        ),
    ],
)
def test_an_invalid_body_is_refused(name: str, body: Any, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        run(name, body)


def test_a_body_that_is_not_json_is_refused_with_the_known_fields() -> None:
    [action, *_] = run_actions(Settings(dagster_url=NOWHERE))
    with pytest.raises(InvalidRequest, match="It may have: asset, partition"):
        action.run(b"{", ANYONE)


def test_an_unknown_asset_is_refused_with_the_known_names() -> None:
    with pytest.raises(UnknownName, match=r"There is no asset 'a/b'. There are: analytics/events"):
        run("MaterializeAsset", {"asset": "a/b", "partition": "2026-01-01"})


@pytest.mark.parametrize("name", ["MaterializeAsset", "BackfillAsset", "RunStatus"])
def test_without_the_scope_runs_are_neither_started_nor_shown(name: str) -> None:
    with pytest.raises(Forbidden, match="'materialize'"):
        run(name, {}, Principal(subject="ada", scopes=frozenset({"sql"})), jwt_secret=SECRET)


@pytest.mark.parametrize(
    ("code", "content", "said"),
    [
        (401, "", "asks for a password. Set FRAISEQL_DAGSTER_PASSWORD"),
        (403, "", "Add it to FRAISEQL_DAGSTER_HOSTS"),
        (200, "<html>", "is not Dagster: status 200"),
        (200, "[]", "is not Dagster"),
        (500, "{}", "is not Dagster: status 500"),
        (200, '{"errors":[{"message":"no http://inner:1/ here\\nat"}]}', "error: no … here$"),
    ],
)
def test_an_error_of_dagster_is_reported_without_its_address(
    code: int, content: str, said: str
) -> None:
    with (
        answering(code, content) as url,
        pytest.raises(DagsterFailed, match=said) as caught,
    ):
        Dagster(Settings(dagster_url=url)).ask("run", {"id": "a"})
    assert "127.0.0.1" not in str(caught.value)


def test_an_unreachable_dagster_is_reported_without_its_address() -> None:
    with pytest.raises(DagsterFailed, match="does not answer") as caught:
        run("RunStatus", {"run_id": "a"})
    assert "127.0.0.1" not in str(caught.value)


def states(*names: str) -> Iterator[dict[str, Any]]:
    return ({"status": name} for name in names)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "POLL_SECONDS", 0)


def test_a_run_is_followed_until_it_ends(at_once: None) -> None:
    told = states("QUEUED", "QUEUED", "STARTED", "STARTED", "SUCCESS", "never")
    found = [state["status"] for state in followed(lambda: next(told), Cancellation())]
    assert found == ["QUEUED", "STARTED", "SUCCESS"]


def test_a_disconnect_ends_following_a_run() -> None:
    cancellation = Cancellation()
    following = followed(lambda: {"status": "STARTED"}, cancellation)
    next(following)
    cancellation.cancel()
    assert list(following) == []


def test_a_service_that_stops_ends_following_with_an_error() -> None:
    cancellation = Cancellation()
    following = followed(lambda: {"status": "STARTED"}, cancellation)
    next(following)
    cancellation.cancel(stopping=True)
    with pytest.raises(Stopping):
        next(following)


@contextmanager
def serving(action: StreamingAction) -> Iterator[flight.FlightClient]:
    address = Address("grpc", "127.0.0.1", 0, "FRAISEQL_FLIGHT_URL")
    registry = Registry({Made: lambda ticket, principal: None}, named, (), (action,))  # pyright: ignore[reportArgumentType]
    server = FlightServer(address, Settings(), registry)
    try:
        with flight.connect(str(server.address)) as client:
            yield client
    finally:
        server.stop(10)


def test_results_of_an_action_are_streamed() -> None:
    received = threading.Event()

    def stream(body: bytes, principal: Principal, call: Cancellation) -> Iterator[dict[str, Any]]:
        yield {"n": 1}
        assert received.wait(10)
        yield {"n": 2}
        raise DagsterFailed("Dagster's web server does not answer.")

    with serving(StreamingAction("Count", "", stream)) as client:
        results = client.do_action("Count")
        assert json.loads(next(results).body.to_pybytes()) == {"n": 1}
        received.set()
        assert json.loads(next(results).body.to_pybytes()) == {"n": 2}
        with pytest.raises(flight.FlightUnavailableError, match="does not answer"):
            next(results)


def test_a_disconnect_ends_an_action() -> None:
    ended = threading.Event()

    def stream(body: bytes, principal: Principal, call: Cancellation) -> Iterator[dict[str, Any]]:
        yield {}
        if call.wait(10):
            ended.set()

    with serving(StreamingAction("Wait", "", stream)) as client:
        results = client.do_action("Wait")
        next(results)
        del results
        client.close()
        assert ended.wait(10)
