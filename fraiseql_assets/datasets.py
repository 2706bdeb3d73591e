"""The datasets in the log, events and GraphQL requests, and their differences.

Planes, pipeline, sensors, assets and the Flight service handle every dataset in the same way.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from fraiseql_assets.events import schema as events
from fraiseql_assets.events.decode import decode_parts as decode_events
from fraiseql_assets.events.encode import Outgoing, observer_messages
from fraiseql_assets.events.messages import Decoded, Messages
from fraiseql_assets.requests import schema as requests
from fraiseql_assets.requests.decode import decode_parts as decode_requests
from fraiseql_assets.requests.encode import request_messages
from fraiseql_assets.settings import Settings


@dataclass(frozen=True, slots=True)
class Dataset:
    """Rows of one kind, with a stream in the log and an asset in each plane."""

    name: str
    """The second part of its asset keys, and part of its index names."""
    planes: tuple[str, ...]
    """The planes that hold it."""
    schema: pa.Schema = field(repr=False)
    descriptions: Mapping[str, str] = field(repr=False)
    """What each column of the schema means."""
    id_column: str
    """The column that identifies a row, even if it is published several times in a day."""
    decode_parts: Callable[[Messages], Iterator[Decoded]] = field(repr=False)
    """Decodes messages into record batches of `schema`, in stream order, and rejects."""
    encode: Callable[[pa.RecordBatch, str], Iterator[Outgoing]] = field(repr=False)
    """Encodes rows as messages with a subject prefix; decoding gives the same rows."""
    stream_setting: str
    prefix_setting: str
    retention_setting: str

    @property
    def noun(self) -> str:
        """The noun for one row."""
        return self.name.removesuffix("s")

    def stream(self, settings: Settings) -> str:
        """The JetStream stream that carries it."""
        return getattr(settings, self.stream_setting)

    def subject_prefix(self, settings: Settings) -> str:
        """The subject prefix of messages that this project publishes."""
        return getattr(settings, self.prefix_setting)

    def retention_days(self, settings: Settings) -> int:
        """How many days the planes keep its rows."""
        return getattr(settings, self.retention_setting)

    def decode(self, messages: Messages) -> Decoded:
        """All parts of `decode_parts` together."""
        parts = list(self.decode_parts(messages))
        return Decoded(
            [batch for part in parts for batch in part.batches],
            [reject for part in parts for reject in part.rejects],
        )


EVENTS = Dataset(
    name="events",
    planes=("analytics", "operational"),
    schema=events.EVENT_SCHEMA,
    descriptions=events.COLUMN_DESCRIPTIONS,
    id_column="event_id",
    decode_parts=decode_events,
    encode=observer_messages,
    stream_setting="stream",
    prefix_setting="subject_prefix",
    retention_setting="retention_raw_days",
)
REQUESTS = Dataset(
    name="requests",
    planes=("operational",),
    schema=requests.REQUEST_SCHEMA,
    descriptions=requests.COLUMN_DESCRIPTIONS,
    id_column="request_id",
    decode_parts=decode_requests,
    encode=request_messages,
    stream_setting="request_stream",
    prefix_setting="request_subject_prefix",
    retention_setting="retention_request_days",
)
DATASETS = {dataset.name: dataset for dataset in (EVENTS, REQUESTS)}


def dataset_of(stream: str, settings: Settings) -> Dataset:
    """The dataset of a stream. A stream with an older name carries events."""
    return REQUESTS if stream == REQUESTS.stream(settings) else EVENTS
