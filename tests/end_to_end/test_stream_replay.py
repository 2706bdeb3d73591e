"""Dead-letter messages are listed, shown and replayed once, also after an interruption."""

import asyncio
import json
from collections.abc import Iterator

import pytest
from log_server import ask, read, store, streams
from nats.js.client import JetStreamContext
from typer.testing import CliRunner, Result

from fraiseql_assets.cli import console
from fraiseql_assets.cli.main import app
from fraiseql_assets.events.decode import decode
from fraiseql_assets.events.encode import Outgoing
from fraiseql_assets.events.messages import Reject, message_id, parse_headers
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream import republish as republish_module
from fraiseql_assets.stream.connection import LogUnavailable
from fraiseql_assets.stream.dead_letter_reader import read_dead_letters
from fraiseql_assets.stream.log import Log
from fraiseql_assets.stream.republish import remove_dead_letter, republish

BAD = b'{"event_type": "INSERT"}'


@pytest.fixture
def settings(nats_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    with streams(nats_url) as settings:
        monkeypatch.setattr(console, "get_settings", lambda: settings)
        yield settings


def subject(settings: Settings) -> str:
    return f"{settings.subject_prefix}.Order.INSERT"


def fill(settings: Settings, count: int = 3) -> None:
    """A log of bad messages, each with its dead-letter message."""
    store(
        settings,
        [Outgoing(subject(settings), BAD, {"Nats-Msg-Id": f"m-{n}"}) for n in range(count)],
    )
    with Log(settings, name="tests") as log:
        for batch in read(settings, 1, count):
            log.store_dead_letters("decode", decode(batch).rejects)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["dead-letters", *arguments])


def held(settings: Settings) -> tuple[int, int]:
    """Messages in the log and in the dead-letter stream."""
    with Log(settings, name="tests") as log:
        return log.bounds().messages, log.bounds_of(settings.dead_letter_stream).messages


@pytest.mark.usefixtures("settings")
def test_an_empty_list_is_printed() -> None:
    listed = run("list")
    assert (listed.exit_code, listed.stdout) == (0, "")


def test_dead_letter_messages_are_listed_as_json(settings: Settings) -> None:
    fill(settings)
    listed = [json.loads(line) for line in run("list", "--json").stdout.splitlines()]
    assert [(e["number"], e["sequence"], e["stage"], e["subject"]) for e in listed] == [
        (n, n, "decode", subject(settings)) for n in (1, 2, 3)
    ]
    assert listed[0]["reason"] == "the field id (in a CDC event: seq) is missing"


def test_a_dead_letter_message_is_shown_with_headers_and_payload(settings: Settings) -> None:
    fill(settings)
    shown = json.loads(run("show", "2", "--json").stdout)
    assert (shown["payload"], shown["headers"]) == (BAD.decode(), {"Nats-Msg-Id": "m-1"})
    assert BAD.decode() in run("show", "2").stdout


@pytest.mark.usefixtures("settings")
def test_an_unknown_number_is_an_error() -> None:
    shown = run("show", "9")
    assert shown.exit_code == 1
    assert "there is no dead-letter message 9." in shown.stderr


@pytest.mark.usefixtures("settings")
def test_replay_needs_numbers_or_all() -> None:
    assert run("replay").exit_code == 2


def test_replayed_messages_are_unchanged(settings: Settings) -> None:
    fill(settings)
    assert run("replay", "--all").exit_code == 0
    assert held(settings) == (6, 0)
    [batch] = read(settings, 4, 6)
    assert batch.payloads == [BAD] * 3
    assert batch.subjects == [subject(settings)] * 3
    assert [message_id(block) for block in batch.headers] == ["m-0", "m-1", "m-2"]


def test_only_selected_messages_are_replayed(settings: Settings) -> None:
    fill(settings)
    assert run("replay", "2").exit_code == 0
    assert held(settings) == (4, 2)
    assert run("replay", "2").exit_code == 1
    assert held(settings) == (4, 2)


@pytest.mark.parametrize("window", ["within the duplicate window", "long after it"])
def test_an_interrupted_replay_publishes_nothing_twice(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, window: str
) -> None:
    fill(settings)

    async def crash(*_: object) -> None:
        raise LogUnavailable("gone")

    monkeypatch.setattr(republish_module, "remove_dead_letter", crash)
    with pytest.raises(LogUnavailable):
        asyncio.run(republish(settings, list(read_dead_letters(settings))))
    assert held(settings) == (6, 4)
    monkeypatch.setattr(republish_module, "remove_dead_letter", remove_dead_letter)
    if window == "long after it":
        shorten_duplicate_window(settings)
    assert run("replay", "--all").exit_code == 0
    assert held(settings) == (6, 0)


