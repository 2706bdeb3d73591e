"""The short form: a query of the schema by its name, its variables the arguments."""

import re
from collections.abc import Mapping
from typing import Any

from graphql import GraphQLObjectType, get_named_type, is_leaf_type

from flight_service.graphql.errors import QueryRefused, SchemaUnavailable
from flight_service.graphql.schema.graphql_schema import Schema
from flight_service.graphql.sources.registry import SchemaRegistry

NAME = re.compile(r"[_A-Za-z][_0-9A-Za-z]*\Z")


def saved_query(registry: SchemaRegistry, name: str, variables: Mapping[str, Any]) -> str | None:
    """The document that a query's name stands for, with all scalar fields of its type; None where
    the schema has no such query.

    Raises:
        QueryRefused: the variables are not its arguments.
    """
    if not NAME.match(name):
        return None
    try:
        schema = registry.current().schema
    except SchemaUnavailable:
        return None
    query = schema.graphql.query_type.fields.get(name) if schema.graphql.query_type else None
    if query is None or schema.queries[name].relay:
        return None
    for key in variables:
        if key not in query.args:
            known = ", ".join(query.args) or "none"
            raise QueryRefused(f"{name} has no argument {key!r}; it has {known}.")
    definitions = ", ".join(f"${key}: {query.args[key].type}" for key in variables)
    arguments = ", ".join(f"{key}: ${key}" for key in variables)
    fields = " ".join(_scalars(schema, schema.queries[name].return_type.name))
    head, call = (f"query ({definitions}) ", f"({arguments})") if variables else ("", "")
    return f"{head}{{ {name}{call} {{ {fields} }} }}"


def _scalars(schema: Schema, type_name: str) -> list[str]:
    kind = schema.graphql.type_map[type_name]
    fields = kind.fields if isinstance(kind, GraphQLObjectType) else {}
    names = [name for name, one in fields.items() if is_leaf_type(get_named_type(one.type))]
    return names or ["__typename"]
