"""Resolves `where`, arguments and `orderBy` against the schema: which fields they name, what these
are compared with, and whether the principal may use them.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flight_service.graphql.errors import NotAuthorised, QueryRefused
from flight_service.graphql.planning.access import Access
from flight_service.graphql.planning.filters import (
    All,
    AnyOf,
    Comparison,
    Direction,
    EqualsText,
    Filter,
    Not,
    OrderKey,
)
from flight_service.graphql.planning.list_contents import check_contents
from flight_service.graphql.schema.compiled import Field
from flight_service.graphql.schema.graphql_schema import Schema
from flight_service.graphql.schema.inputs import UNORDERED
from flight_service.graphql.schema.operators import BY_NAME, COMBINATORS, OPERATORS
from flight_service.graphql.schema.scalars import Kind, kind_of

LONGEST_PATTERN = 1000
"""The number of bytes of a regular expression that FraiseQL also allows."""


class FilterParser:
    """Resolves the filters and orders of one schema for one principal.

    Every method raises:
        QueryRefused: a name is not a field, or a value cannot be compared; names the argument.
        NotAuthorised: the principal may not see a type or field that is named.
    """

    def __init__(self, schema: Schema, access: Access) -> None:
        self._schema = schema
        self._access = access

    def where(self, type_name: str, given: Mapping[str, Any]) -> tuple[Filter, ...]:
        """The filters of a `where`, all of which must match."""
        return tuple(
            one
            for key, asked in given.items()
            for one in self._conjuncts(type_name, key, asked, ("where",))
        )

    def argument(self, type_name: str, name: str, given: Any) -> tuple[Filter, ...]:
        """The filters of an argument: that the field of its name equals it, is one of a list, or
        matches a filter. FraiseQL compares an argument that is not a field with a column or
        document key of its name."""
        fields = self._schema.fields(type_name)
        if (
            isinstance(given, Mapping)
            and name not in fields
            and all(key in fields or key in COMBINATORS for key in given)
        ):
            return self.where(type_name, given)
        field = self.field_named(type_name, name)
        if field is None and not isinstance(given, Mapping | list):
            return (EqualsText(name, False, _text(given), from_claim=False),)
        found = self._field(type_name, field or name, (name,))
        return (self._on_field(type_name, found, (), given, (name,)),)

    def claim(self, type_name: str, name: str, value: Any) -> EqualsText:
        """The filter that a claim of the principal requires, by a field's name or another."""
        field = self.field_named(type_name, name)
        return EqualsText(field or name, field is not None, _text(value), from_claim=True)

    def order(self, type_name: str, written: Any) -> tuple[OrderKey, ...]:
        """The keys of an `orderBy`."""
        entries = written if isinstance(written, list) else [written]
        return tuple(
            key for one in entries for key in self._order_keys(type_name, one, (), ("orderBy",))
        )

    def cursor(self, type_name: str, name: str) -> OrderKey:
        """The key of a scalar field that is a page's cursor."""
        return OrderKey(*self._scalar(type_name, name, (), (name,)))

    def field_named(self, type_name: str, name: str) -> str | None:
        """The field of a name, in camelCase or snake_case; None if there is none."""
        fields = self._schema.fields(type_name)
        if name in fields:
            return name
        snake = self._schema.naming.snake
        return next((one for one in fields if snake(one) == snake(name)), None)

    def _conjuncts(
        self, type_name: str, key: str, asked: Any, path: tuple[str, ...]
    ) -> Iterator[Filter]:
        if self._combinator(type_name, key) == "_and" and asked is not None:
            for each in asked if isinstance(asked, list) else [asked]:
                for inner, one in each.items():
                    yield from self._conjuncts(type_name, inner, one, (*path, key))
            return
        yield self._object(type_name, (), {key: asked}, path)

    def _object(
        self, type_name: str, at: tuple[str, ...], given: Mapping[str, Any], path: tuple[str, ...]
    ) -> Filter:
        """The filter on an object; `at` are the names of the fields that lead to it."""
        self._authorise(type_name)
        filters: list[Filter] = []
        for key, asked in given.items():
            here = (*path, key)
            if (combinator := self._combinator(type_name, key)) is not None:
                filters.append(self._combined(type_name, at, combinator, asked, here))
            else:
                field = self._field(type_name, key, here)
                filters.append(self._on_field(type_name, field, at, asked, here))
        return _all(filters)

    def _combinator(self, type_name: str, key: str) -> str | None:
        """What a key combines filters by; None if it is a field."""
        return None if key in self._schema.fields(type_name) else COMBINATORS.get(key)

    def _combined(
        self, type_name: str, at: tuple[str, ...], key: str, asked: Any, path: tuple[str, ...]
    ) -> Filter:
        if asked is None:
            raise QueryRefused(f"{'.'.join(path)} is null; leave it out instead.")
        if key == "_not":
            return Not(self._object(type_name, at, asked, path))
        each = asked if isinstance(asked, list) else [asked]
        if key == "_or":
            each = self._joined(type_name, each)
        filters = [self._object(type_name, at, one, path) for one in each]
        return _all(filters) if key == "_and" else AnyOf(tuple(filters))

    def _joined(
        self, type_name: str, alternatives: Sequence[Mapping[str, Any]]
    ) -> list[Mapping[str, Any]]:
        """The same alternatives, with those that compare one scalar field for equality joined to
        one `in`: its values are then bound as one array."""
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
        return not self._schema.is_object(base) and kind_of(base).name != "JSON"

    def _on_field(
        self,
        type_name: str,
        field: Field,
        at: tuple[str, ...],
        asked: Any,
        path: tuple[str, ...],
    ) -> Filter:
        self._authorise_field(type_name, field)
        base = field.field_type.base
        at = (*at, field.name)
        is_list = field.field_type.of is not None
        if not is_list and (base in self._schema.types or base in self._schema.interfaces):
            if not isinstance(asked, Mapping):
                raise QueryRefused(f"{'.'.join(path)} is an object: give conditions on its fields.")
            return self._object(base, at, asked, path)
        kind = kind_of("JSON" if is_list else base)
        if isinstance(asked, Mapping) and (kind.name != "JSON" or _is_filter(asked)):
            given = [_comparison(at, kind, key, one, (*path, key)) for key, one in asked.items()]
        else:
            name = "in" if isinstance(asked, list) and kind.name != "JSON" else "eq"
            given = [_comparison(at, kind, name, asked, path)]
        if self._schema.is_object(base):
            for one in given:
                check_contents(self._schema, base, one, self._authorise_field, path)
        return _all(given)

    def _order_keys(
        self, type_name: str, entry: Mapping[str, Any], at: tuple[str, ...], path: tuple[str, ...]
    ) -> Iterator[OrderKey]:
        if isinstance(entry.get("field"), str) and entry["field"] not in ("ASC", "DESC"):
            if extra := set(entry) - {"field", "direction"}:
                raise QueryRefused(
                    f"orderBy has {', '.join(sorted(extra))} beside field; use one form at a time."
                )
            found = self._scalar(type_name, entry["field"], at, (*path, entry["field"]))
            yield OrderKey(*found, _direction(entry.get("direction"), path))
            return
        self._authorise(type_name)
        for name, asked in entry.items():
            here = (*path, name)
            field = self._field(type_name, name, here)
            if isinstance(asked, Mapping):
                self._authorise_field(type_name, field)
                yield from self._order_keys(field.field_type.base, asked, (*at, name), here)
            elif asked is not None:
                found = self._scalar(type_name, name, at, here)
                yield OrderKey(*found, _direction(asked, here))

    def _scalar(
        self, type_name: str, dotted: str, at: tuple[str, ...], path: tuple[str, ...]
    ) -> tuple[tuple[str, ...], Kind]:
        """A scalar field by its name, or by a path with dots; and its kind."""
        self._authorise(type_name)
        name, _, rest = dotted.partition(".")
        field = self._field(type_name, name, path)
        self._authorise_field(type_name, field)
        base = field.field_type.base
        if rest:
            return self._scalar(base, rest, (*at, name), path)
        if field.field_type.of is not None or self._schema.is_object(base) or base in UNORDERED:
            raise QueryRefused(f"{'.'.join(path)} is no scalar that has an order.")
        return (*at, name), kind_of(base)

    def _field(self, type_name: str, name: str, path: tuple[str, ...]) -> Field:
        fields = self._schema.fields(type_name)
        if name not in fields:
            shown = ", ".join(one for one in sorted(fields) if self._may_see(type_name, one))
            raise QueryRefused(
                f"{'.'.join(path)}: {type_name} has no field {name!r}"
                + (f"; it has {shown}." if shown else ".")
            )
        return fields[name]

    def _may_see(self, type_name: str, name: str) -> bool:
        try:
            self._authorise_field(type_name, self._schema.fields(type_name)[name])
        except NotAuthorised:
            return False
        return True

    def _authorise(self, type_name: str) -> None:
        for name in sorted(self._schema.possible(type_name)):
            self._access.check_type(self._schema, name)

    def _authorise_field(self, type_name: str, field: Field) -> None:
        """Refuses a field that the principal may not see, on any type that a row may be of."""
        self._access.check_declarations(self._schema, type_name, field.name)
        if self._schema.is_object(field.field_type.base):
            self._authorise(field.field_type.base)