def shorten_duplicate_window(settings: Settings) -> None:
    """Makes the log drop the ids it has seen, as it does after two minutes."""

    async def shrink(jetstream: JetStreamContext) -> None:
        config = (await jetstream.stream_info(settings.stream)).config
        config.duplicate_window = 0.1
        await jetstream.update_stream(config)
        await asyncio.sleep(0.3)

    ask(settings, shrink)


def test_a_message_too_large_to_copy_is_read_from_the_log(settings: Settings) -> None:
    large = b"x" * (8 * 2**20 - 100)
    store(settings, [Outgoing(subject(settings), large, {})])
    with Log(settings, name="tests") as log:
        log.store_dead_letters("decode", decode(read(settings, 1, 1)[0]).rejects)
    [dead_letter] = read_dead_letters(settings)
    assert (dead_letter.in_log, dead_letter.payload) == (True, b"")
    assert run("show", "1").stdout.count("x") > 8_000_000
    assert run("replay", "1").exit_code == 0
    assert held(settings) == (2, 0)


def test_a_replay_keeps_the_headers_of_the_producer(settings: Settings) -> None:
    store(settings, [Outgoing(subject(settings), b"[]", {"Trace": "a:b", "Nats-Msg-Id": "m"})])
    with Log(settings, name="tests") as log:
        log.store_dead_letters("decode", decode(read(settings, 1, 1)[0]).rejects)
    run("replay", "--all")
    headers = parse_headers(read(settings, 2, 2)[0].headers[0])
    assert (headers["Trace"], headers["Fraiseql-Msg-Id"]) == ("a:b", "m")
    assert headers["Nats-Msg-Id"].startswith("dead-letter:")


def test_control_headers_are_not_replayed(settings: Settings) -> None:
    commands = {
        "Nats-Expected-Last-Sequence": "0",
        "Nats-Expected-Stream": settings.stream,
        "nats-expected-last-msg-id": "never",
        "Nats-TTL": "1s",
        "Trace": "kept",
    }
    with Log(settings, name="tests") as log:
        log.store_dead_letters("decode", [Reject(1, 1, subject(settings), commands, b"[]", "why")])
    assert run("replay", "--all").exit_code == 0
    headers = parse_headers(read(settings, 1, 1)[0].headers[0])
    assert headers.pop("Nats-Msg-Id").startswith("dead-letter:")
    assert headers == {"Trace": "kept"}


def test_a_replayed_rollup_header_deletes_nothing(settings: Settings) -> None:
    store(settings, [Outgoing(subject(settings), b"%d" % n, {}) for n in range(3)])
    rollup = Reject(2, 1, subject(settings), {"Nats-Rollup": "sub"}, b"[]", "a JSON array")
    with Log(settings, name="tests") as log:
        log.store_dead_letters("decode", [rollup])
    assert run("replay", "--all").exit_code == 0
    assert held(settings) == (4, 0)


def test_one_failure_does_not_stop_a_replay(settings: Settings) -> None:
    good = [Reject(n, 1, subject(settings), None, BAD, "why") for n in (1, 3)]
    uncaptured = Reject(2, 1, f"{settings.stream}_elsewhere", None, BAD, "why")
    gone = Reject(4, 1, subject(settings), None, b"x" * 8 * 2**20, "why")
    with Log(settings, name="tests") as log:
        log.store_dead_letters("decode", [good[0], uncaptured, good[1], gone])
    replayed = run("replay", "--all")
    assert replayed.exit_code == 1
    assert "2 published again" in replayed.stdout
    assert f"2 failed: no stream captures {settings.stream}_elsewhere." in replayed.stderr
    assert "4 failed: dead-letter message 4 is about message 4" in replayed.stderr
    assert held(settings) == (2, 2)
    assert run("replay", "--all").exit_code == 1
    assert held(settings) == (2, 2)


def test_only_dead_letter_messages_are_counted(settings: Settings) -> None:
    fill(settings)
    note = f"{settings.dead_letter_stream}.replay"
    ask(settings, lambda jetstream: jetstream.publish(note, b"3"))
    with Log(settings, name="tests") as log:
        assert log.bounds_of(settings.dead_letter_stream).messages == 4
        assert log.count_dead_letters() == 3
