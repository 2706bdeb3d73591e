# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute makes its functions at import, out of a type checker's sight)
"""How much memory a client's batch takes once its values are plain.

Arrow sends some values once and refers to them in many rows, and null columns without a byte. What
a client sends in a few kilobytes may become terabytes where it is cast.
"""

import pyarrow as pa
import pyarrow.compute as pc

from flight_service.errors import InvalidRequest

ROW_BYTES = 8
"""What a row takes at least: a column of nulls, or of the tenant, has an offset for it."""


def expanded_bytes(batch: pa.RecordBatch) -> int:
    """About how many bytes a batch has without dictionaries and views.

    Raises:
        InvalidRequest: a column refers to values in a way that is not taken, or its indices are
            wrong; the message names it.
    """
    check(batch, full=False)
    size = ROW_BYTES * batch.num_rows
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            size += _expanded(column)
        except _NotTaken as error:
            raise InvalidRequest(f"The column {name} is {column.type}, which {error}") from error
        except pa.ArrowException as error:
            text = " ".join(str(error).split())
            raise InvalidRequest(f"The column {name} is damaged: {text}") from error
    return size


def check(batch: pa.RecordBatch, *, full: bool = True) -> None:
    """Checks the buffers of a batch, which come from a client as they are; with `full`, offsets,
    indices and texts too.

    Raises:
        InvalidRequest: they do not fit each other.
    """
    try:
        batch.validate(full=full)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        text = " ".join(str(error).split())
        raise InvalidRequest(f"The batch is damaged: {text}") from error


class _NotTaken(Exception):
    """The end of a sentence about a type."""


def _expanded(column: pa.Array) -> int:
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    types, kind = pa.types, column.type
    if isinstance(column, pa.DictionaryArray):
        widths = _widths(column.dictionary)
        return pc.sum(pc.take(widths, column.indices)).as_py() or 0
    if types.is_string_view(kind) or types.is_binary_view(kind):
        return pc.sum(_widths(column)).as_py() or 0
    if isinstance(column, pa.StructArray):
        return sum(_expanded(column.field(n)) for n in range(kind.num_fields))
    if isinstance(column, pa.ListArray | pa.LargeListArray | pa.FixedSizeListArray):
        return ROW_BYTES * (len(column) + len(column.values)) + _expanded(column.values)
    if types.is_nested(kind) or types.is_run_end_encoded(kind):
        raise _NotTaken("is not taken here. Send plain values.")
    return column.nbytes


def _widths(values: pa.Array) -> pa.Array:
    """The size of each value."""
    types, kind = pa.types, values.type
    if types.is_string_view(kind) or types.is_binary_view(kind):
        # The first four bytes of a view are the length of its value.
        data = values.buffers()[1]
        views = pa.Array.from_buffers(
            pa.binary(16), len(values), [None, data], offset=values.offset
        )
        lengths = pc.binary_slice(views, 0, 4).cast(pa.binary(4)).view(pa.int32())
        return pc.if_else(values.is_valid(), lengths, 0).cast(pa.int64())
    if types.is_string(kind) or types.is_binary(kind):
        return pc.binary_length(values).cast(pa.int64())
    if types.is_large_string(kind) or types.is_large_binary(kind):
        return pc.binary_length(values)
    if types.is_nested(kind) or types.is_dictionary(kind):
        raise _NotTaken("has no plain values. Send plain values.")
    return pa.repeat(pa.scalar(values.nbytes // max(1, len(values)) + 1, pa.int64()), len(values))
