"""Connecting to NATS: to which servers, as which user, and what can go wrong.

LogError
├── ConnectionSettingError   a setting of the connection cannot be used
├── LogUnavailable           the server cannot be reached, or refuses the credentials
└── StreamMissing            the server answers, but has no such stream
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import APIError, NotFoundError, ServiceUnavailableError

from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.access import Access, AccessError

logger = logging.getLogger(__name__)

CLOSE_SECONDS = 1.0


class LogError(Exception):
    """The log could not do what was asked; the message says what, where and what to do."""


class ConnectionSettingError(LogError):
    """A setting of the connection to NATS cannot be used: correct it."""


class LogUnavailable(LogError):
    """NATS cannot be reached or refuses the credentials: try again later."""


class StreamMissing(LogError):
    """NATS answers but has no such stream: run `fraiseql-assets setup`."""


def access_of(settings: Settings) -> Access:
    """Servers, credentials and trust as the settings say.

    Raises:
        ConnectionSettingError: naming the setting that cannot be used.
    """
    try:
        return Access.read(
            settings.nats_url.get_secret_value(),
            ca_file=settings.nats_ca_file,
            credentials_file=settings.nats_credentials_file,
            nkey_file=settings.nats_nkey_file,
        )
    except AccessError as error:
        raise ConnectionSettingError(str(error)) from error


@asynccontextmanager
async def connect(
    settings: Settings, *, name: str, reconnect_seconds: int = 0
) -> AsyncIterator[Client]:
    """A NATS connection for the length of the block.

    A lost connection is re-established for up to `reconnect_seconds`. With 0, as sensor ticks and
    probes use it, the first loss is final.

    Raises:
        ConnectionSettingError: a setting of the connection cannot be used.
        LogUnavailable: no server answers in the probe time, or the credentials are refused.
    """
    access = access_of(settings)
    last_error: list[Exception] = []

    async def note(error: Exception) -> None:
        last_error.append(error)
        logger.debug("NATS at %s: %s", access, error)

    client = Client()
    try:
        async with asyncio.timeout(settings.probe_timeout_seconds):
            await client.connect(
                [str(server) for server in access.servers],
                name=name,
                **_login(access),
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
        # Half a connection is left where it broke off; closing it may fail, or wait, as it did.
        with suppress(Exception):
            async with asyncio.timeout(CLOSE_SECONDS):
                await client.close()
        raise unavailable(str(access), cause) from error
    try:
        yield client
    finally:
        await client.close()


def _login(access: Access) -> dict[str, Any]:
    """Credentials and trust as the client library takes them."""
    options = {
        "user": access.user,
        "password": access.password,
        "token": access.token,
        "user_credentials": access.credentials_file and str(access.credentials_file),
        "nkeys_seed": access.nkey_file and str(access.nkey_file),
        "tls": access.tls_context() if access.ca_file else None,
    }
    return {name: value for name, value in options.items() if value is not None}


def unavailable(where: str, cause: Exception) -> LogUnavailable:
    """The error for a server that cannot be reached or refuses the credentials."""
    text = str(cause) or type(cause).__name__
    # NATS has no error codes before the connection stands: this text is its protocol.
    if "authorization" in text.lower():
        return LogUnavailable(
            f"NATS at {where} refuses the credentials. Check the user and password in "
            "FRAISEQL_NATS_URL, or the file in FRAISEQL_NATS_CREDENTIALS_FILE or "
            "FRAISEQL_NATS_NKEY_FILE."
        )
    return LogUnavailable(
        f"NATS at {where} does not answer ({text}). "
        "Check that the server runs and that FRAISEQL_NATS_URL names it."
    )


@contextmanager
def translated(stream: str, what: str) -> Iterator[None]:
    """Raises the client library's errors as this module's; `what` was asked of a stream.

    Raises:
        StreamMissing: the server has no such stream.
        LogUnavailable: the server did not answer.
        LogError: it refused.
    """
    try:
        yield
    except NotFoundError as error:
        raise stream_missing(stream) from error
    except ServiceUnavailableError as error:
        raise without_jetstream() from error
    except APIError as error:
        raise LogError(
            f"NATS refuses to tell {what} of stream {stream}: {error.description}"
        ) from error
    except (NatsError, TimeoutError, OSError) as error:
        raise LogUnavailable(
            f"NATS did not tell {what} of stream {stream} ({str(error) or type(error).__name__}). "
            "Check the server."
        ) from error


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
