"""The middleware: what it records of an application's requests, and that it changes nothing."""

import json
from typing import Any

import httpx
import pytest

from fraiseql_assets.request_log.asgi import Identity, RecordRequests
from fraiseql_assets.request_log.publisher import Recorded
from fraiseql_assets.requests.record import RequestRecord

QUERY = {"query": "query Q($id: ID) { order(id: $id) { id } }", "variables": {"id": "o-1"}}
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


class Recorder:
    """Keeps what is recorded."""

    def __init__(self) -> None:
        self.kept: list[Recorded] = []

    def record(self, request: Recorded) -> None:
        self.kept.append(request)

    @property
    def one(self) -> RequestRecord:
        [recorded] = self.kept
        record = recorded() if callable(recorded) else recorded
        assert record
        return record


def answering(*pieces: bytes, status: int = 200, read: bool = True) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        while read and (await receive()).get("more_body"):
            pass
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    return app


async def ask(app: Any, method: str = "POST", path: str = "/graphql", **given: Any) -> Any:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        return await client.request(method, path, **given)


def run(app: Any, **given: Any) -> tuple[httpx.Response, Recorder]:
    import asyncio

    recorder = Recorder()
    recording = RecordRequests(app, recorder, identify=lambda _: Identity("ada", "acme"))
    return asyncio.run(ask(recording, **given)), recorder


def test_a_request_is_recorded_with_principal_query_and_result() -> None:
    body = json.dumps({"data": {"order": [{"id": 1}, {"id": 2}]}}).encode()
    headers = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    answer, recorder = run(answering(body), json=QUERY, headers=headers)
    record = recorder.one
    assert answer.content == body
    assert (record.query, record.variables) == (QUERY["query"], QUERY["variables"])
    assert (record.user_id, record.tenant_id) == ("ada", "acme")
    assert (record.status, record.rows, record.bytes) == ("ok", 2, len(body))
    assert record.trace_id == TRACE


def test_errors_are_recorded_with_their_codes() -> None:
    errors = [{"message": "gone", "extensions": {"code": "NOT_FOUND"}}, {"message": "more"}]
    _, recorder = run(answering(json.dumps({"errors": errors}).encode()), json=QUERY)
    assert recorder.one.status == "error"
    assert [(e.message, e.code) for e in recorder.one.errors] == [
        ("gone", "NOT_FOUND"),
        ("more", None),
    ]


def test_errors_after_a_long_response_are_recorded() -> None:
    data = b'{"data":{"a":["' + b"x" * 2_000_000 + b'"]}'
    pieces = (data, b',"errors":[{"message":"late","code":"BAD_DOCUMENT"}]}')
    answer, recorder = run(answering(*pieces), json=QUERY)
    assert answer.content == b"".join(pieces)
    assert [(e.message, e.code) for e in recorder.one.errors] == [("late", "BAD_DOCUMENT")]


def test_a_query_in_the_url_is_recorded() -> None:
    parameters = {"query": "{ a }", "variables": '{"id": 1}'}
    _, recorder = run(answering(b'{"data":null}'), method="GET", params=parameters)
    assert (recorder.one.query, recorder.one.variables) == ("{ a }", {"id": 1})


def test_an_exception_of_the_application_is_recorded_and_raised() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        raise RuntimeError("the pool is empty")

    recorder = Recorder()
    import asyncio

    with pytest.raises(RuntimeError, match="the pool is empty"):
        asyncio.run(ask(RecordRequests(app, recorder), json=QUERY))
    assert recorder.one.status == "error"
    assert recorder.one.errors[0].message == "RuntimeError: the pool is empty"


def test_other_paths_are_not_recorded() -> None:
    answer, recorder = run(answering(b"{}"), path="/other", json=QUERY)
    assert (answer.status_code, recorder.kept) == (200, [])


@pytest.mark.parametrize("content", [b"", b"no JSON", b"[]", b'{"query": 7}', b"\xff"])
def test_a_body_that_is_not_graphql_is_not_recorded(content: bytes) -> None:
    _, recorder = run(answering(b"{}", status=400), content=content)
    [recorded] = recorder.kept
    assert callable(recorded)
    assert recorded() is None


def test_a_body_that_is_not_utf_8_is_not_recorded() -> None:
    _, recorder = run(answering(b'{"data": "\x80"}'), content=b'{"query": "\x80"}')
    assert [callable(one) and one() for one in recorder.kept] == [None]
