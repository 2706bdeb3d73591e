"""What a column of a dataset is, without Arrow, so that Dagster's definitions load without it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Field:
    """A column of a dataset."""

    name: str
    type: str
    """Its Arrow type, as Arrow writes it."""
    description: str
    nullable: bool = False


STREAM_SEQ = Field("stream_seq", "uint64", "JetStream's sequence of the message.")
STREAM_TIME = Field(
    "stream_time",
    "timestamp[us, tz=UTC]",
    "When JetStream stored the message: decides the partition.",
)
