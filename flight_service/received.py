# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute makes its functions at import, out of a type checker's sight)
"""Record batches that clients send, which nothing has checked yet."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import flight

from flight_service.errors import InvalidRequest, reason_of

EMPTY_MESSAGES = 16
"""After this number of consecutive messages without content, a stream counts as ended. pyarrow
reports the end in the same way."""
LEAST_BYTES = 4
"""What a value counts at least: its offset, or the like."""


@contextmanager
def readable(what: str) -> Iterator[None]:
    """Reads what a client sends. `what` is the subject of the message.

    Raises:
        InvalidRequest: it is no Arrow stream.
    """
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"{what} cannot be read: {reason_of(error)}.") from error


def messages(
    reader: flight.MetadataRecordBatchReader,
    what: str,
    waiting: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Iterator[flight.FlightStreamChunk]:
    """The messages of a client until it closes its side, without empty ones. `what` is the subject
    of an error's message, and `waiting` surrounds each wait for the client.

    Raises:
        InvalidRequest: what it sends is no Arrow stream.
    """
    empty = 0
    while empty < EMPTY_MESSAGES:
        try:
            with waiting(), readable(what):
                chunk = reader.read_chunk()
        except StopIteration:
            empty += 1
            continue
        empty = 0
        yield chunk


def check_schema(reader: flight.MetadataRecordBatchReader) -> None:
    """Refuses a stream that has ended without a schema: nothing in it could be read.

    Raises:
        InvalidRequest: it has none.
    """
    try:
        assert reader.schema is not None
    except OSError as error:
        raise InvalidRequest(
            "No message with a schema arrived. Send IPC messages, each with its header in "
            "data_header."
        ) from error


def check_undamaged(batch: pa.RecordBatch) -> None:
    """Refuses a batch whose offsets, indices or lengths point outside of its buffers.

    Nothing may be asked of a batch before that, not even its size: what Arrow reads then is other
    memory of the process, or none.

    Raises:
        InvalidRequest: it is damaged.
    """
    try:
        batch.validate(full=True)
        _read_names(batch.schema)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise InvalidRequest(f"The batch is damaged: {reason_of(error)}.") from error


def _read_names(fields: Iterable[pa.Field]) -> None:
    """Reads every name, since one that is no UTF-8 cannot be read."""
    for field in fields:
        assert field.name is not None
        _read_names(field.type.field(n) for n in range(field.type.num_fields))


def whole_bytes(batch: pa.RecordBatch) -> int:
    """How many bytes the batch takes when every value is written out: a dictionary or a buffer of
    views can have one long text for many rows, and nulls take no bytes at all."""
    # Rows take memory without a column too: that of the tenant is added to them.
    return max(LEAST_BYTES * batch.num_rows, sum(map(_whole_bytes, batch.columns)))


def _whole_bytes(column: pa.Array) -> int:
    least = LEAST_BYTES * len(column)
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if isinstance(column, pa.StructArray):
        fields = (column.field(n) for n in range(column.type.num_fields))
        return least + sum(map(_whole_bytes, fields))
    if isinstance(column, pa.ListArray | pa.LargeListArray | pa.FixedSizeListArray):
        return least + _whole_bytes(column.values)
    if isinstance(column, pa.ListViewArray | pa.LargeListViewArray):
        # Several rows may have the same values.
        each = _whole_bytes(column.values) // max(1, len(column.values)) + 1
        return least + each * (pc.sum(column.sizes).as_py() or 0)
    if isinstance(column, pa.DictionaryArray):
        values = column.dictionary
        lengths = _lengths(values)
        if lengths is None:
            return least + len(column) * (values.nbytes // max(1, len(values)))
        return least + (pc.sum(lengths.take(column.indices)).as_py() or 0)
    if _is_view(column.type):
        return least + (pc.sum(_lengths(column)).as_py() or 0)
    return max(least, column.nbytes)


def _is_view(kind: pa.DataType) -> bool:
    return pa.types.is_string_view(kind) or pa.types.is_binary_view(kind)


def _lengths(values: pa.Array) -> pa.Array | None:
    """The length of each text; None for values that have none."""
    kind, types = values.type, pa.types
    if _is_view(kind):
        # A view is four numbers of 32 bits, of which the first is the length.
        count = values.offset + len(values)
        numbers = pa.Array.from_buffers(pa.int32(), 4 * count, [None, values.buffers()[1]])
        views = pa.FixedSizeListArray.from_arrays(numbers, 4).slice(values.offset)
        lengths = pc.list_element(views, 0)
    elif (
        types.is_string(kind)
        or types.is_binary(kind)
        or types.is_large_string(kind)
        or types.is_large_binary(kind)
    ):
        lengths = pc.binary_length(values)
    else:
        return None
    return pc.if_else(values.is_valid(), lengths.cast(pa.int64()), 0)
