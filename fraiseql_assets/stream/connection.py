"""Connecting to NATS, and what can go wrong with the log.

LogError
├── LogUnavailable   the server cannot be reached, or refuses the credentials
└── StreamMissing    the server answers, but the stream is not there
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TypedDict
from urllib.parse import SplitResult, unquote, urlsplit

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


class Credentials(TypedDict, total=False):
    """A user and password, a token, or neither."""

    user: str
    password: str
    token: str


def credentials_of(url: SplitResult) -> Credentials:
    """What an address says; a token stands alone where the user would."""
    if url.username is None:
        return {}
    if url.password is None:
        return {"token": unquote(url.username)}
    return {"user": unquote(url.username), "password": unquote(url.password)}


def servers_of(settings: Settings) -> list[str]:
    """The addresses of the NATS servers, credentials in them."""
    return [server.strip() for server in settings.nats_url.get_secret_value().split(",")]


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
                servers_of(settings),
                name=name,
                # Given beside the addresses, since there the client takes them as they are written.
                **credentials_of(urlsplit(servers_of(settings)[0])),
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
        # Half a connection is left where it broke off; closing it may fail as it did.
        with suppress(Exception):
            await client.close()
        raise unavailable(where, cause) from error
    try:
        yield client
    finally:
        await client.close()


def unavailable(where: str, cause: Exception) -> LogUnavailable:
    """The error for a server that does not let us in, with what to do."""
    text = str(cause) or type(cause).__name__
    if "authorization" in text.lower():
        return LogUnavailable(
            f"NATS at {where} refuses the credentials. "
            "Check the user and password in FRAISEQL_NATS_URL."
        )
    return LogUnavailable(
        f"NATS at {where} does not answer ({text}). "
        "Check that the server runs and that FRAISEQL_NATS_URL names it."
    )


def without_jetstream() -> LogUnavailable:
    """The error for a server on which nobody answers for JetStream."""
    return LogUnavailable(
        "JetStream of NATS does not answer: is it switched on (nats-server -js), and has its "
        "cluster a leader?"
    )


def stream_missing(stream: str) -> StreamMissing:
    """The error for a stream that is not there."""
    return StreamMissing(
        f"NATS has no stream {stream}. Run `fraiseql-assets setup`, or set FRAISEQL_STREAM."
    )
