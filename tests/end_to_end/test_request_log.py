"""The request log on a real NATS server: published, or dropped and counted, never in the way."""

import asyncio
import json
import time

import pytest
from pydantic import SecretStr
from stacks import wait_until

from fraiseql_assets.planes import Batching
from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.request_log.publisher import RequestLog
from fraiseql_assets.requests.record import RequestRecord
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.log import Log
from fraiseql_assets.stream.setup import setup_streams

NOWHERE = SecretStr("nats://127.0.0.1:9")


def request(number: int) -> RequestRecord:
    return RequestRecord(f"query Q{number} {{ a }}", "http", "ok", 1.0, variables={"n": number})


def published(settings: Settings) -> list[dict[str, object]]:
    of_requests = settings.model_copy(update={"stream": settings.request_stream})
    with Log(of_requests, name="tests") as log:
        last = log.bounds().last
        batches = log.read(SequenceRange(1, last), Batching(1000, 2**20, 1000, 2**20), ahead=1)
        return [json.loads(payload) for batch in batches for payload in batch.payloads]


def test_every_request_is_published_once(settings: Settings) -> None:
    asyncio.run(setup_streams(settings))
    log = RequestLog(settings)
    for number in range(1_200):
        log.record(request(number))
    counts = log.close(60)
    assert (counts.published, counts.dropped, counts.waiting) == (1_200, 0, 0)
    assert [body["variables"] for body in published(settings)] == [{"n": n} for n in range(1_200)]


def test_requests_are_buffered_up_to_a_limit_while_nats_is_down(settings: Settings) -> None:
    down = settings.model_copy(update={"nats_url": NOWHERE, "request_log_buffer": 100})
    log = RequestLog(down)
    for number in range(250):
        log.record(request(number))
    assert log.counts().waiting == 100
    assert log.counts().dropped == 150
    counts = log.close(60)
    assert (counts.published, counts.dropped) == (0, 250)


def test_buffered_requests_are_published_when_the_stream_exists(settings: Settings) -> None:
    log = RequestLog(settings)
    log.record(request(1))
    time.sleep(0.1)
    asyncio.run(setup_streams(settings))
    wait_until(lambda: log.counts().published == 1)
    log.close(60)


def test_a_request_that_cannot_be_encoded_does_not_affect_others(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    asyncio.run(setup_streams(settings))
    log = RequestLog(settings)

    def broken() -> RequestRecord:
        raise ValueError("what a client sent")

    log.record(broken)
    log.record(request(2))
    counts = log.close(60)
    assert (counts.published, counts.dropped) == (1, 1)
    assert "could not be recorded" in caplog.text
