"""The shape of a page: its edges, made of the rows, and what is known of it beside them."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from graphql import get_named_type

from flight_service.graphql.arrow.shapes import TYPENAME, Constant, Leaf, ListOf, Member, Struct
from flight_service.graphql.planning.relay_projection import RelayProjector
from flight_service.graphql.request.selection import Selected

FACTS = ("hasNextPage", "hasPreviousPage", "startCursor", "endCursor", "totalCount")
"""What a page tells beside its rows, in the order of `execution.relay.page_of`."""


def connection(
    projector: RelayProjector,
    selected: Selected,
    edges: Sequence[Selected],
    type_name: str,
    value: Any,
    cursor: str,
) -> tuple[Struct, tuple[Member, ...]]:
    """The shape of the rows, one column for each `edges`, and of the connection made of them."""
    columns = {one.key: projector.edge(one, type_name, value, cursor) for one in edges}
    members: list[Member] = []
    for one in selected.children:
        name = one.fields[0][1]
        if name == "edges":
            item = Member("item", columns[one.key], nullable=False)
            members.append(Member(one.key, ListOf(0, item), nullable=False))
        elif name == "pageInfo":
            members.append(Member(one.key, _page_info(one), nullable=False))
        elif name == "totalCount":
            leaf = Leaf(FACTS.index(name), pa.int64())
            members.append(Member(one.key, leaf, nullable=True))
        else:
            connection = get_named_type(selected.type).name
            members.append(Member(one.key, Constant(connection), nullable=False))
    rows = Struct(tuple(Member(key, shape, nullable=False) for key, shape in columns.items()))
    return rows, tuple(members)


def _page_info(selected: Selected) -> Struct:
    """Columns here are places among the page's own facts; see `execution.relay`."""
    members: list[Member] = []
    for one in selected.children:
        name = one.fields[0][1]
        if name == TYPENAME:
            members.append(Member(one.key, Constant("PageInfo"), nullable=False))
        else:
            kind = pa.bool_() if name.startswith("has") else pa.string()
            leaf = Leaf(FACTS.index(name), kind)
            members.append(Member(one.key, leaf, nullable=not name.startswith("has")))
    return Struct(tuple(members))
