"""`where`, arguments and `orderBy` as SQL."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec

from flight_service.graphql.errors import QueryRefused
from flight_service.graphql.planning.access import Access
from flight_service.graphql.postgres.sql import Parameters
from flight_service.graphql.schema.compiled import Field
from flight_service.graphql.schema.graphql_schema import Schema
from flight_service.graphql.schema.inputs import COMBINATORS, OPERATORS, UNORDERED
from flight_service.graphql.schema.scalars import Kind, kind_of
from flight_service.graphql.sources.values import (
    JSON,
    Built,
    Column,
    Document,
    Value,
    as_document,
    member,
    text_of,
    typed,
)

COMPARED = {"eq": "=", "neq": "<>", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
INTEGERS = {"int2": 2**15, "int4": 2**31, "int8": 2**63}


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on rows. `on_document` where a document that is built is read for it."""

    sql: str
    on_document: bool


class Conditions:
    """Makes conditions on the rows of one source, binding their values.

    Every method raises:
        QueryRefused: a name is no field, or a value cannot be compared; names the argument.
        NotAuthorised: the condition is on a type that the principal may not see.
        NotCovered: the source lacks a field that the condition is on.
    """

    def __init__(self, schema: Schema, parameters: Parameters, access: Access) -> None:
        self._schema = schema
        self._parameters = parameters
        self._access = access
        self._on_document = False

    def where(self, type_name: str, value: Value, given: Mapping[str, Any]) -> Iterator[Condition]:
        """The conditions of a `where`, all of which must hold."""
        for key, asked in given.items():
            yield from self._conjuncts(type_name, value, key, asked, ("where",))

    def equal(self, type_name: str, value: Value, name: str, asked: Any) -> Condition:
        """The condition of an argument of a field's name: equal, one of a list, or a filter."""
        field = self._field(type_name, name, (name,))
        return self._noted(lambda: self._on_field(type_name, field, value, asked, (name,)))

    def equal_text(self, value: Value, text: str, sql_type: str) -> Condition:
        """That a value beside the fields equals a text, in the value's own type."""

        def made() -> str:
            if isinstance(value, Column):
                return f"{value.sql} = {self._parameters.bind(text, sql_type)}"
            return f"{self._read(value, kind_of('String'))} = {self._parameters.bind(text, 'text')}"

        return self._noted(made)

    def order(self, type_name: str, value: Value, written: Any) -> tuple[list[str], bool]:
        """The items of ORDER BY, and whether a document that is built is read for them."""
        self._on_document = False
        items: list[str] = []
        for entry in written if isinstance(written, list) else [written]:
            items += self._order_items(type_name, value, entry, ("orderBy",))
        return items, self._on_document

    def scalar(self, type_name: str, value: Value, dotted: str) -> tuple[str, Kind, bool]:
        """A scalar field by its name, or by a path with dots: its SQL, its kind, and whether a
        document that is built is read for it."""
        self._on_document = False
        sql, kind = self._scalar_at(type_name, value, dotted, (dotted,))
        return sql, kind, self._on_document

    def _noted(self, make: Callable[[], str]) -> Condition:
        self._on_document = False
        sql = make()
        return Condition(sql, self._on_document)

    def _conjuncts(
        self, type_name: str, value: Value, key: str, asked: Any, path: tuple[str, ...]
    ) -> Iterator[Condition]:
        if key == "_and" and asked is not None:
            for each in asked if isinstance(asked, list) else [asked]:
                for inner, one in each.items():
                    yield from self._conjuncts(type_name, value, inner, one, (*path, key))
            return
        yield self._noted(lambda: self._object_condition(type_name, value, {key: asked}, path))

    def _object_condition(
        self, type_name: str, value: Value, given: Mapping[str, Any], path: tuple[str, ...]
    ) -> str:
        self._authorise(type_name)
        parts: list[str] = []
        for key, asked in given.items():
            here = (*path, key)
            if key in COMBINATORS:
                parts.append(self._combined(type_name, value, key, asked, here))
            else:
                field = self._field(type_name, key, here)
                parts.append(self._on_field(type_name, field, value, asked, here))
        return _all(parts)

    def _combined(
        self, type_name: str, value: Value, key: str, asked: Any, path: tuple[str, ...]
    ) -> str:
        if asked is None:
            raise QueryRefused(f"{'.'.join(path)} is null; leave it out instead.")
        if key == "_not":
            return f"NOT ({self._object_condition(type_name, value, asked, path)})"
        each = asked if isinstance(asked, list) else [asked]
        parts = [self._object_condition(type_name, value, one, path) for one in each]
        if key == "_and":
            return _all(parts)
        return f"({' OR '.join(parts)})" if parts else "FALSE"

    def _on_field(
        self, type_name: str, field: Field, value: Value, asked: Any, path: tuple[str, ...]
    ) -> str:
        self._authorise_field(type_name, field)
        found = member(value, field.name)
        base = field.field_type.base
        if field.field_type.of is not None:
            raise QueryRefused(f"{'.'.join(path)} is a list, which no condition can be on.")
        if base in self._schema.types or base in self._schema.interfaces:
            if not isinstance(asked, Mapping):
                raise QueryRefused(f"{'.'.join(path)} is an object: give conditions on its fields.")
            return self._object_condition(base, found, asked, path)
        kind = kind_of(base)
        if isinstance(asked, Mapping) and (kind.name != "Json" or _is_filter(asked)):
            return _all(
                [
                    self._operator(found, kind, key.removeprefix("_"), one, (*path, key))
                    for key, one in asked.items()
                ]
            )
        operator = "in" if isinstance(asked, list) and kind.name != "Json" else "eq"
        return self._operator(found, kind, operator, asked, path)

    def _operator(
        self, value: Value, kind: Kind, name: str, asked: Any, path: tuple[str, ...]
    ) -> str:
        if name not in OPERATORS:
            raise QueryRefused(
                f"{'.'.join(path)} is no operator. There are: {', '.join(sorted(OPERATORS))}."
            )
        if name == "isnull" or (asked is None and name in ("eq", "neq")):
            null = asked is not False if name == "isnull" else name == "eq"
            return f"{self._nullable(value, kind)} IS {'' if null else 'NOT '}NULL"
        if asked is None:
            raise QueryRefused(f"{'.'.join(path)} is null, and nothing compares with null.")
        if name in ("in", "nin"):
            return self._in(value, kind, name, asked if isinstance(asked, list) else [asked])
        if name in COMPARED:
            return self._compared(value, kind, name, asked)
        pattern = asked if name in ("like", "ilike") else _escaped(str(asked))
        if name in ("contains", "endswith"):
            pattern = f"%{pattern}"
        if name in ("contains", "startswith"):
            pattern = f"{pattern}%"
        how = "ILIKE" if name == "ilike" else "LIKE"
        return f"{self._read(value, kind)} {how} {self._parameters.bind(pattern, 'text')}"

    def _compared(self, value: Value, kind: Kind, name: str, asked: Any) -> str:
        sign = COMPARED[name]
        native = _native(value, kind) if name in ("eq", "neq") else None
        if native is None:
            bound = self._parameters.bind(_text(asked, kind), _sql_type(kind))
            return f"{self._read(value, kind)} {sign} {bound}"
        column, text = native, _text(asked, kind)
        if not _fits(text, column.type):
            # No value of the column has this text.
            return "FALSE" if name == "eq" else f"{column.sql} IS NOT NULL"
        return f"{column.sql} {sign} {self._parameters.bind(text, column.type)}"

    def _in(self, value: Value, kind: Kind, name: str, asked: Sequence[Any]) -> str:
        texts = [_text(one, kind) for one in asked]
        if (column := _native(value, kind)) is not None:
            fitting = [text for text in texts if _fits(text, column.type)]
            sql, array = column.sql, self._parameters.bind_list(fitting, column.type)
        else:
            sql, array = self._read(value, kind), self._parameters.bind_list(texts, _sql_type(kind))
        return f"{sql} = ANY ({array})" if name == "in" else f"NOT ({sql} = ANY ({array}))"

    def _read(self, value: Value, kind: Kind) -> str:
        if isinstance(value, Document | Built):
            self._on_document = self._on_document or as_document(value).computed
        return text_of(value) if kind.sql == "text" else typed(value, kind)

    def _nullable(self, value: Value, kind: Kind) -> str:
        """What is null where the value is, read without a cast that might fail."""
        if isinstance(value, Column) and value.type not in JSON:
            return value.sql
        return self._read(value, kind if kind.sql == "jsonb" else kind_of("String"))

    def _order_items(
        self, type_name: str, value: Value, entry: Mapping[str, Any], path: tuple[str, ...]
    ) -> Iterator[str]:
        if isinstance(entry.get("field"), str) and entry["field"] not in ("ASC", "DESC"):
            if extra := set(entry) - {"field", "direction"}:
                raise QueryRefused(
                    f"orderBy has {', '.join(sorted(extra))} beside field; use one form at a time."
                )
            sql, _ = self._scalar_at(type_name, value, entry["field"], (*path, entry["field"]))
            yield f"{sql} {_direction(entry.get('direction'), path)}"
            return
        self._authorise(type_name)
        for name, asked in entry.items():
            here = (*path, name)
            field = self._field(type_name, name, here)
            if isinstance(asked, Mapping):
                self._authorise_field(type_name, field)
                yield from self._order_items(
                    field.field_type.base, member(value, name), asked, here
                )
            elif asked is not None:
                sql, _ = self._scalar_at(type_name, value, name, here)
                yield f"{sql} {_direction(asked, here)}"

    def _scalar_at(
        self, type_name: str, value: Value, dotted: str, path: tuple[str, ...]
    ) -> tuple[str, Kind]:
        self._authorise(type_name)
        name, _, rest = dotted.partition(".")
        field = self._field(type_name, name, path)
        self._authorise_field(type_name, field)
        base = field.field_type.base
        found = member(value, name)
        if rest:
            return self._scalar_at(base, found, rest, path)
        is_object = base in self._schema.types or self._schema.is_abstract(base)
        if field.field_type.of is not None or is_object or base in UNORDERED:
            raise QueryRefused(f"{'.'.join(path)} is no scalar that has an order.")
        kind = kind_of(base)
        return self._read(found, kind), kind

    def _field(self, type_name: str, name: str, path: tuple[str, ...]) -> Field:
        fields = self._schema.fields(type_name)
        if name not in fields:
            raise QueryRefused(
                f"{'.'.join(path)}: {type_name} has no field {name!r}"
                + (f"; it has {', '.join(sorted(fields))}." if fields else ".")
            )
        return fields[name]

    def _authorise(self, type_name: str) -> None:
        for name in sorted(self._schema.possible(type_name)):
            self._access.check_type(self._schema, name)

    def _authorise_field(self, type_name: str, field: Field) -> None:
        """Refuses a field that may not be seen, of a type or of any type that a row may be of."""
        for owner in sorted({type_name, *self._schema.possible(type_name)}):
            own = self._schema.fields(owner).get(field.name)
            if own is not None:
                self._access.check_field(owner, own)
        base = field.field_type.base
        if base in self._schema.types or self._schema.is_abstract(base):
            self._authorise(base)


