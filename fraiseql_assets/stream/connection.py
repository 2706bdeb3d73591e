"""Connects to NATS, and defines the errors of the log.

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
from fraiseql_assets.stream.options import NatsOptionError, NatsOptions

logger = logging.getLogger(__name__)

CLOSE_SECONDS = 1.0


class LogError(Exception):
    """A request to the log failed; the message says what, where and what to do."""


class ConnectionSettingError(LogError):
    """A setting of the connection to NATS cannot be used: correct it."""


class LogUnavailable(LogError):
    """NATS cannot be reached or refuses the credentials: try again later."""


class StreamMissing(LogError):
    """NATS answers but has no such stream: run `fraiseql-assets setup`."""


def options_of(settings: Settings) -> NatsOptions:
    """The servers, credentials and trusted certificates in the settings.

    Raises:
        ConnectionSettingError: a setting cannot be used; the message names it.
    """
    try:
        return NatsOptions.read(
            settings.nats_url.get_secret_value(),
            ca_file=settings.nats_ca_file,
            credentials_file=settings.nats_credentials_file,
            nkey_file=settings.nats_nkey_file,
        )
    except NatsOptionError as error:
        raise ConnectionSettingError(str(error)) from error


@asynccontextmanager
async def connect(
    settings: Settings, *, name: str, reconnect_seconds: int = 0
) -> AsyncIterator[Client]:
    """A NATS connection that is open for the duration of the block.

    A lost connection is re-established for up to `reconnect_seconds`. With 0, which sensor ticks
    and probes use, the first loss is final.

    Raises:
        ConnectionSettingError: a setting of the connection cannot be used.
        LogUnavailable: no server answers within the probe timeout, or the credentials are refused.
    """
    options = options_of(settings)
    last_error: list[Exception] = []

    async def note(error: Exception) -> None:
        last_error.append(error)
        logger.debug("NATS at %s: %s", options, error)

    client = Client()
    try:
        async with asyncio.timeout(settings.probe_timeout_seconds):
            await client.connect(
                [str(server) for server in options.servers],
                name=name,
                **_login(options),
                connect_timeout=max(1, int(settings.probe_timeout_seconds)),
                allow_reconnect=reconnect_seconds > 0,
                max_reconnect_attempts=reconnect_seconds,
                reconnect_time_wait=1,
                error_cb=note,
                # The reader bounds its own window; the library must not drop within it.
                pending_size=64 * 2**20,
            )
    except (OSError, TimeoutError, NatsError) as error:
        cause = last_error[-1] if last_error else error
        # The connection may be half open. Closing it may fail or block, as connecting did.
        with suppress(Exception):
            async with asyncio.timeout(CLOSE_SECONDS):
                await client.close()
        raise unavailable(str(options), cause) from error
    try:
        yield client
    finally:
        await client.close()


def _login(options: NatsOptions) -> dict[str, Any]:
    """Credentials and trusted certificates as arguments of the client library."""
    arguments = {
        "user": options.user,
        "password": options.password,
        "token": options.token,
        "user_credentials": options.credentials_file and str(options.credentials_file),
        "nkeys_seed": options.nkey_file and str(options.nkey_file),
        "tls": options.tls_context() if options.ca_file else None,
    }
    return {name: value for name, value in arguments.items() if value is not None}


def unavailable(where: str, cause: Exception) -> LogUnavailable:
    """The error for a server that cannot be reached or refuses the credentials."""
    text = str(cause) or type(cause).__name__
    # Before a connection is established, NATS has no error codes; this text is its protocol.
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
    """Turns errors of the client library into errors of this module. `what` names the request.

    Raises:
        StreamMissing: the server has no such stream.
        LogUnavailable: the server did not answer.
        LogError: the server refused the request.
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
    """The error for a server on which JetStream does not respond."""
    return LogUnavailable(
        "JetStream of NATS does not answer: is it switched on (nats-server -js), and has its "
        "cluster a leader?"
    )


def stream_missing(stream: str) -> StreamMissing:
    """The error for a missing stream."""
    return StreamMissing(
        f"NATS has no stream {stream}. Run `fraiseql-assets setup`, or set FRAISEQL_STREAM."
    )
