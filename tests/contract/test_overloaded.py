"""An Elasticsearch that is too busy, or whose answers get lost on the way.

No real server is overloaded on demand: a small proxy answers in its place, or passes the request on
and keeps the answer to itself. What it passes on is done by the real server.
"""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests
from event_tables import DAY, block, event
from pydantic import SecretStr

from fraiseql_assets.operational import writer
from fraiseql_assets.operational.plane import OperationalPlane
from fraiseql_assets.planes import PlaneError, PlaneUnavailable, Written
from fraiseql_assets.settings import Settings

EVENTS = [event(number) for number in range(1, 21)]

Fault = Callable[[bytes, Callable[[bytes], tuple[int, bytes]]], tuple[int, bytes] | None]
"""What becomes of a `_bulk` request: an answer, or None for none. It gets the request and what
passes it on."""


def error(status: int, kind: str) -> tuple[int, bytes]:
    return status, json.dumps(
        {"error": {"type": kind, "reason": "as the test wants it"}, "status": status}
    ).encode()


def refused_whole(status: int, kind: str) -> Fault:
    return lambda *_: error(status, kind)


def refuse_every_second_document(
    request: bytes, forward: Callable[[bytes], tuple[int, bytes]]
) -> tuple[int, bytes]:
    lines = request.splitlines(keepends=True)
    documents = [b"".join(lines[place : place + 2]) for place in range(0, len(lines), 2)]
    status, answer = forward(b"".join(documents[::2]))
    taken = iter(json.loads(answer)["items"])
    busy = {"create": {"status": 429, "error": {"type": "es_rejected_execution_exception"}}}
    items = [busy if place % 2 else next(taken) for place in range(len(documents))]
    return status, json.dumps({"errors": True, "items": items}).encode()


def lose_response(request: bytes, forward: Callable[[bytes], tuple[int, bytes]]) -> None:
    forward(request)


PASSED = ("accept", "content-type")


class Proxy(ThreadingHTTPServer):
    """Passes everything on, except that the next `_bulk` requests have the faults that wait."""

    def __init__(self, behind: str) -> None:
        self.behind, self.faults, self.seen = behind, list[Fault](), 0
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy
    product: str | None = "Elasticsearch"

    def handle_request(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def forward(body: bytes) -> tuple[int, bytes]:
            answer = requests.request(
                self.command,
                self.server.behind + self.path,
                data=body,
                headers={
                    name: value for name, value in self.headers.items() if name.lower() in PASSED
                },
                timeout=30,
            )
            self.product = answer.headers.get("X-Elastic-Product")
            return answer.status_code, answer.content

        answer: tuple[int, bytes] | None
        if "_bulk" in self.path:
            self.server.seen += 1
            fault = self.server.faults.pop(0) if self.server.faults else None
            answer = fault(body, forward) if fault else forward(body)
        else:
            answer = forward(body)
        if answer is None:
            self.close_connection = True
            return
        self.send_response(answer[0])
        self.send_header("Content-Type", "application/json")
        if self.product:
            self.send_header("X-Elastic-Product", self.product)
        self.send_header("Content-Length", str(len(answer[1])))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer[1])

    def log_message(self, *_: Any) -> None: ...


for method in ("GET", "HEAD", "POST", "PUT", "DELETE"):
    setattr(Handler, f"do_{method}", Handler.handle_request)


@pytest.fixture
def proxy(settings: Settings) -> Iterator[Proxy]:
    with Proxy(settings.elasticsearch_url.get_secret_value().rstrip("/")) as proxy:
        serving = threading.Thread(target=proxy.serve_forever, args=(0.02,))
        serving.start()
        yield proxy
        proxy.shutdown()
        serving.join()


@pytest.fixture
def plane(
    proxy: Proxy, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[OperationalPlane]:
    """The plane through the proxy, set up, with short timeouts."""
    monkeypatch.setattr(writer, "FIRST_WAIT_SECONDS", 0.01)
    url = SecretStr(f"http://127.0.0.1:{proxy.server_port}")
    plane = OperationalPlane(settings.model_copy(update={"elasticsearch_url": url}))
    plane.setup()
    yield plane
    plane.close()


@pytest.mark.parametrize(
    "fault",
    [
        refused_whole(429, "es_rejected_execution_exception"),
        refused_whole(503, "no_shard_available_action_exception"),
        refused_whole(403, "cluster_block_exception"),
        refuse_every_second_document,
        lose_response,
    ],
    ids=["too many requests", "no shard", "no room", "every second event", "answer lost"],
)
def test_a_transient_error_is_retried(plane: OperationalPlane, proxy: Proxy, fault: Fault) -> None:
    proxy.faults += [fault, fault]
    assert plane.write(block(EVENTS)) == Written(rows=20, duplicates=0, refused=[])
    assert plane.count(DAY).rows == 20
    assert not proxy.faults


def test_a_lasting_overload_is_unavailable_and_a_later_retry_succeeds(
    plane: OperationalPlane, proxy: Proxy
) -> None:
    proxy.faults += [refused_whole(429, "es_rejected_execution_exception")] * writer.TRIES
    with pytest.raises(PlaneUnavailable, match=r"no room.*es_rejected_execution_exception"):
        plane.write(block(EVENTS))
    assert proxy.seen == writer.TRIES
    assert plane.write(block(EVENTS)) == Written(rows=20, duplicates=0, refused=[])
    assert plane.count(DAY).rows == 20


def test_events_that_are_always_refused_are_counted(plane: OperationalPlane, proxy: Proxy) -> None:
    proxy.faults += [refuse_every_second_document] * writer.TRIES
    with pytest.raises(PlaneUnavailable, match=r"1 of 64 events now: es_rejected"):
        # Each try leaves every second event of those that are left.
        plane.write(block([event(number) for number in range(1, 65)]))
    assert plane.count(DAY).rows == 63


def test_a_request_that_is_too_large_names_the_setting(
    plane: OperationalPlane, proxy: Proxy
) -> None:
    proxy.faults.append(refused_whole(413, "content_too_long_exception"))
    with pytest.raises(PlaneError, match="FRAISEQL_BULK_BYTES"):
        plane.write(block(EVENTS))
    assert proxy.seen == 1


@pytest.mark.parametrize(
    ("status", "kind"), [(401, "security_exception"), (403, "security_exception")]
)
def test_refused_credentials_are_reported_as_such(
    plane: OperationalPlane, proxy: Proxy, status: int, kind: str
) -> None:
    proxy.faults += [refused_whole(status, kind)] * writer.TRIES
    with pytest.raises(PlaneUnavailable, match="refuses the credentials"):
        plane.write(block(EVENTS))