def _comparison(
    field: tuple[str, ...], kind: Kind, name: str, asked: Any, path: tuple[str, ...]
) -> Comparison:
    operator = BY_NAME.get(name)
    if operator is None:
        known = ", ".join(one.name for one in OPERATORS)
        raise QueryRefused(f"{'.'.join(path)} is no operator. There are: {known}.")
    if asked is None and operator.family != "null" and operator.name not in ("eq", "neq"):
        raise QueryRefused(f"{'.'.join(path)} is null, and nothing compares with null.")
    if (
        operator.name.endswith("regex")
        and len(str(asked).encode(errors="replace")) > LONGEST_PATTERN
    ):
        raise QueryRefused(
            f"{'.'.join(path)} has more than the {LONGEST_PATTERN:,} bytes that a regular "
            "expression may have."
        )
    return Comparison(field, kind, operator, asked)


def _all(filters: Sequence[Filter]) -> Filter:
    return filters[0] if len(filters) == 1 else All(tuple(filters))


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


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)


def _direction(asked: Any, path: tuple[str, ...]) -> Direction:
    match "ASC" if asked is None else str(asked).upper():
        case "ASC":
            return "ASC"
        case "DESC":
            return "DESC"
    raise QueryRefused(f"{'.'.join(path)}: the direction is ASC or DESC, not {asked!r}.")
