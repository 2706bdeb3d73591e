"""What a request asks for, with no trace of how it was written."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from graphql import DocumentNode, FieldNode, GraphQLOutputType, OperationDefinitionNode


@dataclass(frozen=True, slots=True)
class Limits:
    """How large an operation may be."""

    depth: int
    fields: int
    complexity: int
    conditions: int = 1000
    """The values that arguments may hold; a list of scalars in them counts as one."""


@dataclass(frozen=True, slots=True)
class Selected:
    """One column of a result: a response key, and the field or fields that fill it."""

    key: str
    type: GraphQLOutputType
    fields: tuple[tuple[frozenset[str], str], ...]
    """Which field fills it, by the object types that a value may be of; one for most."""
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
    """One field of the operation itself."""

    selected: Selected
    arguments: Mapping[str, Any]
    """Coerced; those that were not given and have no default are absent."""
    written: Mapping[str, Any]
    """As the client wrote them, which alone keeps the order of an object's keys."""
    nodes: tuple[FieldNode, ...]

    @property
    def key(self) -> str:
        return self.selected.key

    @property
    def name(self) -> str:
        return self.selected.name


@dataclass(frozen=True, slots=True)
class Operation:
    """What a request asks for."""

    kind: str
    """`query`, `mutation` or `subscription`."""
    roots: tuple[Root, ...]
    document: DocumentNode
    definition: OperationDefinitionNode
    """The operation itself, of those that the document has."""
    variables: Mapping[str, Any]
    """As they were given."""


def narrowed(selected: Selected, type_name: str) -> Selected | None:
    """What a selected field is of a row of one type; None where such a row does not have it."""
    for types, name in selected.fields:
        if type_name in types:
            return replace(selected, fields=((frozenset((type_name,)), name),))
    return None
