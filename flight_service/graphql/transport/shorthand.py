"""Short tickets: a query of the schema by its name or that of its relation, with variables as
arguments."""

import re
from collections.abc import Mapping
from typing import Any

from graphql import GraphQLObjectType, get_named_type, is_leaf_type

from flight_service.graphql.errors import QueryRefused, SchemaUnavailable
from flight_service.graphql.schema.graphql_schema import Schema
from flight_service.graphql.schema.naming import camel
from flight_service.graphql.sources.registry import SchemaRegistry
from flight_service.graphql.sources.source import relation_of

NAME = re.compile(r"[_A-Za-z][_0-9A-Za-z]*(\.[_A-Za-z][_0-9A-Za-z]*)?\Z")
SHOWN = 20
"""How many names an error message lists."""


class Shorthand:
    """The queries of a schema and the relations that they read, by name."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self.queries = [name for name, one in schema.queries.items() if not one.relay]
        self.relations: dict[str, str] = {}
        """The first query that lists the rows of each relation."""
        for name in self.queries:
            if schema.queries[name].returns_list:
                self.relations.setdefault(relation_of(schema, schema.queries[name]), name)

    def document(self, name: str, variables: Mapping[str, Any]) -> str | None:
        """The document of a name, which selects all scalar fields; None if the schema does not have
        the name.

        Raises:
            QueryRefused: the query does not have a variable as argument.
        """
        known = self._query(name)
        if known is None:
            return None
        root = self._schema.graphql.query_type
        assert root is not None, "a schema has queries"
        query = root.fields[known]
        for key in variables:
            if key not in query.args:
                arguments = ", ".join(query.args) or "none"
                raise QueryRefused(f"{known} has no argument {key!r}; it has {arguments}.")
        definitions = ", ".join(f"${key}: {query.args[key].type}" for key in variables)
        arguments = ", ".join(f"{key}: ${key}" for key in variables)
        head, call = (f"query ({definitions}) ", f"({arguments})") if variables else ("", "")
        if self._schema.queries[known].returns_count:
            return f"{head}{{ {known}{call} }}"
        fields = " ".join(_scalars(self._schema, self._schema.queries[known].return_type.name))
        return f"{head}{{ {known}{call} {{ {fields} }} }}"

    def summary(self) -> str:
        """The available names, for an error message."""
        return f"Queries: {_some(self.queries)}. Views: {_some(list(self.relations))}."

    def _query(self, name: str) -> str | None:
        for one in (name, self._schema.naming.snake(name), camel(name)):
            if one in self.queries:
                return one
        bare = {one.rpartition(".")[2]: query for one, query in self.relations.items()}
        return self.relations.get(name) or bare.get(name)


def shorthand(registry: SchemaRegistry) -> Shorthand | None:
    """The names of the schema in use; None if there is no schema."""
    try:
        return Shorthand(registry.current().schema)
    except SchemaUnavailable:
        return None


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN]) or 'none'}{more}"


def _scalars(schema: Schema, type_name: str) -> list[str]:
    kind = schema.graphql.type_map[type_name]
    fields = kind.fields if isinstance(kind, GraphQLObjectType) else {}
    names = [name for name, one in fields.items() if is_leaf_type(get_named_type(one.type))]
    return names or ["__typename"]
