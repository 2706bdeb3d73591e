"""Rejected messages are stored once, completely, with the reason."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from log_server import ask, read, streams

from fraiseql_assets.events.messages import Reject, parse_headers
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.dead_letters import ONLY_IN_LOG
from fraiseql_assets.stream.log import Log


@pytest.fixture
def settings(nats_url: str) -> Iterator[Settings]:
    with streams(nats_url) as settings:
        yield settings


def reject(sequence: int, row: int = 0, **others: Any) -> Reject:
    fields = {
        "sequence": sequence,
        "time": 1_772_000_000_123_456_789,
        "subject": "fraiseql.mutation.Order.INSERT",
        "headers": {"Nats-Msg-Id": "m-1", "Trace": "é"},
        "payload": b"\xff\0{",
        "reason": "not UTF-8: byte 0xff at offset 0",
        "row": row,
    }
    return Reject(**{**fields, **others})


def file(settings: Settings, stage: str, *rejects: Reject) -> int:
    with Log(settings, name="tests") as log:
        return log.store_dead_letters(stage, rejects)


def stored_dead_letters(settings: Settings) -> list[tuple[bytes, dict[str, str]]]:
    """Payload and headers of every dead-letter message."""
    of_dead_letters = settings.model_copy(update={"stream": settings.dead_letter_stream})
    batches = read(of_dead_letters, 1, held(settings))
    return [
        (payload, parse_headers(headers))
        for batch in batches
        for payload, headers in zip(batch.payloads, batch.headers, strict=True)
    ]


def held(settings: Settings) -> int:
    with Log(settings, name="tests") as log:
        return log.bounds_of(settings.dead_letter_stream).messages


def test_a_dead_letter_message_keeps_payload_and_headers(settings: Settings) -> None:
    file(settings, "decode", reject(41, row=3))
    dead_letter = ask(settings, lambda js: js.get_msg(settings.dead_letter_stream, seq=1))
    assert dead_letter.subject == f"{settings.dead_letter_stream}.{settings.stream}.decode.41.3"
    assert dead_letter.data == b"\xff\0{"
    assert dead_letter.headers is not None
    kept = {
        name.removeprefix("Fraiseql-Dead-Letter-"): value
        for name, value in dead_letter.headers.items()
    }
    assert json.loads(kept.pop("Headers")) == {"Nats-Msg-Id": "m-1", "Trace": "é"}
    assert kept == {
        "Stream": settings.stream,
        "Stage": "decode",
        "Sequence": "41",
        "Row": "3",
        "Time": "1772000000123456789",
        "Subject": "fraiseql.mutation.Order.INSERT",
        "Reason": "not UTF-8: byte 0xff at offset 0",
    }


def test_a_reject_reported_several_times_is_stored_once(settings: Settings) -> None:
    rejects = [reject(n) for n in range(1, 51)]
    assert file(settings, "decode", *rejects) == 50
    assert file(settings, "decode", *rejects, reject(51)) == 1
    assert held(settings) == 51


def test_rows_and_stages_have_separate_dead_letter_messages(settings: Settings) -> None:
    assert file(settings, "decode", reject(1), reject(1, row=1)) == 2
    assert file(settings, "analytics", reject(1)) == 1
    assert file(settings, "operational", reject(1)) == 1
    assert held(settings) == 4


def test_the_log_does_not_capture_dead_letter_messages(settings: Settings) -> None:
    file(settings, "decode", reject(1))
    with Log(settings, name="tests") as log:
        assert log.bounds().messages == 0


@pytest.mark.parametrize(
    ("why", "kept"),
    [
        ("two\r\nlines", "two lines"),
        ("x" * 5_000, "x" * 1_000),
        ("µs and “quotes”", "µs and “quotes”"),
        ("half \ud800", "half ?"),
    ],
)
def test_any_reason_fits_into_a_header(settings: Settings, why: str, kept: str) -> None:
    file(settings, "decode", reject(1, reason=why))
    [(_, headers)] = stored_dead_letters(settings)
    assert headers["Fraiseql-Dead-Letter-Reason"] == kept


def test_a_dead_letter_message_may_be_as_large_as_any_message(settings: Settings) -> None:
    size = 8 * 2**20
    rejects = [reject(n, payload=b"x" * (size - n * 100)) for n in range(9)]
    assert file(settings, "decode", *rejects) == 9
    [*found] = stored_dead_letters(settings)
    kept = [payload for payload, _ in found]
    left = [headers.get("Fraiseql-Dead-Letter-Payload") for _, headers in found]
    fits = len([payload for payload in kept if payload])
    assert kept == [b""] * (9 - fits) + [dead_letter.payload for dead_letter in rejects[9 - fits :]]
    assert left == [ONLY_IN_LOG] * (9 - fits) + [None] * fits
    assert 1 <= fits <= 8


def test_headers_too_large_to_copy_stay_in_the_log(settings: Settings) -> None:
    huge = reject(1, payload=b"", headers={"X": "\x01" * 2**21})
    assert file(settings, "decode", huge) == 1
    [(payload, headers)] = stored_dead_letters(settings)
    assert (payload, headers["Fraiseql-Dead-Letter-Headers"]) == (b"", "{}")
    assert headers["Fraiseql-Dead-Letter-Payload"] == ONLY_IN_LOG