def _all(parts: Sequence[str]) -> str:
    if not parts:
        return "TRUE"
    return parts[0] if len(parts) == 1 else f"({' AND '.join(parts)})"


def _is_filter(asked: Mapping[str, Any]) -> bool:
    return bool(asked) and all(key.removeprefix("_") in OPERATORS for key in asked)


def _sql_type(kind: Kind) -> str:
    """Wide enough for whatever may be asked for."""
    return "int8" if kind.sql == "int4" else kind.sql


def _text(asked: Any, kind: Kind) -> str:
    if kind.sql == "jsonb":
        return msgspec.json.encode(asked).decode()
    if isinstance(asked, bool):
        return "true" if asked else "false"
    return repr(asked) if isinstance(asked, float) else str(asked)


def _native(value: Value, kind: Kind) -> Column | None:
    """A column that is compared in its own type though the field is a text: its index serves."""
    if kind.sql == "text" and isinstance(value, Column) and value.type in ("uuid", *INTEGERS):
        return value
    return None


def _fits(text: str, column_type: str) -> bool:
    """Whether a text is exactly how a column's type writes some value."""
    try:
        if column_type == "uuid":
            return str(UUID(text)) == text
        number = int(text)
    except ValueError:
        return False
    most = INTEGERS[column_type]
    return str(number) == text and -most <= number < most


def _escaped(text: str) -> str:
    """A text in which no character is a wildcard of LIKE."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _direction(asked: Any, path: tuple[str, ...]) -> str:
    if asked in (None, "ASC"):
        return "ASC"
    if asked == "DESC":
        return "DESC"
    raise QueryRefused(f"{'.'.join(path)}: the direction is ASC or DESC, not {asked!r}.")
