"""An unsuitable stream configuration is reported at once, with the same message everywhere."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from log_server import BATCHING, add_stream, ask, drop, settings_for
from nats.js.api import (
    RetentionPolicy,
    StorageType,
    StreamConfig,
    StreamConsumerLimits,
    StreamSource,
)

from fraiseql_assets.cli.doctor import examine
from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.log import Log
from fraiseql_assets.stream.requirements import UnsuitableStream
from fraiseql_assets.stream.setup import setup_streams

UNFIT: list[tuple[dict[str, Any], str]] = [
    (
        {"retention": RetentionPolicy.INTEREST},
        "retention: interest deletes messages that no consumer waits for",
    ),
    (
        {"retention": RetentionPolicy.WORK_QUEUE},
        "retention: workqueue lets only one consumer read a message",
    ),
    ({"max_consumers": 1}, "max_consumers: 1 limits how many can read at once"),
    (
        {"consumer_limits": StreamConsumerLimits(inactive_threshold=2.0)},
        r"consumer_limits.inactive_threshold: 2 s is below the 30 s that readers need",
    ),
    (
        {"consumer_limits": StreamConsumerLimits(max_ack_pending=5)},
        "consumer_limits.max_ack_pending: 5 refuses consumers without acknowledgements",
    ),
    ({"no_ack": True}, "no_ack: no message is acknowledged"),
    ({"sealed": True}, "sealed: the stream takes no messages"),
    (
        {"subjects": None, "mirror": StreamSource(name="elsewhere")},
        "mirror: the stream captures no subjects, it copies elsewhere",
    ),
]


@pytest.fixture
def settings(nats_url: str) -> Iterator[Settings]:
    settings = settings_for(nats_url)
    yield settings
    asyncio.run(drop(settings))


def make(settings: Settings, **config: Any) -> None:
    name = settings.stream
    sealed = config.pop("sealed", False)
    wanted = StreamConfig(**{"name": name, "subjects": settings.subjects, **config})
    add_stream(settings, wanted)
    if sealed:
        seal(settings, wanted)


def seal(settings: Settings, config: StreamConfig) -> None:
    config.sealed = True
    ask(settings, lambda jetstream: jetstream.update_stream(config))


@pytest.mark.parametrize(("config", "why"), UNFIT)
def test_setup_doctor_and_readers_report_the_same(
    settings: Settings, config: dict[str, Any], why: str
) -> None:
    make(settings, **config)
    wanted = f"Stream {settings.stream} cannot serve as the log: {why}. Change it with `nats "
    with pytest.raises(UnsuitableStream) as said:
        asyncio.run(setup_streams(settings))
    assert str(said.value).startswith(wanted)
    with Log(settings, name="tests") as log:
        with pytest.raises(UnsuitableStream) as said:
            log.bounds()
        assert str(said.value).startswith(wanted)
        with pytest.raises(UnsuitableStream) as said:
            list(log.read(SequenceRange(1, 10), BATCHING, ahead=1))
        assert str(said.value).startswith(wanted)
    wrong = [each.said for each in examine(settings) if each.state == "wrong"]
    assert any(each.startswith(wanted) for each in wrong)


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"max_msgs_per_subject": 5}, "max_msgs_per_subject: 5 deletes older messages"),
        ({"storage": StorageType.MEMORY}, "storage: memory loses all messages when the server"),
        ({"allow_rollup_hdrs": True}, "allow_rollup_hdrs: lets one message delete its subject"),
        ({"allow_msg_ttl": True}, "allow_msg_ttl: lets producers make messages that expire"),
    ],
)
def test_a_setting_that_may_lose_messages_is_a_warning(
    settings: Settings, config: dict[str, Any], why: str
) -> None:
    make(settings, **config)
    assert any(why in line for line in asyncio.run(setup_streams(settings)))
    with Log(settings, name="tests") as log:
        assert log.bounds().messages == 0
    warnings = [each.said for each in examine(settings) if each.state == "warning"]
    assert any(why in each for each in warnings)
