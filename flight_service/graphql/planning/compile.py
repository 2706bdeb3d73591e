"""Compiles an operation: each root field to one SQL statement over the fastest source there is."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec
import pyarrow as pa
from graphql import (
    GraphQLNonNull,
)

from flight_service.authentication import Principal
from flight_service.graphql.arrow.shapes import (
    TYPENAME,
    Constant,
    Leaf,
    Member,
    Struct,
)
from flight_service.graphql.errors import LimitExceeded, NotAuthorised, QueryRefused
from flight_service.graphql.planning.access import access_of
from flight_service.graphql.planning.connection import connection
from flight_service.graphql.planning.introspection import introspect
from flight_service.graphql.planning.node import FIELD, Node, node_of
from flight_service.graphql.planning.plan import Choice, Head, Page, Plan, RootPlan
from flight_service.graphql.planning.statement import Statement
from flight_service.graphql.request.operation import Operation, Root, Selected
from flight_service.graphql.schema.compiled import Query
from flight_service.graphql.schema.graphql_schema import NODE, Schema
from flight_service.graphql.sources.ctid_ranges import Pages
from flight_service.graphql.sources.source import Source, Sources, relation_of
from flight_service.graphql.sources.values import NotCovered

AUTOMATIC = frozenset(("where", "orderBy", "limit", "offset", "first", "after", "last", "before"))


def compile_plan(
    schema: Schema,
    sources: Callable[[str], Sources],
    operation: Operation,
    principal: Principal,
    max_rows: int,
    pages: Pages | None = None,
) -> Plan:
    """Compiles a query's roots. `sources` tells what the database has for a query of the schema;
    of the roots that can be divided, `pages` picks a part.

    Raises:
        QueryRefused: an argument cannot be used as it is.
        NotAuthorised: the principal lacks a role or claim.
    """
    roots: list[RootPlan | Member] = []
    introspected: dict[str, Any] | None = None
    for root in operation.roots:
        if root.name == TYPENAME:
            roots.append(Member(root.key, Constant("Query"), nullable=False))
        elif root.name.startswith("__"):
            introspected = introspected or introspect(schema, operation, principal)
            text = msgspec.json.encode(introspected[root.key]).decode()
            roots.append(Member(root.key, Constant(text, json=True), nullable=False))
        elif root.name == FIELD and FIELD not in schema.queries:
            node = node_of(schema, root)
            known = sources(node.query.name)
            roots.append(_Root(schema, known, node.root, principal, max_rows, None, node).plan())
        else:
            roots.append(_Root(schema, sources(root.name), root, principal, max_rows, pages).plan())
    return Plan(tuple(roots))


class _Root:
    def __init__(
        self,
        schema: Schema,
        sources: Sources,
        root: Root,
        principal: Principal,
        max_rows: int,
        pages: Pages | None,
        node: Node | None = None,
    ) -> None:
        self._schema = schema
        self._node = node
        self._sources = sources
        self._root = root
        self._principal = principal
        self._access = access_of(schema, principal)
        self._max_rows = max_rows
        self._pages = pages
        self._query: Query = node.query if node else schema.queries[root.name]
        self._type = self._query.return_type.name

    def plan(self) -> RootPlan:
        try:
            self._authorise()
            return self._chosen()
        except (QueryRefused, NotAuthorised) as failure:
            failure.path = failure.path or (self._root.key,)
            failure.locations = failure.locations or (self._root.selected.location,)
            raise

    def _chosen(self) -> RootPlan:
        left_out = list(self._sources.notes[self._query.name])
        for source in self._sources.by_query[self._query.name]:
            try:
                return self._compiled(source, tuple(left_out))
            except NotCovered as why:
                left_out.append(f"{source.how} {source.name}: {why}")
        advice = "The action RefreshSchemaRegistry looks again."
        if self._query.name in self._sources.missing:
            advice = (
                "If its data are still being loaded, ask again when they are; "
                "what is missing is looked for again."
            )
        raise QueryRefused(
            f"{self._query.name} cannot be read from {relation_of(self._schema, self._query)}: "
            f"{'; '.join(left_out)}. {advice}"
        )

    def _authorise(self) -> None:
        self._access.check_query(self._query)
        for name in sorted(self._schema.possible(self._type)):
            self._access.check_type(self._schema, name)
        children = self._node.selected if self._node else self._root.selected.children
        self._authorise_selected(children)

    def _authorise_selected(self, selected: Sequence[Selected]) -> None:
        for one in selected:
            for types, name in one.fields:
                for owner in sorted(types & self._schema.types.keys()):
                    self._authorise_field(owner, name)
            self._authorise_selected(one.children)

    def _authorise_field(self, owner: str, name: str) -> None:
        self._access.check_type(self._schema, owner)
        field = self._schema.fields(owner).get(name)
        if field is None:
            return
        self._access.check_declarations(self._schema, owner, name, shown=True)
        if not self._access.is_masked(field):
            for target in sorted(self._schema.possible(field.field_type.base)):
                self._access.check_type(self._schema, target)

    def _compiled(self, source: Source, left_out: tuple[str, ...]) -> RootPlan:
        statement = Statement(
            self._schema, self._sources, source, self._principal, self._access, self._pages
        )
        query, arguments = self._query, self._root.arguments
        for name, injected in query.inject_params.items():
            statement.inject(self._type, name, injected)
        for name, given in arguments.items():
            if name == "where":
                statement.where(self._type, given or {})
            elif name not in AUTOMATIC:
                statement.equal(self._type, name, given)
        choice = Choice(source.name, source.how, left_out)
        if query.returns_count:
            rows = Struct((Member(self._root.key, self._count_of(statement), nullable=False),))
            return statement.plan(self._head("count", choice), rows)
        if query.relay:
            return self._paged(statement, choice)
        if (written := self._root.written.get("orderBy")) is not None:
            statement.order(self._type, written)
        if query.returns_list:
            statement.limit, statement.offset = self._rows("limit"), self._count("offset") or 0
        else:
            statement.limit = 1
        selected, value = self._root.selected.children, source.value("d")
        if self._node:
            rows = statement.projector.node(selected, NODE, self._type, value)
        else:
            rows = statement.projector.rows(selected, self._type, value)
        return statement.plan(self._head("list" if query.returns_list else "single", choice), rows)

    def _head(self, form: Literal["list", "single", "page", "count"], choice: Choice) -> Head:
        nullable = not isinstance(self._root.selected.type, GraphQLNonNull)
        return Head(self._root.key, form, nullable, choice)

    def _paged(self, statement: Statement, choice: Choice) -> RootPlan:
        first, last = self._rows("first"), self._rows("last")
        if first is not None and last is not None:
            raise QueryRefused("first and last contradict each other; give one of them.")
        size = first if last is None else last
        backward = last is not None
        after, before = self._root.arguments.get("after"), self._root.arguments.get("before")
        cursor = self._query.relay_cursor_column or "id"
        is_counted = any(one.fields[0][1] == "totalCount" for one in self._root.selected.children)
        total = statement.total() if is_counted else None
        text = statement.page(
            self._type,
            cursor,
            after,
            before,
            backward=backward,
            written=self._root.written.get("orderBy"),
        )
        statement.limit = None if size is None else size + 1
        edges = [one for one in self._root.selected.children if one.fields[0][1] == "edges"]
        value = statement.source.value("d")
        rows, members = connection(
            statement.projector, self._root.selected, edges, self._type, value, text
        )
        page = Page(
            size,
            backward,
            (before if backward else after) is not None,
            statement.projector.emit_row(text),
            members,
            total,
        )
        return statement.plan(self._head("page", choice), rows, page)

    def _count_of(self, statement: Statement) -> Leaf:
        return Leaf(statement.projector.emit_row("count(*)"), pa.int64())

    def _rows(self, name: str) -> int | None:
        """How many rows an argument asks for."""
        given = self._count(name)
        if given is not None and given > self._max_rows:
            raise LimitExceeded(
                f"{name} is {given:,}. FRAISEQL_GRAPHQL_MAX_ROWS allows {self._max_rows:,}."
            )
        return given

    def _count(self, name: str) -> int | None:
        given = self._root.arguments.get(name)
        if given is not None and given < 0:
            raise QueryRefused(f"{name} is {given}, and cannot be less than 0.")
        return given
