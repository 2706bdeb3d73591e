"""Stores positions of bridges in a key-value bucket of JetStream, beside the log. A position
replaces only the one that was read before. If two bridges have the same name, the slower one
therefore detects the other and never overwrites a newer position.
"""

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import KeyValueConfig, StorageType, StreamInfo
from nats.js.client import JetStreamContext
from nats.js.errors import (
    APIError,
    BucketNotFoundError,
    KeyNotFoundError,
    KeyWrongLastSequenceError,
    ServiceUnavailableError,
)
from nats.js.kv import KeyValue

from fraiseql_assets.bridge.errors import BridgeError, PositionTaken
from fraiseql_assets.bridge.position import Position
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.connection import (
    LogError,
    LogUnavailable,
    translated,
    without_jetstream,
)
from fraiseql_assets.stream.requirements import require_log

SECONDS = 10.0
"""The timeout of one request to the server."""


class Positions:
    """The position of one bridge."""

    def __init__(self, bucket: KeyValue, name: str, where: str) -> None:
        self._bucket, self._name, self._where = bucket, name, where
        self._revision = 0

    async def load(self) -> Position | None:
        """The last saved position; None if there is none.

        Raises:
            BridgeError: what is stored is no position.
            LogUnavailable: NATS does not answer.
        """
        try:
            entry = await self._bucket.get(self._name)
        except KeyNotFoundError:
            # Also raised for a key that was deleted, which `create` then starts anew.
            self._revision = 0
            return None
        except (NatsError, TimeoutError, OSError) as error:
            raise self._unavailable(error) from error
        self._revision = entry.revision or 0
        try:
            return Position.decode(entry.value or b"")
        except ValueError as error:
            raise BridgeError(f"key {self._name} of {self._where}: {error}") from error

    async def save(self, position: Position) -> None:
        """Saves a position, which replaces the one that was loaded or saved last.

        Raises:
            PositionTaken: another bridge has saved one meanwhile.
            LogUnavailable: NATS does not answer; the position may be saved.
        """
        try:
            if self._revision:
                self._revision = await self._bucket.update(
                    self._name, position.encode(), last=self._revision
                )
            else:
                self._revision = await self._bucket.create(self._name, position.encode())
        except KeyWrongLastSequenceError as error:
            raise PositionTaken(
                f"another bridge named {self._name} has saved a position in {self._where}"
            ) from error
        except APIError as error:
            raise LogError(f"NATS refuses a position: {error.description}") from error
        except (NatsError, TimeoutError, OSError) as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> LogUnavailable:
        return LogUnavailable(
            f"NATS does not answer for {self._where} ({str(error) or type(error).__name__})"
        )


async def open_positions(client: Client, settings: Settings) -> Positions:
    """The positions in the bucket of the settings. Creates the bucket if there is none.

    Raises:
        LogUnavailable: NATS does not answer.
        LogError: NATS refuses the bucket.
    """
    jetstream = client.jetstream(timeout=SECONDS)
    where = f"bucket {settings.bridge_bucket}"
    try:
        try:
            bucket = await jetstream.key_value(settings.bridge_bucket)
        except BucketNotFoundError:
            bucket = await _create(jetstream, settings)
    except ServiceUnavailableError as error:
        raise without_jetstream() from error
    except APIError as error:
        raise LogError(f"NATS refuses {where}: {error.description}") from error
    except (NatsError, TimeoutError, OSError) as error:
        raise LogUnavailable(
            f"NATS does not answer for {where} ({str(error) or type(error).__name__}). Check the "
            "server, and that the user may publish to $JS.API.STREAM.INFO.KV_"
            f"{settings.bridge_bucket}."
        ) from error
    return Positions(bucket, settings.bridge_name, where)


async def has_position(client: Client, settings: Settings) -> bool:
    """Whether a bridge of this name has saved a position that can be read. Creates nothing."""
    jetstream = client.jetstream(timeout=settings.probe_timeout_seconds)
    try:
        bucket = await jetstream.key_value(settings.bridge_bucket)
        await bucket.get(settings.bridge_name)
    except (NatsError, TimeoutError, OSError):
        return False
    return True


async def _create(jetstream: JetStreamContext, settings: Settings) -> KeyValue:
    return await jetstream.create_key_value(
        KeyValueConfig(
            bucket=settings.bridge_bucket,
            description="How far each bridge has published a change log",
            history=1,
            storage=StorageType.FILE,
            replicas=settings.stream_replicas,
        )
    )


async def last_sequence(client: Client, settings: Settings) -> int:
    """The last sequence of the log.

    Raises:
        StreamMissing: there is no log.
        LogUnavailable: NATS does not answer.
    """
    return (await _log(client, settings)).state.last_seq


async def check_log(client: Client, settings: Settings) -> None:
    """Checks that the log captures the subjects of a bridge.

    Raises:
        StreamMissing: there is no log.
        UnsuitableStream: its configuration is unsuitable.
        BridgeError: it does not capture the subjects of events.
        LogUnavailable: NATS does not answer.
    """
    config = (await _log(client, settings)).config
    require_log(config)
    subject = f"{settings.subject_prefix}.Order.INSERT"
    if not any(captures(pattern, subject) for pattern in config.subjects or []):
        raise BridgeError(
            f"stream {settings.stream} captures {', '.join(config.subjects or [])} and not "
            f"{subject}: set FRAISEQL_SUBJECT_PREFIX, or add {settings.subject_prefix}.> to "
            "FRAISEQL_SUBJECTS and run `fraiseql-assets setup`."
        )


def captures(pattern: str, subject: str) -> bool:
    """Whether a subject matches a NATS pattern."""
    wanted, given = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        wanted = wanted[:-1]
        if len(given) <= len(wanted):
            return False
        given = given[: len(wanted)]
    return len(wanted) == len(given) and all(
        want in ("*", have) for want, have in zip(wanted, given, strict=True)
    )


async def _log(client: Client, settings: Settings) -> StreamInfo:
    with translated(settings.stream, "the state"):
        return await client.jetstream(timeout=SECONDS).stream_info(settings.stream)
