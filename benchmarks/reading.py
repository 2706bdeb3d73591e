"""Reading messages of the log: the project's blocking reader against the client library, nats-py.

The library reads in two ways: `fetch` of a pull consumer, as its documentation shows, and the
fastest that it offers, where pulls are sent by hand and messages arrive in the callback of an
inbox. All sides make the same columns (sequence, time, subject, headers, payload) of the same small
JSON messages.
"""

import argparse
import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

from harness import QUICK, ROUNDS, Comparison, alternate, rate, report
from logs import embedded, fill, settings_of
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig

from fraiseql_assets.events.messages import Messages
from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.connection import connect
from fraiseql_assets.stream.reader import PULL_BYTES, PULL_MESSAGES, read_range

EVENTS = 20_000 if QUICK else 200_000
GOAL = 1.5
"""Below this, a client of our own would not be worth its lines."""


def read(settings: Settings) -> float:
    """The project's reader."""
    batches = read_range(
        settings,
        settings.stream,
        SequenceRange(1, EVENTS),
        batch_messages=settings.batch_rows,
        batch_bytes=settings.batch_bytes,
    )
    return sum(map(len, batches))


def _add(messages: Messages, message: Msg) -> None:
    # `message.metadata` is slower: it makes dates.
    position = message.reply.split(".")
    messages.sequences.append(int(position[5]))
    messages.times.append(int(position[7]))
    messages.subjects.append(message.subject)
    messages.headers.append(b"" if not message.headers else b"headers")
    messages.payloads.append(message.data)


async def fetch(settings: Settings) -> float:
    """The library, as documented."""
    done = 0
    async with connect(settings, name="benchmark", reconnect_seconds=10) as client:
        subscription = await client.jetstream().pull_subscribe(
            f"{settings.stream}.>",
            stream=settings.stream,
            config=ConsumerConfig(ack_policy=AckPolicy.NONE, mem_storage=True),
        )
        while done < EVENTS:
            messages = Messages()
            for message in await subscription.fetch(PULL_MESSAGES, timeout=10):
                _add(messages, message)
            done += len(messages)
        await subscription.unsubscribe()
    return done


async def callback(settings: Settings) -> float:
    """The library with pulls sent by hand, the next while the last still arrives."""
    async with connect(settings, name="benchmark", reconnect_seconds=10) as client:
        return await _through_inbox(client, settings)


async def _through_inbox(client: Client, settings: Settings) -> float:
    info = await client.jetstream().add_consumer(
        settings.stream, ConsumerConfig(ack_policy=AckPolicy.NONE, mem_storage=True)
    )
    inbox, messages, ended = client.new_inbox(), Messages(), asyncio.Event()
    pull = json.dumps({"batch": PULL_MESSAGES, "max_bytes": PULL_BYTES, "expires": 5 * 10**9})

    async def ask() -> None:
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{settings.stream}.{info.name}"
        await client.publish(subject, pull.encode(), reply=inbox)

    async def take(message: Any) -> None:
        if not message.reply:
            return
        _add(messages, message)
        if len(messages) % PULL_MESSAGES == 0:
            await ask()
        if len(messages) >= EVENTS:
            ended.set()

    await client.subscribe(inbox, cb=take, pending_msgs_limit=-1, pending_bytes_limit=-1)
    await ask()
    await ask()
    await ended.wait()
    return len(messages)


def main() -> None:
    parser = argparse.ArgumentParser(description="Reading messages, against the client library.")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder, embedded(Path(folder), "nats") as [nats]:
        observer = settings_of("observer", nats_url=nats.address)
        fill(observer, "observer", EVENTS)
        sides, load = alternate(
            {
                "the blocking reader": lambda: rate(lambda: read(observer)),
                "nats-py, inbox callback": lambda: rate(lambda: asyncio.run(callback(observer))),
                "nats-py, fetch": lambda: rate(lambda: asyncio.run(fetch(observer))),
            },
            unit="messages/s",
            rounds=rounds,
        )
    value = sides[0].median / sides[1].median
    measure = "JSON messages read into columns, against nats-py's fastest way"
    comparison = Comparison("Reading", measure, f"≥ {GOAL:g} ×", value, value >= GOAL, sides, load)
    report("reading", [comparison])


if __name__ == "__main__":
    main()
