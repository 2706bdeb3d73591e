"""Checks what a comparison with a list of objects reveals about the objects.

Such a list is compared as JSON. `array_contains` reveals the fields that its operand names; other
comparisons reveal every field of the objects.
"""

from collections.abc import Callable, Iterator
from typing import Any

from flight_service.graphql.errors import QueryRefused
from flight_service.graphql.planning.filters import Comparison
from flight_service.graphql.schema.compiled import Field
from flight_service.graphql.schema.graphql_schema import Schema

Authorise = Callable[[str, Field], None]
"""Refuses a field of a type that the principal may not see."""

TYPENAME = "__typename"
"""The key under which a document of an interface or union has its type."""
CONTAINS = frozenset(("array_contains", "strictly_contains"))


def check_contents(
    schema: Schema,
    type_name: str,
    comparison: Comparison,
    authorise: Authorise,
    path: tuple[str, ...],
) -> None:
    """Refuses a comparison with a list of objects of a type, or with one of a union, that would
    reveal what the principal may not see.

    Raises:
        NotAuthorised: the principal may not see a field that it would reveal. QueryRefused: the
        operand has a key that is not a field.
    """
    operator, operand = comparison.operator, comparison.operand
    if operand is None or operator.family == "null" or operator.operand == "count":
        return
    for owner, field in _named(schema, type_name, operand, path):
        authorise(owner, field)
    if operator.name not in CONTAINS:
        for owner, field in _every(schema, type_name, set()):
            authorise(owner, field)


def _named(
    schema: Schema, type_name: str, operand: Any, path: tuple[str, ...]
) -> Iterator[tuple[str, Field]]:
    """The fields of an operand, in the objects of a type."""
    if isinstance(operand, list):
        for one in operand:
            yield from _named(schema, type_name, one, path)
    elif isinstance(operand, dict):
        for key, inner in operand.items():
            found = _declared(schema, type_name, key)
            if not found and key != TYPENAME:
                raise QueryRefused(f"{'.'.join(path)}: {type_name} has no field {key!r}.")
            yield from found
            for name in sorted({field.field_type.base for _, field in found}):
                if schema.is_object(name):
                    yield from _named(schema, name, inner, (*path, key))


def _declared(schema: Schema, type_name: str, key: str) -> list[tuple[str, Field]]:
    """The fields with this key, of the type and of all that its objects can be of."""
    snake = schema.naming.snake
    return [
        (owner, field)
        for owner in _owners(schema, type_name)
        for name, field in schema.fields(owner).items()
        if snake(name) == snake(key)
    ]


def _every(schema: Schema, type_name: str, seen: set[str]) -> Iterator[tuple[str, Field]]:
    """Every field of the objects of a type, at any depth."""
    for owner in _owners(schema, type_name):
        if owner in seen:
            continue
        seen.add(owner)
        for field in schema.fields(owner).values():
            yield owner, field
            if schema.is_object(field.field_type.base):
                yield from _every(schema, field.field_type.base, seen)


def _owners(schema: Schema, type_name: str) -> list[str]:
    return sorted({type_name, *schema.possible(type_name)})
