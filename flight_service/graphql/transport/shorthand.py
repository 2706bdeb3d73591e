"""Short tickets: a query of the schema by its name or that of its relation, with variables as
arguments.

Names are read in camelCase and snake_case. A relation is also found under its name without schema
or prefix, and under that of a flat relation beside it: `orders_daily` and `va_orders_daily` for
`analytics.v_orders_daily`.
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from graphql import GraphQLField, GraphQLObjectType, get_named_type, is_leaf_type

from flight_service.authentication import ANYONE
from flight_service.dates import beginning, ending
from flight_service.graphql.errors import QueryRefused, SchemaUnavailable
from flight_service.graphql.planning.access import access_of
from flight_service.graphql.planning.introspection import usable_queries
from flight_service.graphql.schema.graphql_schema import Schema
from flight_service.graphql.schema.naming import camel
from flight_service.graphql.schema.scalars import kind_of
from flight_service.graphql.sources.registry import SchemaRegistry
from flight_service.graphql.sources.source import relation_of
from flight_service.tickets import DATES

NAME = re.compile(r"[_A-Za-z][_0-9A-Za-z]*(\.[_A-Za-z][_0-9A-Za-z]*)?\Z")
PREFIX = re.compile(r"(?:v|tv|va|ta|tf)_(?=.)")
"""What the name of a relation begins with that has the rows of a type."""
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
        self._by_name = self._names()

    def arguments(self, name: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The variables under the names that the query's arguments have. An empty object for an
        argument that takes none is left out: R writes it for null."""
        known = self.query(name)
        if known is None:
            return dict(variables)
        arguments = self._root(known).args
        found: dict[str, Any] = {}
        for key, value in variables.items():
            own = key if key in arguments else camel(key)
            argument = arguments.get(own)
            is_leaf = argument is not None and is_leaf_type(get_named_type(argument.type))
            if not (value == {} and is_leaf):
                found[own if argument is not None else key] = value
        if "where" in arguments:
            self._move_dates(known, found)
        return found

    def _move_dates(self, query: str, given: dict[str, Any]) -> None:
        """Moves `start_date` and `end_date` into `where`, as conditions on the one field of the
        query's type that is a date or a time.

        Raises:
            QueryRefused: there is none, or several.
        """
        dates = {key: given.pop(key) for key in DATES if key in given}
        if not dates:
            return
        kind = self._schema.queries[query].return_type.name
        of_time = {
            one.name: scalar
            for one in self._schema.fields(kind).values()
            if (scalar := kind_of(one.field_type.base).name) in ("DateTime", "Date")
        }
        if len(of_time) != 1:
            raise QueryRefused(
                f"{kind} has {', '.join(of_time) or 'no field'} for {' and '.join(dates)}. Give "
                "the variable `where`, such as "
                '{"' + next(iter(of_time), "createdAt") + '": {"gte": "2026-01-01"}}.'
            )
        [(field, scalar)] = of_time.items()
        condition = {field: _between(dates, is_date=scalar == "Date")}
        where = given.get("where")
        given["where"] = {"_and": [where, condition]} if where else condition

    def document(self, name: str, variables: Mapping[str, Any]) -> str | None:
        """The document of a name, which selects all scalar fields; None if the schema does not have
        the name.

        Raises:
            QueryRefused: the query does not have a variable as argument.
        """
        known = self.query(name)
        if known is None:
            return None
        query = self._root(known)
        for key in variables:
            if key not in query.args:
                arguments = f"; it has {', '.join(query.args) or 'none'}"
                raise QueryRefused(
                    f"{known} has no argument {key!r}"
                    f"{arguments if self._is_for_all(known) else ''}."
                )
        definitions = ", ".join(f"${key}: {query.args[key].type}" for key in variables)
        arguments = ", ".join(f"{key}: ${key}" for key in variables)
        head, call = (f"query ({definitions}) ", f"({arguments})") if variables else ("", "")
        if self._schema.queries[known].returns_count:
            return f"{head}{{ {known}{call} }}"
        fields = " ".join(_scalars(self._schema, self._schema.queries[known].return_type.name))
        return f"{head}{{ {known}{call} {{ {fields} }} }}"

    def summary(self) -> str:
        """The names that every principal may use, for an error message."""
        queries = [name for name in self.queries if self._is_for_all(name)]
        relations = [one for one, name in self.relations.items() if self._is_for_all(name)]
        return f"Queries: {_some(queries)}. Views: {_some(relations)}."

    def query(self, name: str) -> str | None:
        """The query that a name stands for, its own or that of a relation."""
        schema, _, bare = name.rpartition(".")
        for one in (name, self._schema.naming.snake(name), camel(name)):
            if one in self._by_name:
                return self._by_name[one]
        stem = PREFIX.sub("", bare, count=1)
        return self._by_name.get(f"{schema}.{stem}" if schema else stem)

    def _names(self) -> dict[str, str]:
        """The queries by every name that they have. A name that two could have is the first's."""
        found = {name: name for name in self.queries}
        for name in self.queries:
            found.setdefault(self._schema.naming.snake(name), name)
        for relation, query in self.relations.items():
            found.setdefault(relation, query)
        for relation, query in self.relations.items():
            found.setdefault(relation.rpartition(".")[2], query)
        for relation, query in self.relations.items():
            schema, _, bare = relation.rpartition(".")
            stem = PREFIX.sub("", bare, count=1)
            found.setdefault(f"{schema}.{stem}", query)
            found.setdefault(stem, query)
        return found

    def _is_for_all(self, query: str) -> bool:
        return query in self._for_all

    @cached_property
    def _for_all(self) -> frozenset[str]:
        nobody = access_of(self._schema, ANYONE)
        return frozenset(one.name for one in usable_queries(self._schema, nobody))

    def _root(self, query: str) -> GraphQLField:
        root = self._schema.graphql.query_type
        assert root is not None, "a schema has queries"
        return root.fields[query]


def shorthand(registry: SchemaRegistry) -> Shorthand | None:
    """The names of the schema in use; None if there is no schema."""
    try:
        return Shorthand(registry.current().schema)
    except SchemaUnavailable:
        return None


def _between(dates: Mapping[str, Any], *, is_date: bool) -> dict[str, str]:
    """The comparisons of a field with a beginning and an end, as other tickets read them."""
    begins = beginning(_text(dates.get("start_date")), "start_date")
    ends = ending(_text(dates.get("end_date")), "end_date")
    found = {}
    for name, moment in (("gte", begins), ("lt", ends)):
        if moment is not None:
            found[name] = _first_day(moment) if is_date else moment.isoformat()
    return found


def _first_day(moment: datetime) -> str:
    """The first day that begins at the moment or after it."""
    return (moment + timedelta(days=1, microseconds=-1)).date().isoformat()


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN]) or 'none'}{more}"


def _scalars(schema: Schema, type_name: str) -> list[str]:
    kind = schema.graphql.type_map[type_name]
    fields = kind.fields if isinstance(kind, GraphQLObjectType) else {}
    names = [name for name, one in fields.items() if is_leaf_type(get_named_type(one.type))]
    return names or ["__typename"]
