"""The one Arrow schema of events, from decoding to Flight."""

from collections.abc import Iterable

import pyarrow as pa

from fraiseql_assets.events.fields import EVENT_FIELDS
from fraiseql_assets.fields import Field

TIMESTAMP = pa.timestamp("us", tz="UTC")

_TYPES = {
    str(known): known
    for known in (
        *(pa.utf8(), pa.list_(pa.utf8()), TIMESTAMP),
        *(pa.int64(), pa.uint64(), pa.uint32(), pa.float64()),
    )
}


def arrow_schema(fields: Iterable[Field]) -> pa.Schema:
    """The Arrow schema of a dataset's columns."""
    return pa.schema([pa.field(each.name, _TYPES[each.type], each.nullable) for each in fields])


EVENT_SCHEMA = arrow_schema(EVENT_FIELDS)

STREAM_COLUMNS = ("stream_seq", "stream_row", "stream_time")
"""The columns that the log decides, not the producer: JetStream's sequence, the row inside an
Arrow-batch message, and the time of storage, which decides the partition."""

COLUMN_DESCRIPTIONS = {each.name: each.description for each in EVENT_FIELDS}
