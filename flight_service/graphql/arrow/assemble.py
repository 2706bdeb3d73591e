# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute makes its functions at import, out of a type checker's sight)
"""Assembles a batch of flat columns into the rows that were asked for, whole columns at a time."""

from collections.abc import Mapping
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from flight_service.graphql.arrow.casts import read_texts
from flight_service.graphql.arrow.columns import (
    Columns,
    ListColumns,
    NoColumn,
    ObjectColumns,
    ScalarColumn,
)
from flight_service.graphql.arrow.result_types import (
    ConstantType,
    ListType,
    ObjectType,
    ResultField,
    ResultType,
    ScalarType,
    arrow_field,
    arrow_schema,
    arrow_type,
)
from flight_service.graphql.errors import BadDocument
from flight_service.graphql.postgres.catalogue import Ask

SECONDS_PER_DAY = 86_400
EPOCH_DAYS = (date(2000, 1, 1) - date(1970, 1, 1)).days
"""PostgreSQL counts from 2000, Arrow from 1970."""
DAYS = ((date.min - date(1970, 1, 1)).days, (date.max - date(1970, 1, 1)).days)
LIMITS = {
    pa.timestamp("us").id: (
        DAYS[0] * SECONDS_PER_DAY * 10**6,
        (DAYS[1] + 1) * SECONDS_PER_DAY * 10**6 - 1,
    ),
    pa.date32().id: DAYS,
    pa.time64("us").id: (0, SECONDS_PER_DAY * 10**6 - 1),
}
"""The least and the greatest number of each type, by the type's id."""
INFINITIES = {
    (kind.id, (end + EPOCH_DAYS * unit + 2**bits // 2) % 2**bits - 2**bits // 2): name
    for kind, bits, unit in (
        (pa.timestamp("us"), 64, SECONDS_PER_DAY * 10**6),
        (pa.date32(), 32, 1),
    )
    for name, end in (("infinity", 2 ** (bits - 1) - 1), ("-infinity", -(2 ** (bits - 1))))
}
"""What PostgreSQL's infinities have become, counted from 1970 with an overflow."""


SHOWN = 80
"""How many characters of a value are shown."""


class _Level:
    """The columns at one level of nesting: a value for each row, or for each element of a list."""

    def __init__(self, batch: pa.RecordBatch, ask: Ask, elements: int | None = None) -> None:
        self.batch = batch
        self.ask = ask
        self.elements = elements
        self.length = batch.num_rows if elements is None else elements

    def column(self, number: int) -> pa.Array:
        """The values of a column. Values of list elements are stored as one array per row."""
        column = self.batch.column(number)
        if self.elements is None:
            return column
        values = column.flatten()
        if len(values) != self.elements:
            raise AssertionError(f"{len(values)} elements where the lengths say {self.elements}")
        return values


class InvalidValue(Exception):
    """A value that is not what the schema says, at an index of a level's values."""

    def __init__(self, reason: str, path: tuple[str | int, ...], index: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.path = path
        self.index = index


def assemble(
    batch: pa.RecordBatch,
    rows: ObjectType,
    columns: ObjectColumns,
    first_row: int,
    root: str,
    ask: Ask,
) -> pa.RecordBatch:
    """The rows of a batch that PostgreSQL returned. `first_row` is the number of its first row.

    `ask` runs a statement where only PostgreSQL can cast a document's text.

    Raises:
        BadDocument: a value is not what the schema says; names its path and row.
        BadValue: a document's text cannot be cast to its type.
    """
    try:
        level = _Level(batch, ask)
        arrays = [
            _field(field, own, level, None, ())
            for field, own in zip(rows.fields, columns.fields, strict=True)
        ]
    except InvalidValue as invalid:
        row = first_row + invalid.index
        where = ".".join(map(str, invalid.path))
        raise BadDocument(
            f"{root}, row {row}, {where}: {invalid.reason}", path=(root, row, *invalid.path)
        ) from invalid
    if not arrays:
        return pa.RecordBatch.from_struct_array(pa.array([{}] * batch.num_rows, pa.struct([])))
    return pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(rows.fields))


def _field(
    field: ResultField,
    columns: Columns,
    level: _Level,
    present: pa.Array | None,
    path: tuple[str | int, ...],
) -> pa.Array:
    """A field's values. `present` says which of the objects around them are present."""
    path = (*path, field.key)
    values = _values(field.type, columns, level, path)
    if not field.nullable and values.null_count:
        missing = pc.is_null(values)
        if present is not None:
            missing = pc.and_(missing, present)
        index = pc.index(missing, True).as_py()
        if index >= 0:
            reason = "it is null or missing, and the schema says it never is"
            raise InvalidValue(reason, path, index)
    return values


def _values(
    of: ResultType, columns: Columns, level: _Level, path: tuple[str | int, ...]
) -> pa.Array:
    match of, columns:
        case ConstantType(value), NoColumn():
            return pa.repeat(pa.scalar(value), level.length)
        case ScalarType(), ScalarColumn():
            return _scalar(of, columns, level, path)
        case ObjectType(), ObjectColumns():
            return _object(of, columns, level, path)
        case ListType(), ListColumns():
            return _list(of, columns, level, path)
    raise AssertionError(f"{columns} are not the columns of {of}")


def _scalar(
    of: ScalarType, column: ScalarColumn, level: _Level, path: tuple[str | int, ...]
) -> pa.Array:
    values = level.column(column.number)
    if column.cast_to is not None:
        values = read_texts(values, of.arrow, column.cast_to, level.ask)
    if column.members is not None:
        values = _member_names(values, column.members, path)
    if of.allowed is not None:
        _check_allowed(values, of.allowed, path)
    if values.type.equals(of.arrow):
        if pa.types.is_temporal(of.arrow):
            _check_range(values, path)
        return values
    try:
        return pc.cast(values, of.arrow)
    except pa.ArrowInvalid:
        return pa.concat_arrays([_one_by_one(of, values, n, path) for n in range(len(values))])


def _check_allowed(values: pa.Array, allowed: frozenset[str], path: tuple[str | int, ...]) -> None:
    fits = pc.or_kleene(pc.is_null(values), pc.is_in(values, pa.array(sorted(allowed))))
    if (index := pc.index(fits, False).as_py()) >= 0:
        known = ", ".join(sorted(allowed))
        shown = _shown(values[index].as_py())
        raise InvalidValue(f"{shown} is none of its types, {known}", path, index)


def _member_names(
    values: pa.Array, members: Mapping[str, str], path: tuple[str | int, ...]
) -> pa.Array:
    """The names of enum members, for the values that are stored for them."""
    index = pc.index_in(values, pa.array(list(members), values.type))
    unknown = pc.and_(pc.is_null(index), pc.is_valid(values))
    if (first := pc.index(unknown, True).as_py()) >= 0:
        known = ", ".join(sorted(members))
        reason = f"{_shown(values[first].as_py())} is stored for no member; they are {known}"
        raise InvalidValue(reason, path, first)
    return pc.take(pa.array(list(members.values()), values.type), index)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _one_by_one(
    of: ScalarType, values: pa.Array, index: int, path: tuple[str | int, ...]
) -> pa.Array:
    """Casts one value, to find the one for which casting the whole column failed."""
    try:
        return pc.cast(values.slice(index, 1), of.arrow)
    except pa.ArrowInvalid:
        reason = f"{_shown(values[index].as_py())} does not fit {of.arrow}"
        raise InvalidValue(reason, path, index) from None


def _check_range(values: pa.Array, path: tuple[str | int, ...]) -> None:
    """Refuses dates and times that PostgreSQL has and Python's calendar does not: its infinities,
    which arrive as numbers out of range, years BC, and the hour 24."""
    kind = values.type
    least, most = LIMITS[kind.id]
    numbers = values.view(pa.int32() if kind.bit_width == 32 else pa.int64())
    found = pc.min_max(numbers).as_py()
    if found["min"] is None or (least <= found["min"] and found["max"] <= most):
        return
    beyond = pc.or_(pc.less(numbers, least), pc.greater(numbers, most))
    index = pc.index(beyond, True).as_py()
    shown = INFINITIES.get((kind.id, numbers[index].as_py()), "its value")
    limit = "23:59:59.999999" if pa.types.is_time(kind) else "the years 1 to 9999"
    raise InvalidValue(f"{shown} is beyond {limit}", path, index)


def _object(
    of: ObjectType, columns: ObjectColumns, level: _Level, path: tuple[str | int, ...]
) -> pa.Array:
    present = None
    if columns.presence is not None:
        present = level.column(columns.presence)
        if (index := pc.index(present, False).as_py()) >= 0:
            raise InvalidValue("it is no object", path, index)
        present = pc.is_valid(present)
    if not of.fields:
        return pa.Array.from_buffers(
            pa.struct([]), level.length, [None if present is None else present.buffers()[1]]
        )
    arrays = [
        _field(field, own, level, present, path)
        for field, own in zip(of.fields, columns.fields, strict=True)
    ]
    fields = [arrow_field(one) for one in of.fields]
    mask = None if present is None else pc.invert(present)
    return pa.StructArray.from_arrays(arrays, fields=fields, mask=mask)


def _list(
    of: ListType, columns: ListColumns, level: _Level, path: tuple[str | int, ...]
) -> pa.Array:
    lengths = level.column(columns.lengths)
    if len(lengths) and (pc.min(lengths).as_py() or 0) < 0:
        raise InvalidValue(
            "it is no list, or one of several dimensions",
            path,
            pc.index(pc.less(lengths, 0), True).as_py(),
        )
    ends = pc.cumulative_sum(pc.cast(pc.fill_null(lengths, 0), pa.int32()))
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), ends])
    elements = _Level(level.batch, level.ask, offsets[-1].as_py())
    try:
        items = _field(of.item, columns.item, elements, None, path)
    except InvalidValue as invalid:
        # An element belongs to the first list that ends after it.
        index = pc.sum(pc.less_equal(ends, invalid.index)).as_py()
        number = invalid.index - offsets[index].as_py()
        within = invalid.path[len(path) + 1 :]
        raise InvalidValue(invalid.reason, (*path, number, *within), index) from None
    mask = pc.is_null(lengths) if lengths.null_count else None
    return pa.ListArray.from_arrays(offsets, items, type=arrow_type(of), mask=mask)
