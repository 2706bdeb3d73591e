"""The logical type of a result: what GraphQL and Arrow promise of it, whatever it is read from.

Which columns PostgreSQL returns for it is described separately, in `arrow.columns`.

Arrow's types do not say everything about a result. The metadata of its fields says the rest, so
that a client can write the same JSON that HTTP returns: whether a string is JSON, and which members
of an interface or union have a field.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

TYPENAME = "__typename"
JSON, TYPES, POSITION = b"graphql:json", b"graphql:types", b"graphql:place"
"""Keys of a field's metadata, for `ScalarType.json`, `ResultField.types` and
`ResultField.position`."""
NOT_IN_JSON = b"none"


@dataclass(frozen=True, slots=True)
class ConstantType:
    """A string that is the same in every row: `__typename` of an object type."""

    value: str
    json: bool = False
    """Whether the string is JSON itself, as the result of introspection is."""


@dataclass(frozen=True, slots=True)
class ScalarType:
    """A scalar or enum."""

    arrow: pa.DataType
    json: bool = False
    """Whether its string is JSON itself."""
    allowed: frozenset[str] | None = None
    """The only values allowed: for `__typename`, the members of the interface or union."""


@dataclass(frozen=True, slots=True)
class ObjectType:
    """An object, by its selected fields."""

    fields: tuple["ResultField", ...]


@dataclass(frozen=True, slots=True)
class ListType:
    """A list. The key of `item` is always `item`."""

    item: "ResultField"


ResultType = ConstantType | ScalarType | ObjectType | ListType


@dataclass(frozen=True, slots=True)
class ResultField:
    """A field of a result, under its response key."""

    key: str
    type: ResultType
    nullable: bool
    types: frozenset[str] | None = None
    """For a field of an interface or union: the object types that have it; None if all do."""
    position: int | None = 0
    """Its position in JSON, where that differs from the order of the columns. None for the
    `__typename` that every interface and union has in Arrow, if the query does not select it."""


def arrow_type(of: ResultType) -> pa.DataType:
    """The Arrow type of a result type."""
    match of:
        case ConstantType():
            return pa.string()
        case ScalarType(arrow=arrow):
            return arrow
        case ObjectType(fields):
            return pa.struct([arrow_field(one) for one in fields])
        case ListType(item):
            return pa.list_(arrow_field(item))


def arrow_field(field: ResultField) -> pa.Field:
    """A field of an Arrow schema or struct, with its metadata."""
    metadata: dict[bytes, bytes] = {}
    if isinstance(field.type, ConstantType | ScalarType) and field.type.json:
        metadata[JSON] = b"true"
    if field.types is not None:
        metadata[TYPES] = ",".join(sorted(field.types)).encode()
    if field.position is None:
        metadata[POSITION] = NOT_IN_JSON
    elif field.position:
        metadata[POSITION] = str(field.position).encode()
    return pa.field(field.key, arrow_type(field.type), field.nullable, metadata or None)


def arrow_schema(fields: Iterable[ResultField]) -> pa.Schema:
    """The Arrow schema of rows with these fields."""
    return pa.schema([arrow_field(one) for one in fields])


def result_fields(fields: Iterable[pa.Field]) -> tuple[ResultField, ...]:
    """The result fields of an Arrow schema's or struct's fields: the inverse of `arrow_field`,
    except that allowed values and constants are not restored."""
    return tuple(_result_field(field) for field in fields)


def _result_field(field: pa.Field) -> ResultField:
    metadata = field.metadata or {}
    types, position = metadata.get(TYPES), metadata.get(POSITION, b"0")
    return ResultField(
        field.name,
        _result_type(field.type, json=JSON in metadata),
        field.nullable,
        None if types is None else frozenset(types.decode().split(",")),
        None if position == NOT_IN_JSON else int(position),
    )


def _result_type(arrow: pa.DataType, *, json: bool) -> ResultType:
    if pa.types.is_struct(arrow):
        return ObjectType(result_fields(arrow.field(n) for n in range(arrow.num_fields)))
    if pa.types.is_list(arrow):
        return ListType(_result_field(arrow.value_field))
    return ScalarType(arrow, json=json)
