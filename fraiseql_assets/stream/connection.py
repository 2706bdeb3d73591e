"""Connecting to NATS, and what can go wrong with the log.

LogError
├── LogUnavailable   the server cannot be reached, or refuses the credentials
└── StreamMissing    the server answers, but the stream is not there
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from nats.aio.client import Client
from nats.errors import Error as NatsError

from fraiseql_assets.settings import Settings

logger = logging.getLogger(__name__)


class LogError(Exception):
    """The log could not do what was asked; the message says what, where and what to do."""


class LogUnavailable(LogError):
    """NATS cannot be reached or refuses the credentials: try again later."""


class StreamMissing(LogError):
    """NATS answers but has no such stream: run `fraiseql-assets setup`."""


def public_address(url: str) -> str:
    """The address without its credentials, fit for a message."""
    parts = (urlsplit(server.strip()) for server in url.split(","))
    return ",".join(f"{part.scheme}://{part.netloc.rpartition('@')[2]}" for part in parts)


@asynccontextmanager
async def connect(
    settings: Settings, *, name: str, reconnect_seconds: int = 0
) -> AsyncIterator[Client]:
    """A NATS connection for the length of the block.

    A lost connection is re-established for up to `reconnect_seconds`; without them the first loss
    is final, as a sensor tick or a probe wants it.

    Raises:
        LogUnavailable: no server answers in the probe time, or the credentials are refused.
    """
    url = settings.nats_url.get_secret_value()
    where = public_address(url)
    last_error: list[Exception] = []

    async def note(error: Exception) -> None:
        last_error.append(error)
        logger.debug("NATS at %s: %s", where, error)

    client = Client()
    try:
        async with asyncio.timeout(settings.probe_timeout_seconds):
            await client.connect(
                [server.strip() for server in url.split(",")],
                name=name,
                connect_timeout=max(1, int(settings.probe_timeout_seconds)),
                allow_reconnect=reconnect_seconds > 0,
                max_reconnect_attempts=reconnect_seconds,
                reconnect_time_wait=1,
                error_cb=note,
                # The reader keeps its own bounded window; the library's limit must not drop within.
                pending_size=64 * 2**20,
            )
    except (OSError, TimeoutError, NatsError) as error:
        cause = last_error[-1] if last_error else error
        raise LogUnavailable(_why(where, cause)) from error
    try:
        yield client
    finally:
        await client.close()


def _why(where: str, cause: Exception) -> str:
    text = str(cause) or type(cause).__name__
    if "authorization" in text.lower():
        return (
            f"NATS at {where} refuses the credentials. "
            "Check the user and password in FRAISEQL_NATS_URL."
        )
    return (
        f"NATS at {where} does not answer ({text}). "
        "Check that the server runs and that FRAISEQL_NATS_URL names it."
    )
