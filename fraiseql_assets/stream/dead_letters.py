"""The dead-letter stream: messages that could not be used, kept whole with the reason."""

import asyncio
import json
from collections.abc import Awaitable, Sequence

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.client import JetStreamContext
from nats.js.errors import APIError, NoStreamResponseError

from fraiseql_assets.events.messages import Reject
from fraiseql_assets.stream.connection import LogUnavailable, StreamMissing

DECODE = "decode"
"""The stage of what is no event; every other stage is a plane."""

HEADER_PREFIX = "Fraiseql-Dead-DeadLetter-"
IN_THE_LOG = "too large for a letter: it lies in the log alone"
WINDOW = 500
WINDOW_BYTES = 8 * 2**20
"""Letters that may be on their way without an acknowledgement yet, and how large together."""
ALREADY_FILED = 10077
"""JetStream's error code for a subject that holds its one message already."""


def subject_of(letters: str, stream: str, stage: str, reject: Reject) -> str:
    """Where a letter lies in the stream `letters`: each stage, sequence and row has a subject."""
    return f"{letters}.{stream}.{stage}.{reject.sequence}.{reject.row}"


def headers_of(stream: str, stage: str, reject: Reject) -> dict[str, str]:
    """What is kept beside the payload: where it was, its own headers as JSON, and the reason."""
    # A header is one line of UTF-8.
    reason = " ".join(reject.reason.split())[:1000].encode(errors="replace").decode()
    return {
        f"{HEADER_PREFIX}Stream": stream,
        f"{HEADER_PREFIX}Stage": stage,
        f"{HEADER_PREFIX}Sequence": str(reject.sequence),
        f"{HEADER_PREFIX}Row": str(reject.row),
        f"{HEADER_PREFIX}Time": str(reject.time),
        f"{HEADER_PREFIX}Subject": reject.subject,
        f"{HEADER_PREFIX}Headers": json.dumps(reject.headers or {}),
        f"{HEADER_PREFIX}Reason": reason,
    }


def message_of(
    stream: str, stage: str, reject: Reject, max_payload: int
) -> tuple[bytes, dict[str, str]]:
    """The letter's payload and headers, both of which count towards `max_payload`.

    What is too large together with the reason stays in the log alone, and the letter says so.
    """
    headers = headers_of(stream, stage, reject)
    if len(reject.payload) + _size(headers) <= max_payload:
        return reject.payload, headers
    headers |= {f"{HEADER_PREFIX}Payload": IN_THE_LOG}
    if _size(headers) > max_payload:
        headers |= {f"{HEADER_PREFIX}Headers": "{}"}
    return b"", headers


def _size(headers: dict[str, str]) -> int:
    """Bytes of a block of headers, at least."""
    return 64 + sum(len(name) + len(value.encode()) + 8 for name, value in headers.items())


async def store_dead_letters(
    client: Client, letters: str, stream: str, stage: str, rejects: Sequence[Reject]
) -> int:
    """Files rejects in the stream `letters`, each once however often it is filed.

    `stage` is `decode` for what is no event, or the plane that refused an event. Returns how many
    were new.

    Raises:
        StreamMissing: there is no dead-letter stream.
        LogUnavailable: the server did not acknowledge a letter; none is lost, file them again.
    """
    jetstream = client.jetstream(timeout=10.0)
    filed = 0
    waiting: list[Awaitable[bool]] = []
    size = 0
    for reject in rejects:
        payload, headers = message_of(stream, stage, reject, client.max_payload)
        waiting.append(
            _file(jetstream, subject_of(letters, stream, stage, reject), payload, headers)
        )
        size += len(payload)
        if len(waiting) >= WINDOW or size >= WINDOW_BYTES:
            filed += sum(await asyncio.gather(*waiting))
            waiting, size = [], 0
    return filed + sum(await asyncio.gather(*waiting))


async def _file(
    jetstream: JetStreamContext, subject: str, payload: bytes, headers: dict[str, str]
) -> bool:
    """Files one letter. Returns whether it was new."""
    try:
        await jetstream.publish(subject, payload, headers=headers)
    except NoStreamResponseError as error:
        raise StreamMissing(
            "NATS has no stream for dead letters. Run `fraiseql-assets setup`."
        ) from error
    except APIError as error:
        if error.err_code != ALREADY_FILED:
            raise LogUnavailable(f"NATS refuses a dead letter: {error.description}") from error
        return False
    except (NatsError, TimeoutError, OSError) as error:
        raise LogUnavailable(f"NATS did not acknowledge a dead letter: {error}") from error
    return True
