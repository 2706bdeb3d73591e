"""Other spellings of a ticket's fields, which clients of several languages write.

R has no scalars and one type of number. Its JSON has `{}` or `[]` for null, `"a"` for a list with
one item, and `1e5` or `100000.0` for an integer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

_LISTS = (inspect.ListType, inspect.VarTupleType, inspect.SetType, inspect.FrozenSetType)
_OBJECTS = (inspect.DictType, inspect.StructType, inspect.AnyType)


@dataclass(frozen=True, slots=True)
class KnownFields:
    """The fields of a client, in the form of the struct."""

    all: tuple[str, ...]
    """Every field of the struct."""
    given: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Accepted:
    """The values that the type of a field accepts."""

    required: bool
    whole_number: bool
    list_of_texts: bool
    list: bool
    object: bool


def known_fields(kind: type[msgspec.Struct], given: Mapping[str, Any]) -> KnownFields:
    """The given fields that exist in the struct. Values of a wrong type are not changed."""
    accepted = _fields_of(kind)
    return KnownFields(
        tuple(accepted),
        {
            name: value
            for name, value in (
                (name, _read(accepted[name], value))
                for name, value in given.items()
                if name in accepted
            )
            if value is not _ABSENT
        },
    )


_ABSENT = object()


def _read(field: _Accepted, value: Any) -> Any:
    match value:
        case {} if not value and not field.object and not field.required:
            return _ABSENT
        case [] if not value and not field.list and not field.required:
            return _ABSENT
        case str() if field.list_of_texts:
            return [value]
        case float() if field.whole_number and value.is_integer():
            return int(value)
    return value


@cache
def _fields_of(kind: type[msgspec.Struct]) -> dict[str, _Accepted]:
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    return {field.encode_name: _accepted(field) for field in info.fields}


def _accepted(field: inspect.Field) -> _Accepted:
    kinds = field.type.types if isinstance(field.type, inspect.UnionType) else (field.type,)
    lists = [one for one in kinds if isinstance(one, _LISTS)]
    return _Accepted(
        required=field.required,
        whole_number=any(_is_whole(one) for one in kinds)
        and not any(isinstance(one, inspect.FloatType) for one in kinds),
        list_of_texts=any(isinstance(one.item_type, inspect.StrType) for one in lists)
        and not any(isinstance(one, inspect.StrType) for one in kinds),
        list=bool(lists) or any(isinstance(one, inspect.AnyType) for one in kinds),
        object=any(isinstance(one, _OBJECTS) for one in kinds),
    )


def _is_whole(kind: inspect.Type) -> bool:
    if isinstance(kind, inspect.LiteralType):
        return any(isinstance(value, int) for value in kind.values)
    return isinstance(kind, inspect.IntType)
