"""What cannot be used is filed once, whole, with the reason."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from log_server import ask, read, streams

from fraiseql_assets.events.messages import Reject, parse_headers
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.dead_letters import IN_THE_LOG
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
        return log.file_letters(stage, rejects)


def letters_of(settings: Settings) -> list[tuple[bytes, dict[str, str]]]:
    """Payload and headers of every letter."""
    letters = settings.model_copy(update={"stream": settings.dead_letter_stream})
    batches = read(letters, 1, held(settings))
    return [
        (payload, parse_headers(headers))
        for batch in batches
        for payload, headers in zip(batch.payloads, batch.headers, strict=True)
    ]


def held(settings: Settings) -> int:
    with Log(settings, name="tests") as log:
        return log.bounds_of(settings.dead_letter_stream).messages


def test_a_letter_keeps_all_there_is_to_know(settings: Settings) -> None:
    file(settings, "decode", reject(41, row=3))
    letter = ask(settings, lambda js: js.get_msg(settings.dead_letter_stream, seq=1))
    assert letter.subject == f"{settings.dead_letter_stream}.{settings.stream}.decode.41.3"
    assert letter.data == b"\xff\0{"
    assert letter.headers is not None
    kept = {
        name.removeprefix("Fraiseql-Dead-Letter-"): value for name, value in letter.headers.items()
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


def test_a_letter_is_filed_once_however_often_it_is_filed(settings: Settings) -> None:
    letters = [reject(n) for n in range(1, 51)]
    assert file(settings, "decode", *letters) == 50
    assert file(settings, "decode", *letters, reject(51)) == 1
    assert held(settings) == 51


def test_rows_and_stages_have_letters_of_their_own(settings: Settings) -> None:
    assert file(settings, "decode", reject(1), reject(1, row=1)) == 2
    assert file(settings, "analytics", reject(1)) == 1
    assert file(settings, "operational", reject(1)) == 1
    assert held(settings) == 4


def test_the_log_takes_no_letter_for_an_event(settings: Settings) -> None:
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
    [(_, headers)] = letters_of(settings)
    assert headers["Fraiseql-Dead-Letter-Reason"] == kept


def test_a_letter_may_be_as_large_as_a_message_may(settings: Settings) -> None:
    size = 8 * 2**20
    letters = [reject(n, payload=b"x" * (size - n * 100)) for n in range(9)]
    assert file(settings, "decode", *letters) == 9
    [*found] = letters_of(settings)
    kept = [payload for payload, _ in found]
    left = [headers.get("Fraiseql-Dead-Letter-Payload") for _, headers in found]
    fits = len([payload for payload in kept if payload])
    assert kept == [b""] * (9 - fits) + [letter.payload for letter in letters[9 - fits :]]
    assert left == [IN_THE_LOG] * (9 - fits) + [None] * fits
    assert 1 <= fits <= 8


def test_headers_that_fit_into_no_letter_stay_in_the_log(settings: Settings) -> None:
    huge = reject(1, payload=b"", headers={"X": "\x01" * 2**21})
    assert file(settings, "decode", huge) == 1
    [(payload, headers)] = letters_of(settings)
    assert (payload, headers["Fraiseql-Dead-Letter-Headers"]) == (b"", "{}")
    assert headers["Fraiseql-Dead-Letter-Payload"] == IN_THE_LOG
