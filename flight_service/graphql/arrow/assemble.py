# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute makes its functions at import, out of a type checker's sight)
"""Assembles a batch of flat columns into the rows that were asked for, whole columns at a time."""

from collections.abc import Mapping
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from flight_service.graphql.arrow.casts import read_texts
from flight_service.graphql.arrow.shapes import (
    Constant,
    Leaf,
    ListOf,
    Member,
    Shape,
    Struct,
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
    """The columns at some level of nesting: a value for each row, or for each element of a list."""

    def __init__(self, batch: pa.RecordBatch, ask: Ask, elements: int | None = None) -> None:
        self.batch = batch
        self.ask = ask
        self.elements = elements
        self.length = batch.num_rows if elements is None else elements

    def column(self, number: int) -> pa.Array:
        """The values of a column; those of elements stand in one array for each row."""
        column = self.batch.column(number)
        if self.elements is None:
            return column
        values = column.flatten()
        if len(values) != self.elements:
            raise AssertionError(f"{len(values)} elements where the lengths say {self.elements}")
        return values


class Unfit(Exception):
    """A value that is not what the schema says, at an index of a level's values."""

    def __init__(self, why: str, path: tuple[str | int, ...], index: int) -> None:
        super().__init__(why)
        self.why = why
        self.path = path
        self.index = index


def assemble(
    batch: pa.RecordBatch, rows: Struct, first_row: int, root: str, ask: Ask
) -> pa.RecordBatch:
    """The rows of a batch as PostgreSQL sent it. `first_row` is the place of its first row.

    `ask` is called where only PostgreSQL can read a document's texts.

    Raises:
        BadDocument: a value is not what the schema says; with its path, and the row.
        BadValue: a document's text is not of its type.
    """
    schema = arrow_schema(rows.members)
    try:
        columns = [_member(member, _Level(batch, ask), None, ()) for member in rows.members]
    except Unfit as unfit:
        row = first_row + unfit.index
        where = ".".join(map(str, unfit.path))
        raise BadDocument(
            f"{root}, row {row}, {where}: {unfit.why}", path=(root, row, *unfit.path)
        ) from unfit
    if not columns:
        return pa.RecordBatch.from_struct_array(pa.array([{}] * batch.num_rows, pa.struct([])))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _member(
    member: Member, level: _Level, present: pa.Array | None, path: tuple[str | int, ...]
) -> pa.Array:
    """A member's values; `present` says which of the objects around it are there."""
    path = (*path, member.key)
    made = _shape(member.shape, level, path)
    if not member.nullable and made.null_count:
        missing = pc.is_null(made)
        if present is not None:
            missing = pc.and_(missing, present)
        place = pc.index(missing, True).as_py()
        if place >= 0:
            raise Unfit("it is null or missing, and the schema says it never is", path, place)
    return made


def _shape(shape: Shape, level: _Level, path: tuple[str | int, ...]) -> pa.Array:
    match shape:
        case Constant(value):
            return pa.repeat(pa.scalar(value), level.length)
        case Leaf():
            return _leaf(shape, level, path)
        case Struct():
            return _struct(shape, level, path)
        case ListOf():
            return _list(shape, level, path)


def _leaf(leaf: Leaf, level: _Level, path: tuple[str | int, ...]) -> pa.Array:
    values = level.column(leaf.column)
    if leaf.read_as is not None:
        values = read_texts(values, leaf.type, leaf.read_as, level.ask)
    if leaf.members is not None:
        values = _named_members(values, leaf.members, path)
    if leaf.one_of is not None:
        _one_of(values, leaf.one_of, path)
    if values.type.equals(leaf.type):
        if pa.types.is_temporal(leaf.type):
            _within_years(values, path)
        return values
    try:
        return pc.cast(values, leaf.type)
    except pa.ArrowInvalid:
        return pa.concat_arrays([_one_by_one(leaf, values, n, path) for n in range(len(values))])


def _one_of(values: pa.Array, allowed: frozenset[str], path: tuple[str | int, ...]) -> None:
    fits = pc.or_kleene(pc.is_null(values), pc.is_in(values, pa.array(sorted(allowed))))
    if (place := pc.index(fits, False).as_py()) >= 0:
        known = ", ".join(sorted(allowed))
        raise Unfit(f"{_shown(values[place].as_py())} is none of its types, {known}", path, place)


def _named_members(
    values: pa.Array, members: Mapping[str, str], path: tuple[str | int, ...]
) -> pa.Array:
    """The names of an enum's members, of what is stored for them."""
    found = pc.index_in(values, pa.array(list(members), values.type))
    unknown = pc.and_(pc.is_null(found), pc.is_valid(values))
    if (place := pc.index(unknown, True).as_py()) >= 0:
        known = ", ".join(sorted(members))
        raise Unfit(
            f"{_shown(values[place].as_py())} is stored for no member of the enum; "
            f"its members are stored as {known}",
            path,
            place,
        )
    return pc.take(pa.array(list(members.values()), values.type), found)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _one_by_one(leaf: Leaf, values: pa.Array, place: int, path: tuple[str | int, ...]) -> pa.Array:
    """Finds the value that a whole column failed on."""
    try:
        return pc.cast(values.slice(place, 1), leaf.type)
    except pa.ArrowInvalid:
        why = f"{_shown(values[place].as_py())} does not fit {leaf.type}"
        raise Unfit(why, path, place) from None


def _within_years(values: pa.Array, path: tuple[str | int, ...]) -> None:
    """Refuses what PostgreSQL has and a calendar of the years 1 to 9999 has not: its infinities,
    which arrive as numbers beyond, the years BC, the hour 24."""
    kind = values.type
    least, most = LIMITS[kind.id]
    numbers = values.view(pa.int32() if kind.bit_width == 32 else pa.int64())
    found = pc.min_max(numbers).as_py()
    if found["min"] is None or (least <= found["min"] and found["max"] <= most):
        return
    beyond = pc.or_(pc.less(numbers, least), pc.greater(numbers, most))
    place = pc.index(beyond, True).as_py()
    number = numbers[place].as_py()
    shown = INFINITIES.get((kind.id, number), "its value")
    most_of = "23:59:59.999999" if pa.types.is_time(kind) else "the years 1 to 9999"
    raise Unfit(f"{shown} is beyond {most_of}", path, place)


def _struct(struct: Struct, level: _Level, path: tuple[str | int, ...]) -> pa.Array:
    present = None
    if struct.presence is not None:
        present = level.column(struct.presence)
        if (place := pc.index(present, False).as_py()) >= 0:
            raise Unfit("it is no object", path, place)
        present = pc.is_valid(present)
    if not struct.members:
        return pa.Array.from_buffers(
            pa.struct([]), level.length, [None if present is None else present.buffers()[1]]
        )
    arrays = [_member(one, level, present, path) for one in struct.members]
    fields = [arrow_field(one) for one in struct.members]
    mask = None if present is None else pc.invert(present)
    return pa.StructArray.from_arrays(arrays, fields=fields, mask=mask)


def _list(shape: ListOf, level: _Level, path: tuple[str | int, ...]) -> pa.Array:
    lengths = level.column(shape.lengths)
    if len(lengths) and (pc.min(lengths).as_py() or 0) < 0:
        raise Unfit(
            "it is no list, or one of several dimensions",
            path,
            pc.index(pc.less(lengths, 0), True).as_py(),
        )
    ends = pc.cumulative_sum(pc.cast(pc.fill_null(lengths, 0), pa.int32()))
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), ends])
    try:
        item = _member(shape.item, _Level(level.batch, level.ask, offsets[-1].as_py()), None, path)
    except Unfit as unfit:
        # An element belongs to the first list that ends behind it.
        place = pc.sum(pc.less_equal(ends, unfit.index)).as_py()
        number = unfit.index - offsets[place].as_py()
        within = unfit.path[len(path) + 1 :]
        raise Unfit(unfit.why, (*path, number, *within), place) from None
    mask = pc.is_null(lengths) if lengths.null_count else None
    return pa.ListArray.from_arrays(offsets, item, type=arrow_type(shape), mask=mask)
