"""Stores dead-letter messages: messages that could not be used, in full, with the reason."""

import asyncio
import json
from collections.abc import Awaitable, Sequence

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.client import JetStreamContext
from nats.js.errors import APIError, NoStreamResponseError

from fraiseql_assets.events.messages import Reject
from fraiseql_assets.one_line import one_line
from fraiseql_assets.stream.connection import LogUnavailable, StreamMissing

DECODE = "decode"
"""The stage of messages that cannot be decoded. Every other stage is the name of a plane."""

ANY_SUBJECT = "*.*.*.*.*"
"""Matches the subjects of dead-letter messages (`subject_of`) in a stream of any name."""

HEADER_PREFIX = "Fraiseql-Dead-Letter-"
ONLY_IN_LOG = "too large to be copied: only the log has it"
WINDOW = 500
WINDOW_BYTES = 8 * 2**20
"""The most messages, and bytes of messages, that await acknowledgement at a time."""
ALREADY_STORED = 10077
"""JetStream's error code for a subject that already holds its only message."""


def subject_of(dead_letter_stream: str, stream: str, stage: str, reject: Reject) -> str:
    """The subject of a dead-letter message, unique for each stage, sequence and row."""
    return f"{dead_letter_stream}.{stream}.{stage}.{reject.sequence}.{reject.row}"


def headers_of(stream: str, stage: str, reject: Reject) -> dict[str, str]:
    """The headers of a dead-letter message: log position, original headers as JSON, and reason."""
    # A header must be one line of UTF-8.
    reason = one_line(reject.reason)[:1000].encode(errors="replace").decode()
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
    """Payload and headers of a dead-letter message, which together fit into `max_payload`.

    A payload that does not fit is left out, and a header records that only the log has it.
    """
    headers = headers_of(stream, stage, reject)
    if len(reject.payload) + _size(headers) <= max_payload:
        return reject.payload, headers
    headers |= {f"{HEADER_PREFIX}Payload": ONLY_IN_LOG}
    if _size(headers) > max_payload:
        headers |= {f"{HEADER_PREFIX}Headers": "{}"}
    return b"", headers


def _size(headers: dict[str, str]) -> int:
    """An upper bound of the size of headers, in bytes."""
    return 64 + sum(len(name) + len(value.encode()) + 8 for name, value in headers.items())


async def store_dead_letters(
    client: Client, dead_letter_stream: str, stream: str, stage: str, rejects: Sequence[Reject]
) -> int:
    """Stores rejects in the dead-letter stream, each once even if it is passed again.

    `stage` is `decode` for messages that cannot be decoded, or the name of the plane that refused
    an event. Returns how many were new.

    Raises:
        StreamMissing: there is no dead-letter stream.
        LogUnavailable: the server did not acknowledge a message. Pass the rejects again.
    """
    jetstream = client.jetstream(timeout=10.0)
    stored = 0
    waiting: list[Awaitable[bool]] = []
    size = 0
    for reject in rejects:
        payload, headers = message_of(stream, stage, reject, client.max_payload)
        waiting.append(
            _store(
                jetstream, subject_of(dead_letter_stream, stream, stage, reject), payload, headers
            )
        )
        size += len(payload)
        if len(waiting) >= WINDOW or size >= WINDOW_BYTES:
            stored += sum(await asyncio.gather(*waiting))
            waiting, size = [], 0
    return stored + sum(await asyncio.gather(*waiting))


async def _store(
    jetstream: JetStreamContext, subject: str, payload: bytes, headers: dict[str, str]
) -> bool:
    """Stores one dead-letter message. Returns whether it was new."""
    try:
        await jetstream.publish(subject, payload, headers=headers)
    except NoStreamResponseError as error:
        raise StreamMissing(
            "NATS has no stream for dead-letter messages. Run `fraiseql-assets setup`."
        ) from error
    except APIError as error:
        if error.err_code != ALREADY_STORED:
            raise LogUnavailable(
                f"NATS refuses a dead-letter message: {error.description}"
            ) from error
        return False
    except (NatsError, TimeoutError, OSError) as error:
        raise LogUnavailable(f"NATS did not acknowledge a dead-letter message: {error}") from error
    return True
