"""What a stream's configuration must be for the stream to serve as the log.

The log must keep every message until it is too old, and let any number of readers read any range.
`setup`, `doctor` and every reader report the same settings with the same messages.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nats.js.api import RetentionPolicy, StorageType, StreamConfig

from fraiseql_assets.stream.connection import LogError

CONSUMER_SECONDS = 30.0
"""How long the consumer of a reader must survive without a request."""


class UnsuitableStream(LogError):
    """The stream's configuration is unsuitable for a log: change it, or use another stream."""


@dataclass(frozen=True, slots=True)
class UnsuitableSetting:
    """A setting of a stream that is unsuitable for a log."""

    setting: str
    why: str
    fatal: bool
    """Unless it is changed, nothing can be read or messages are lost before they are read."""

    def __str__(self) -> str:
        return f"{self.setting} {self.why}"


def unsuitable_settings(config: StreamConfig) -> list[UnsuitableSetting]:
    """The unsuitable settings, the fatal ones first."""
    return sorted(_unsuitable_settings(config), key=lambda setting: not setting.fatal)


def require_log(config: StreamConfig) -> None:
    """Returns if the stream can serve as the log.

    Raises:
        UnsuitableStream: it cannot; the message names each unsuitable setting.
    """
    fatal = [setting for setting in unsuitable_settings(config) if setting.fatal]
    if fatal:
        raise UnsuitableStream(unsuitable_stream_message(config.name or "", fatal))


def unsuitable_stream_message(stream: str, found: Sequence[UnsuitableSetting]) -> str:
    """A message that says what is wrong with a stream and what to do."""
    return (
        f"Stream {stream} cannot serve as the log: {'; '.join(map(str, found))}. "
        "Change it with `nats stream edit`, or set FRAISEQL_STREAM to another name and run "
        "`fraiseql-assets setup`."
    )


def _unsuitable_settings(config: StreamConfig) -> Iterator[UnsuitableSetting]:
    if config.retention == RetentionPolicy.INTEREST:
        yield UnsuitableSetting(
            "retention: interest", "deletes messages that no consumer waits for", True
        )
    elif config.retention == RetentionPolicy.WORK_QUEUE:
        yield UnsuitableSetting(
            "retention: workqueue", "lets only one consumer read a message", True
        )
    if config.mirror:
        yield UnsuitableSetting(
            "mirror:", f"the stream captures no subjects, it copies {config.mirror.name}", True
        )
    if config.sealed:
        yield UnsuitableSetting("sealed:", "the stream takes no messages", True)
    if config.no_ack:
        yield UnsuitableSetting("no_ack:", "no message is acknowledged", True)
    if config.max_consumers is not None and config.max_consumers > 0:
        yield UnsuitableSetting(
            f"max_consumers: {config.max_consumers}", "limits how many can read at once", True
        )
    limits = config.consumer_limits
    if limits and limits.inactive_threshold and limits.inactive_threshold < CONSUMER_SECONDS:
        yield UnsuitableSetting(
            f"consumer_limits.inactive_threshold: {limits.inactive_threshold:g} s",
            f"is below the {CONSUMER_SECONDS:g} s that readers need",
            True,
        )
    if limits and limits.max_ack_pending and limits.max_ack_pending > 0:
        yield UnsuitableSetting(
            f"consumer_limits.max_ack_pending: {limits.max_ack_pending}",
            "refuses consumers without acknowledgements",
            True,
        )
    if config.max_msgs_per_subject > 0:
        yield UnsuitableSetting(
            f"max_msgs_per_subject: {config.max_msgs_per_subject}",
            "deletes older messages of a subject, perhaps before they are read",
            False,
        )
    if config.allow_rollup_hdrs:
        yield UnsuitableSetting("allow_rollup_hdrs:", "lets one message delete its subject", False)
    if config.allow_msg_ttl:
        yield UnsuitableSetting("allow_msg_ttl:", "lets producers make messages that expire", False)
    if config.storage == StorageType.MEMORY:
        yield UnsuitableSetting(
            "storage: memory", "loses all messages when the server restarts", False
        )
