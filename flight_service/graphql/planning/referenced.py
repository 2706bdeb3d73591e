"""Finds the enums and input types that a compiled schema refers to."""

from collections.abc import Iterator

import msgspec

from flight_service.graphql.schema.compiled import Compiled


def without_unreferenced(left: Compiled, whole: Compiled) -> Compiled:
    """A part of a schema, without the enums and input types that only the rest of it refers to."""
    gone = _referenced(whole) - _referenced(left)
    return msgspec.structs.replace(
        left,
        enums=tuple(one for one in left.enums if one.name not in gone),
        input_types=tuple(one for one in left.input_types if one.name not in gone),
    )


def _referenced(compiled: Compiled) -> frozenset[str]:
    """The types that fields and arguments have, and those of the fields of input types."""
    inputs = {one.name: one for one in compiled.input_types}
    found: set[str] = set()
    waiting = list(_direct(compiled))
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [one.field_type.base for one in getattr(inputs.get(name), "fields", ())]
    return frozenset(found)


def _direct(compiled: Compiled) -> Iterator[str]:
    for owner in (*compiled.types, *compiled.interfaces):
        yield from (field.field_type.base for field in owner.fields)
        # Generated arguments have types of these names; a type of the schema with that name
        # replaces them.
        yield from (f"{owner.name}{suffix}" for suffix in ("WhereInput", "OrderByInput"))
    for operation in (*compiled.queries, *compiled.mutations, *compiled.subscriptions):
        yield from (one.arg_type.base for one in operation.arguments)
    for directive in compiled.directives:
        yield from (one.arg_type.base for one in directive.arguments)
