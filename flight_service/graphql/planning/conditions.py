"""`where`, arguments and `orderBy` as SQL."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flight_service.graphql.errors import QueryRefused
from flight_service.graphql.planning.access import Access
from flight_service.graphql.planning.comparisons import Comparisons, sql_type
from flight_service.graphql.planning.keyset import Direction, Key, ordered
from flight_service.graphql.postgres.sql import Parameters
from flight_service.graphql.schema.compiled import Field
from flight_service.graphql.schema.graphql_schema import Schema
from flight_service.graphql.schema.inputs import UNORDERED
from flight_service.graphql.schema.operators import BY_NAME, COMBINATORS
from flight_service.graphql.schema.scalars import Kind, kind_of
from flight_service.graphql.sources.values import (
    Column,
    Value,
    member,
)


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
        self._comparisons = Comparisons(parameters)

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
            own = self._comparisons.read(value, kind_of("String"))
            return f"{own} = {self._parameters.bind(text, 'text')}"

        return self._noted(made)

    def order(self, type_name: str, value: Value, written: Any) -> tuple[list[str], bool]:
        """The items of ORDER BY, and whether a document that is built is read for them."""
        keys, on_document = self.keys(type_name, value, written)
        return ordered(keys, backward=False), on_document

    def keys(self, type_name: str, value: Value, written: Any) -> tuple[list[Key], bool]:
        """The keys of an order, and whether a document that is built is read for them."""
        self._comparisons.on_document = False
        keys: list[Key] = []
        for entry in written if isinstance(written, list) else [written]:
            keys += self._order_keys(type_name, value, entry, ("orderBy",))
        return keys, self._comparisons.on_document

    def scalar(self, type_name: str, value: Value, dotted: str) -> tuple[str, Kind, bool]:
        """A scalar field by its name, or by a path with dots: its SQL, its kind, and whether a
        document that is built is read for it."""
        self._comparisons.on_document = False
        sql, kind = self._scalar_at(type_name, value, dotted, (dotted,))
        return sql, kind, self._comparisons.on_document

    def _noted(self, make: Callable[[], str]) -> Condition:
        self._comparisons.on_document = False
        sql = make()
        return Condition(sql, self._comparisons.on_document)

    def _conjuncts(
        self, type_name: str, value: Value, key: str, asked: Any, path: tuple[str, ...]
    ) -> Iterator[Condition]:
        if self._combinator(type_name, key) == "_and" and asked is not None:
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
            if (combinator := self._combinator(type_name, key)) is not None:
                parts.append(self._combined(type_name, value, combinator, asked, here))
            else:
                field = self._field(type_name, key, here)
                parts.append(self._on_field(type_name, field, value, asked, here))
        return _all(parts)

    def _combinator(self, type_name: str, key: str) -> str | None:
        """What a key combines conditions by; None of a field's name."""
        return None if key in self._schema.fields(type_name) else COMBINATORS.get(key)

    def _combined(
        self, type_name: str, value: Value, key: str, asked: Any, path: tuple[str, ...]
    ) -> str:
        if asked is None:
            raise QueryRefused(f"{'.'.join(path)} is null; leave it out instead.")
        if key == "_not":
            return f"NOT ({self._object_condition(type_name, value, asked, path)})"
        each = asked if isinstance(asked, list) else [asked]
        if key == "_or":
            each = self._joined(type_name, each)
        parts = [self._object_condition(type_name, value, one, path) for one in each]
        if key == "_and":
            return _all(parts)
        return f"({' OR '.join(parts)})" if parts else "FALSE"

    def _joined(
        self, type_name: str, alternatives: Sequence[Mapping[str, Any]]
    ) -> list[Mapping[str, Any]]:
        """The same alternatives, those that one scalar field equals a value as one `in`: its values
        are bound as one array, where each would be a sub-select of its own."""
        others: list[Mapping[str, Any]] = []
        equal: dict[str, list[Any]] = {}
        for one in alternatives:
            name, found = _equality(one)
            if name is not None and self._is_scalar(type_name, name):
                equal.setdefault(name, []).append(found)
            else:
                others.append(one)
        return [*({name: {"in": found}} for name, found in equal.items()), *others]

    def _is_scalar(self, type_name: str, name: str) -> bool:
        field = self._schema.fields(type_name).get(name)
        if field is None or field.field_type.of is not None:
            return False
        base = field.field_type.base
        is_object = base in self._schema.types or self._schema.is_abstract(base)
        return not is_object and kind_of(base).name != "JSON"

    def _on_field(
        self, type_name: str, field: Field, value: Value, asked: Any, path: tuple[str, ...]
    ) -> str:
        self._authorise_field(type_name, field)
        found = member(value, field.name)
        base = field.field_type.base
        is_list = field.field_type.of is not None
        if not is_list and (base in self._schema.types or base in self._schema.interfaces):
            if not isinstance(asked, Mapping):
                raise QueryRefused(f"{'.'.join(path)} is an object: give conditions on its fields.")
            return self._object_condition(base, found, asked, path)
        kind = kind_of("JSON" if is_list else base)
        if isinstance(asked, Mapping) and (kind.name != "JSON" or _is_filter(asked)):
            return _all(
                [
                    self._comparisons.compare(found, kind, key, one, (*path, key))
                    for key, one in asked.items()
                ]
            )
        name = "in" if isinstance(asked, list) and kind.name != "JSON" else "eq"
        return self._comparisons.compare(found, kind, name, asked, path)

    def _order_keys(
        self, type_name: str, value: Value, entry: Mapping[str, Any], path: tuple[str, ...]
    ) -> Iterator[Key]:
        if isinstance(entry.get("field"), str) and entry["field"] not in ("ASC", "DESC"):
            if extra := set(entry) - {"field", "direction"}:
                raise QueryRefused(
                    f"orderBy has {', '.join(sorted(extra))} beside field; use one form at a time."
                )
            sql, kind = self._scalar_at(type_name, value, entry["field"], (*path, entry["field"]))
            yield Key(sql, sql_type(kind), _direction(entry.get("direction"), path))
            return
        self._authorise(type_name)
        for name, asked in entry.items():
            here = (*path, name)
            field = self._field(type_name, name, here)
            if isinstance(asked, Mapping):
                self._authorise_field(type_name, field)
                yield from self._order_keys(field.field_type.base, member(value, name), asked, here)
            elif asked is not None:
                sql, kind = self._scalar_at(type_name, value, name, here)
                yield Key(sql, sql_type(kind), _direction(asked, here))

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
        return self._comparisons.read(found, kind), kind

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
        self._access.check_declarations(self._schema, type_name, field.name)
        base = field.field_type.base
        if base in self._schema.types or self._schema.is_abstract(base):
            self._authorise(base)


def _all(parts: Sequence[str]) -> str:
    if not parts:
        return "TRUE"
    return parts[0] if len(parts) == 1 else f"({' AND '.join(parts)})"


def _equality(alternative: Mapping[str, Any]) -> tuple[str | None, Any]:
    """The field and the value, where an alternative is that a field equals a scalar."""
    if len(alternative) == 1:
        [(name, asked)] = alternative.items()
        if isinstance(asked, Mapping) and set(asked) == {"eq"}:
            asked = asked["eq"]
        if asked is not None and not isinstance(asked, Mapping | list):
            return name, asked
    return None, None


def _is_filter(asked: Mapping[str, Any]) -> bool:
    return bool(asked) and all(key in BY_NAME for key in asked)


def _direction(asked: Any, path: tuple[str, ...]) -> Direction:
    match "ASC" if asked is None else str(asked).upper():
        case "ASC":
            return "ASC"
        case "DESC":
            return "DESC"
    raise QueryRefused(f"{'.'.join(path)}: the direction is ASC or DESC, not {asked!r}.")
