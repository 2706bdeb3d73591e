"""`node(id:)`: an object of any type by its global ID, which names the type."""

import base64
import binascii
from dataclasses import dataclass, replace

import msgspec

from flight_service.graphql.errors import QueryRefused
from flight_service.graphql.request.selection import Root, Selected, narrowed
from flight_service.graphql.schema.compiled import Query
from flight_service.graphql.schema.graphql_schema import Schema
from flight_service.graphql.schema.type_builder import NODE
from flight_service.graphql.sources.source import relation_of

FIELD = "node"


@dataclass(frozen=True, slots=True)
class Node:
    """A `node` of a request, as the query of the one row that it is."""

    root: Root
    query: Query
    """The query that guards the type's rows: the first that reads them."""
    selected: tuple[Selected, ...]
    """What is selected of the type."""


def node_of(schema: Schema, root: Root) -> Node:
    """The query that a `node` stands for.

    Raises:
        QueryRefused: the ID is no global ID of a type that can be read.
    """
    type_name, _, identity = _decoded(root.arguments["id"]).partition(":")
    query = next(
        (
            one
            for one in schema.queries.values()
            if one.return_type.name == type_name and relation_of(schema, one)
        ),
        None,
    )
    if not identity or query is None or type_name not in schema.possible(NODE):
        raise QueryRefused(
            f"node.id is {root.arguments['id']!r}, which is the ID of no object.",
            path=(root.key,),
            locations=(root.selected.location,),
        )
    alone = msgspec.structs.replace(
        query, returns_list=False, returns_count=False, relay=False, arguments=()
    )
    own = (narrowed(one, type_name) for one in root.selected.children)
    return Node(replace(root, arguments={"id": identity}), alone, tuple(one for one in own if one))


def _decoded(given: str) -> str:
    try:
        return base64.b64decode(given, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return ""
