"""Streams are created, get missing subjects, and are otherwise unchanged."""

import asyncio
from collections.abc import Iterator

import pytest
from log_server import add_stream, ask, drop, info, settings_for, store_payloads
from nats.js.api import DiscardPolicy, StreamConfig

from fraiseql_assets.events.messages import Reject
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.connection import LogError
from fraiseql_assets.stream.log import Log
from fraiseql_assets.stream.setup import setup_streams


@pytest.fixture
def settings(nats_url: str) -> Iterator[Settings]:
    settings = settings_for(nats_url)
    yield settings
    asyncio.run(drop(settings))


def setup(settings: Settings) -> list[str]:
    return asyncio.run(setup_streams(settings))


def reject(sequence: int) -> Reject:
    return Reject(sequence, 1, "s", {}, b"payload", "the reason")


def test_setup_creates_every_stream(settings: Settings) -> None:
    assert setup(settings) == [
        f"stream {settings.stream}: created",
        f"stream {settings.request_stream}: created",
        f"stream {settings.dead_letter_stream}: created",
    ]


def test_a_second_setup_changes_no_stream(settings: Settings) -> None:
    setup(settings)
    before = [info(settings, s).config for s in (settings.stream, settings.dead_letter_stream)]
    assert setup(settings) == [
        f"stream {settings.stream}: as it should be",
        f"stream {settings.request_stream}: as it should be",
        f"stream {settings.dead_letter_stream}: as it should be",
    ]
    after = [info(settings, s).config for s in (settings.stream, settings.dead_letter_stream)]
    assert after == before


def test_the_log_has_the_limits_of_the_settings(nats_url: str) -> None:
    settings = settings_for(nats_url, stream_max_age_days=7, stream_max_bytes=10_000_000)
    try:
        setup(settings)
        config = info(settings, settings.stream).config
        assert (config.max_age, config.max_bytes) == (7 * 86_400.0, 10_000_000)
        assert (config.subjects, config.discard) == (settings.subjects, DiscardPolicy.OLD)
    finally:
        asyncio.run(drop(settings))


def test_setup_adds_subjects_to_an_older_stream_and_keeps_its_limits_and_messages(
    settings: Settings,
) -> None:
    own = settings.subject_prefix.replace(".mutation", "_own.>")
    limits = {"max_msgs": 1_000, "max_age": 3_600.0}
    add_stream(
        settings, StreamConfig(name=settings.stream, subjects=[own], allow_direct=False, **limits)
    )
    said = setup(settings)[0]
    config = info(settings, settings.stream).config
    assert said == f"stream {settings.stream}: widened to {own}, {settings.subjects[0]}"
    assert config.subjects == [own, *settings.subjects]
    assert (config.max_msgs, config.max_age, config.allow_direct) == (1_000, 3_600.0, True)


def test_setup_enables_direct_gets(settings: Settings) -> None:
    subjects = settings.subjects
    add_stream(settings, StreamConfig(name=settings.stream, subjects=subjects, allow_direct=False))
    store_payloads(settings, [b"kept"])
    setup(settings)
    found = info(settings, settings.stream)
    assert (found.config.allow_direct, found.state.messages) == (True, 1)


def test_a_server_can_have_two_dead_letter_streams(settings: Settings, nats_url: str) -> None:
    other = settings_for(nats_url)
    try:
        for each in (settings, other):
            setup(each)
            with Log(each, name="tests") as log:
                assert log.store_dead_letters("decode", [reject(1)]) == 1
        for each in (settings, other):
            assert info(each, each.dead_letter_stream).state.messages == 1
    finally:
        asyncio.run(drop(other))


def test_an_older_dead_letter_stream_is_kept_and_extended(
    settings: Settings,
) -> None:
    older = f"{settings.dead_letter_stream}_older"
    name = settings.dead_letter_stream
    add_stream(settings, StreamConfig(name=name, subjects=[f"{older}.>"], max_msgs_per_subject=1))
    ask(settings, lambda jetstream: jetstream.publish(f"{older}.s.decode.1.0", b"old"))
    assert setup(settings)[2] == f"stream {name}: widened to {older}.>, {name}.>"
    with Log(settings, name="tests") as log:
        assert log.store_dead_letters("decode", [reject(2)]) == 1
        assert log.bounds_of(name).messages == 2


def test_a_subject_of_another_stream_is_reported(settings: Settings, nats_url: str) -> None:
    setup(settings)
    other = settings_for(nats_url, subjects=settings.subjects)
    with pytest.raises(LogError, match="subjects overlap with an existing stream"):
        setup(other)
