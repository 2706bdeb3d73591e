"""The connection types of relay queries that the compiled schema does not define itself."""

from collections.abc import Callable, Mapping
from typing import Any

from graphql import GraphQLField, GraphQLList, GraphQLNonNull, GraphQLObjectType

PAGE_INFO_FIELDS = {
    "hasNextPage": ("Boolean", True),
    "hasPreviousPage": ("Boolean", True),
    "startCursor": ("String", False),
    "endCursor": ("String", False),
}


class Connections:
    """Makes the types of a connection, its edges and page information for each object type."""

    def __init__(self, defined: Mapping[str, Any], named: Callable[[str], Any]) -> None:
        self._defined = defined
        self._named = named
        self._made: dict[str, Any] = {}

    def of(self, node: str) -> Any:
        """The connection type of an object type."""
        return self._type(
            f"{node}Connection",
            lambda: {
                "edges": GraphQLField(
                    GraphQLNonNull(GraphQLList(GraphQLNonNull(self._edge(node))))
                ),
                "pageInfo": GraphQLField(GraphQLNonNull(self._page_info())),
                "totalCount": GraphQLField(self._named("Int")),
            },
        )

    def _edge(self, node: str) -> Any:
        return self._type(
            f"{node}Edge",
            lambda: {
                "cursor": GraphQLField(GraphQLNonNull(self._named("String"))),
                "node": GraphQLField(GraphQLNonNull(self._named(node))),
            },
        )

    def _page_info(self) -> Any:
        return self._type(
            "PageInfo",
            lambda: {
                field: GraphQLField(
                    GraphQLNonNull(self._named(scalar)) if required else self._named(scalar)
                )
                for field, (scalar, required) in PAGE_INFO_FIELDS.items()
            },
        )

    def _type(self, name: str, fields: Callable[[], dict[str, GraphQLField]]) -> Any:
        if name in self._defined:
            return self._named(name)
        if name not in self._made:
            self._made[name] = GraphQLObjectType(name, fields)
        return self._made[name]
