"""The dead-letter stream: messages that could not be used, kept whole with the reason."""

import json
from collections.abc import Sequence

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import APIError, NoStreamResponseError

from fraiseql_assets.events.messages import Reject
from fraiseql_assets.stream.connection import LogUnavailable, StreamMissing
from fraiseql_assets.stream.setup import DEAD_LETTER_SUBJECT

HEADER_PREFIX = "Fraiseql-Dead-Letter-"
ALREADY_FILED = 10077
"""JetStream's error code for a subject that holds its one message already."""


def subject_of(stream: str, stage: str, reject: Reject) -> str:
    """Where a letter lies: one subject per stage, sequence and row, which holds one message."""
    return f"{DEAD_LETTER_SUBJECT}.{stream}.{stage}.{reject.sequence}.{reject.row}"


def headers_of(stream: str, stage: str, reject: Reject) -> dict[str, str]:
    """What is kept beside the payload: where it was, its own headers as JSON, and the reason."""
    return {
        f"{HEADER_PREFIX}Stream": stream,
        f"{HEADER_PREFIX}Stage": stage,
        f"{HEADER_PREFIX}Sequence": str(reject.sequence),
        f"{HEADER_PREFIX}Row": str(reject.row),
        f"{HEADER_PREFIX}Time": str(reject.time),
        f"{HEADER_PREFIX}Subject": reject.subject,
        f"{HEADER_PREFIX}Headers": json.dumps(reject.headers or {}),
        # A header is one line.
        f"{HEADER_PREFIX}Reason": " ".join(reject.reason.split())[:1000],
    }


async def file_letters(client: Client, stream: str, stage: str, rejects: Sequence[Reject]) -> int:
    """Files rejects, each once however often it is filed. Returns how many were new.

    `stage` is `decode` for what is no event, or the plane that refused an event.

    Raises:
        StreamMissing: there is no dead-letter stream.
        LogUnavailable: the server did not acknowledge a letter; none is lost, file them again.
    """
    jetstream = client.jetstream(timeout=10.0)
    filed = 0
    for reject in rejects:
        try:
            await jetstream.publish(
                subject_of(stream, stage, reject),
                reject.payload,
                headers=headers_of(stream, stage, reject),
            )
            filed += 1
        except NoStreamResponseError as error:
            raise StreamMissing(
                "NATS has no stream for dead letters. Run `fraiseql-assets setup`."
            ) from error
        except APIError as error:
            if error.err_code != ALREADY_FILED:
                raise LogUnavailable(f"NATS refuses a dead letter: {error.description}") from error
        except (NatsError, TimeoutError, OSError) as error:
            raise LogUnavailable(f"NATS did not acknowledge a dead letter: {error}") from error
    return filed
