"""Where things are in the log: its bounds, where a day begins, how many messages a range holds.

Every function asks the server once or twice and consumes no message.
"""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError, ServiceUnavailableError

from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.stream.connection import (
    LogError,
    LogUnavailable,
    stream_missing,
    without_jetstream,
)

REQUEST_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a stream holds."""

    first: int
    """The first sequence there is; one past `last` in an empty stream."""
    last: int
    """The last sequence ever given, 0 when none was."""
    messages: int
    bytes: int


@dataclass(frozen=True, slots=True)
class LogPosition:
    """A message's sequence and the UTC day it was stored on."""

    sequence: int
    day: date


def midnight(day: date) -> datetime:
    """The moment a UTC day begins."""
    return datetime.combine(day, time.min, UTC)


def utc_day(nanoseconds: int) -> date:
    """The UTC day of a time in nanoseconds since the epoch."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=nanoseconds // 10**9)).date()


async def bounds(client: Client, stream: str) -> Bounds:
    """The stream's bounds.

    Raises:
        StreamMissing: the server has no such stream.
        LogUnavailable: the server does not answer.
    """
    try:
        state = (await client.jetstream(timeout=REQUEST_SECONDS).stream_info(stream)).state
    except NotFoundError as error:
        raise stream_missing(stream) from error
    except ServiceUnavailableError as error:
        raise without_jetstream() from error
    except (NatsError, TimeoutError, OSError) as error:
        raise LogUnavailable(f"NATS does not say what stream {stream} holds: {error}") from error
    return Bounds(state.first_seq, state.last_seq, state.messages, state.bytes)


async def position_from(client: Client, stream: str, sequence: int) -> LogPosition | None:
    """The first message at or after a sequence, or None when there is none."""
    return await _direct_get(client, stream, {"seq": sequence, "next_by_subj": ">"})


async def first_of_day(client: Client, stream: str, day: date) -> int | None:
    """The sequence of the first message stored on or after a day, or None when there is none."""
    start = midnight(day).isoformat().replace("+00:00", "Z")
    place = await _direct_get(client, stream, {"start_time": start, "batch": 1})
    return place.sequence if place else None


async def day_range(client: Client, stream: str, day: date) -> SequenceRange | None:
    """The sequences that the log stores of a day, or None when it has none of it."""
    first = await first_of_day(client, stream, day)
    if first is None:
        return None
    following = await first_of_day(client, stream, day + timedelta(days=1))
    last = following - 1 if following else (await bounds(client, stream)).last
    return SequenceRange(first, last) if first <= last else None


async def count_messages(client: Client, stream: str, sequences: SequenceRange) -> int:
    """How many messages the log holds in a range, deleted ones left out."""
    from_first = await _pending(client, stream, sequences.first)
    return from_first - await _pending(client, stream, sequences.last + 1)


async def _pending(client: Client, stream: str, sequence: int) -> int:
    jetstream = client.jetstream(timeout=REQUEST_SECONDS)
    config = ConsumerConfig(
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=sequence,
        ack_policy=AckPolicy.NONE,
        mem_storage=True,
        inactive_threshold=5.0,
    )
    try:
        info = await jetstream.add_consumer(stream, config)
        await jetstream.delete_consumer(stream, info.name)
    except NotFoundError as error:
        raise stream_missing(stream) from error
    except (NatsError, TimeoutError, OSError) as error:
        raise LogUnavailable(f"NATS does not count stream {stream}: {error}") from error
    return info.num_pending or 0


async def _direct_get(client: Client, stream: str, request: dict[str, Any]) -> LogPosition | None:
    """One message by JetStream's direct get (ADR-31), of which only the headers are used."""
    try:
        reply = await client.request(
            f"$JS.API.DIRECT.GET.{stream}", json.dumps(request).encode(), timeout=REQUEST_SECONDS
        )
    except NoRespondersError as error:
        await bounds(client, stream)
        raise LogError(
            f"NATS answers no direct get on stream {stream}, which is older than this project. "
            "Run `fraiseql-assets setup`."
        ) from error
    except (NatsError, TimeoutError, OSError) as error:
        raise LogUnavailable(
            f"NATS does not answer for a message of stream {stream}: {error or type(error)}"
        ) from error
    headers = reply.headers or {}
    if headers.get("Status") == "404":
        return None
    if "Status" in headers:
        raise LogError(f"NATS refuses a direct get on stream {stream}: {dict(headers)}")
    stored = datetime.fromisoformat(headers["Nats-Time-Stamp"][:19]).date()
    return LogPosition(int(headers["Nats-Sequence"]), stored)
