"""The types of a request: operation, root fields and selected fields."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from graphql import DocumentNode, FieldNode, GraphQLOutputType, OperationDefinitionNode


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of an operation."""

    depth: int
    fields: int
    complexity: int
    conditions: int = 1000
    """The number of values in arguments; a list of scalars counts as one."""


@dataclass(frozen=True, slots=True)
class Selected:
    """A selected field: its response key, and the field or fields of the schema."""

    key: str
    type: GraphQLOutputType
    fields: tuple[tuple[frozenset[str], str], ...]
    """The fields, each with the object types that have it; usually one."""
    children: tuple["Selected", ...]
    location: tuple[int, int]

    @property
    def name(self) -> str:
        """The field's name in the schema; the first where members of a union differ."""
        return self.fields[0][1]

    @property
    def types(self) -> frozenset[str]:
        """The object types that have it."""
        return frozenset().union(*(types for types, _ in self.fields))


@dataclass(frozen=True, slots=True)
class Root:
    """A root field of the operation."""

    selected: Selected
    arguments: Mapping[str, Any]
    """Coerced. Arguments without a value and a default are missing."""
    written: Mapping[str, Any]
    """As the client wrote them, with the order of an object's keys."""
    nodes: tuple[FieldNode, ...]

    @property
    def key(self) -> str:
        return self.selected.key

    @property
    def name(self) -> str:
        return self.selected.name


BYTES_PER_CHARACTER = 300
"""About how much memory one character of a query takes at most when it is planned: its syntax tree,
its types and its checks."""


@dataclass(frozen=True, slots=True)
class Operation:
    """The operation of a request."""

    kind: str
    """`query`, `mutation` or `subscription`."""
    roots: tuple[Root, ...]
    document: DocumentNode
    definition: OperationDefinitionNode
    """The operation, of those in the document."""
    variables: Mapping[str, Any]
    """As the client sent them."""

    @property
    def size(self) -> int:
        """About how many bytes it takes at most."""
        loc = self.document.loc
        characters = 0 if loc is None else len(loc.source.body)
        variables = len(msgspec.json.encode(dict(self.variables)))
        return 10_000 + BYTES_PER_CHARACTER * characters + 8 * variables


def narrowed(selected: Selected, type_name: str) -> Selected | None:
    """A selected field for rows of one type; None if the type does not have it."""
    for types, name in selected.fields:
        if type_name in types:
            return replace(selected, fields=((frozenset((type_name,)), name),))
    return None
