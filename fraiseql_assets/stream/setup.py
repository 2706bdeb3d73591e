"""The configuration of the streams. Creates them, or adds what existing ones lack."""

from collections.abc import Callable
from dataclasses import replace

from nats.aio.client import Client
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.api import (
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
    StreamInfo,
)
from nats.js.client import JetStreamContext
from nats.js.errors import APIError, NotFoundError, ServiceUnavailableError

from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.connection import LogError, connect, without_jetstream
from fraiseql_assets.stream.requirements import require_log, unsuitable_settings

DUPLICATE_WINDOW_SECONDS = 120.0


def stream_config(settings: Settings) -> StreamConfig:
    """The stream of events: the log, from which every replay reads."""
    return StreamConfig(
        name=settings.stream,
        description="FraiseQL observer events",
        subjects=list(settings.subjects),
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        discard=DiscardPolicy.OLD,
        max_age=settings.stream_max_age_days * 86_400.0,
        max_bytes=settings.stream_max_bytes,
        max_msgs=-1,
        max_consumers=-1,
        num_replicas=settings.stream_replicas,
        duplicate_window=DUPLICATE_WINDOW_SECONDS,
        # Finding the first message of a day then takes one direct get.
        allow_direct=True,
    )


def request_config(settings: Settings) -> StreamConfig:
    """The stream of GraphQL requests: the log from which their replay reads."""
    return replace(
        stream_config(settings),
        name=settings.request_stream,
        description="GraphQL requests",
        subjects=[f"{settings.request_subject_prefix}.>"],
        max_age=settings.retention_request_days * 86_400.0,
    )


def dead_letter_config(settings: Settings) -> StreamConfig:
    """The stream of dead-letter messages.

    The subject of a dead-letter message is `{this stream}.{stream}.{stage}.{sequence}.{row}`. The
    stream keeps one message per subject and refuses a second one. A retried run therefore cannot
    store a message twice, however late it runs.
    """
    return StreamConfig(
        name=settings.dead_letter_stream,
        description="Messages of the log that could not be used, each with the reason",
        subjects=[f"{settings.dead_letter_stream}.>"],
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        discard=DiscardPolicy.NEW,
        discard_new_per_subject=True,
        max_msgs_per_subject=1,
        max_msgs=-1,
        max_bytes=-1,
        max_consumers=-1,
        num_replicas=settings.stream_replicas,
        allow_direct=True,
    )


async def setup_streams(
    settings: Settings, first: Callable[[str], int] = lambda stream: 1
) -> list[str]:
    """Creates the streams or extends existing ones; idempotent. Returns what was done, as lines.

    An existing stream keeps its limits and subjects. Missing subjects and direct gets are added.
    `first` gives the first sequence of a stream that is missing.

    Raises:
        UnsuitableStream: an existing stream is unsuitable for a log.
        LogError: the server refuses, for example because another stream captures a subject.
    """
    async with connect(settings, name="fraiseql-assets setup") as client:
        wanted = (
            stream_config(settings),
            request_config(settings),
            dead_letter_config(settings),
        )
        return [line for config in wanted for line in await _ensure(client, config, first)]


async def _ensure(client: Client, config: StreamConfig, first: Callable[[str], int]) -> list[str]:
    jetstream = client.jetstream()
    name = config.name or ""
    try:
        try:
            info = await jetstream.stream_info(name)
        except NotFoundError:
            return [await _create(jetstream, config, first(name))]
        require_log(info.config)
        warnings = [] if config.discard_new_per_subject else unsuitable_settings(info.config)
        return [
            await _widen(jetstream, info, config),
            *(f"stream {name}: warning, {setting}" for setting in warnings),
        ]
    except ServiceUnavailableError as error:
        raise without_jetstream() from error
    except APIError as error:
        raise LogError(
            f"NATS refuses to set up stream {name}: {error.description}. "
            "Check FRAISEQL_STREAM and FRAISEQL_SUBJECTS, and the streams that exist."
        ) from error
    except NatsTimeoutError as error:
        # A cluster that has not elected its leader does not answer at all.
        raise without_jetstream() from error


async def _create(jetstream: JetStreamContext, config: StreamConfig, first: int) -> str:
    if first == 1:
        await jetstream.add_stream(config)
        return f"stream {config.name}: created"
    await jetstream.add_stream(replace(config, first_seq=first))
    return f"stream {config.name}: created from sequence {first} on, which the planes lack"


async def _widen(jetstream: JetStreamContext, info: StreamInfo, config: StreamConfig) -> str:
    present = info.config
    subjects = [*(present.subjects or []), *(config.subjects or [])]
    widened = replace(present, subjects=list(dict.fromkeys(subjects)), allow_direct=True)
    if (widened.subjects, present.allow_direct) == (present.subjects, True):
        return f"stream {config.name}: as it should be"
    await jetstream.update_stream(widened)
    return f"stream {config.name}: widened to {', '.join(widened.subjects or [])}"
