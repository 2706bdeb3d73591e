"""The shape of a result: from columns as PostgreSQL sends them to what the query asked for.

PostgreSQL sends flat columns: one for each scalar, one for each object that may be absent, one with
the lengths of each list. What lies in lists comes as one array for each row, however deeply the
lists are nested; the lengths tell how it is divided. So a nested result is assembled from whole
columns, and no row is ever a Python object.

What Arrow's types do not say of a result is in its fields' metadata, so that a client can write the
JSON that HTTP gives: that a text is JSON, and which members of an interface or union have a field.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa

TYPENAME = "__typename"
JSON, TYPES, PLACE = b"graphql:json", b"graphql:types", b"graphql:place"
"""A field's metadata: see `Leaf.json`, `Member.types`, `Member.place`."""
NOWHERE = b"none"


@dataclass(frozen=True, slots=True)
class Constant:
    """A text that is the same for every row: `__typename` of an object type."""

    value: str
    json: bool = False
    """Whether it is JSON itself: what introspection answers."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A scalar, in a column."""

    column: int
    type: pa.DataType
    json: bool = False
    """Whether its text is JSON itself."""
    from_document: bool = False
    """Whether a text may turn out to be an object or a list that a document holds instead."""
    one_of: frozenset[str] | None = None
    """The only texts that it may have: of a `__typename`, the members of its interface or union."""
    members: Mapping[str, str] | None = None
    """Of an enum: its members' names, by the texts that are stored for them."""
    read_as: str | None = None
    """PostgreSQL's name of its type, where a document's text is sent and read afterwards."""


@dataclass(frozen=True, slots=True)
class Struct:
    """An object. `presence` is a column: true, null when absent, false when it is no object."""

    members: tuple["Member", ...]
    presence: int | None = None


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list. `lengths` is a column: null when absent, negative when it is no list."""

    lengths: int
    item: "Member"


Shape = Constant | Leaf | Struct | ListOf


@dataclass(frozen=True, slots=True)
class Member:
    """A named part of a result."""

    key: str
    shape: Shape
    nullable: bool
    types: frozenset[str] | None = None
    """Of an interface or union: the object types that have it; None where all do."""
    place: int | None = 0
    """Where JSON has it among its like, where that is not the order of the columns; None for the
    `__typename` that Arrow alone has, of every interface and union."""


def arrow_type(shape: Shape) -> pa.DataType:
    """The Arrow type of a shape."""
    match shape:
        case Constant():
            return pa.string()
        case Leaf(type=kind):
            return kind
        case Struct(members):
            return pa.struct([arrow_field(one) for one in members])
        case ListOf(item=item):
            return pa.list_(arrow_field(item))


def arrow_field(member: Member) -> pa.Field:
    """A member as a field of a schema or struct."""
    metadata: dict[bytes, bytes] = {}
    if isinstance(member.shape, Constant | Leaf) and member.shape.json:
        metadata[JSON] = b"true"
    if member.types is not None:
        metadata[TYPES] = ",".join(sorted(member.types)).encode()
    if member.place != 0:
        metadata[PLACE] = NOWHERE if member.place is None else str(member.place).encode()
    return pa.field(member.key, arrow_type(member.shape), member.nullable, metadata or None)


def arrow_schema(members: tuple[Member, ...]) -> pa.Schema:
    """Rows of these members."""
    return pa.schema([arrow_field(one) for one in members])


def members_of(fields: Iterable[pa.Field]) -> tuple[Member, ...]:
    """The members that fields of a result were made of; the numbers of columns are lost."""
    return tuple(_member_of(field) for field in fields)


def _member_of(field: pa.Field) -> Member:
    metadata = field.metadata or {}
    types, place = metadata.get(TYPES), metadata.get(PLACE, b"0")
    return Member(
        field.name,
        _shape_of(field.type, json=JSON in metadata),
        field.nullable,
        None if types is None else frozenset(types.decode().split(",")),
        None if place == NOWHERE else int(place),
    )


def _shape_of(kind: pa.DataType, *, json: bool) -> Shape:
    if pa.types.is_struct(kind):
        return Struct(members_of(kind.field(n) for n in range(kind.num_fields)))
    if pa.types.is_list(kind):
        return ListOf(0, _member_of(kind.value_field))
    return Leaf(0, kind, json=json)
