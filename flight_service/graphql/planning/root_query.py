"""A root field of a query, resolved against the schema: authorised, its arguments parsed, its
limits checked, its result typed. All backends plan from this.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa
from graphql import GraphQLNonNull

from flight_service.authentication import Principal
from flight_service.graphql.arrow.result_types import ObjectType, ResultField, ScalarType
from flight_service.graphql.errors import NotAuthorised, QueryRefused
from flight_service.graphql.planning.access import Access
from flight_service.graphql.planning.filter_and_order_arguments import FilterParser
from flight_service.graphql.planning.filters import Filter, OrderKey
from flight_service.graphql.planning.node import FIELD, Node, node_of
from flight_service.graphql.planning.relay_page import PageField
from flight_service.graphql.planning.result import Form, RootResult
from flight_service.graphql.planning.result_typing import ArrowTypes, Typing
from flight_service.graphql.planning.row_limit import RowLimit
from flight_service.graphql.request.selection import Root, Selected
from flight_service.graphql.schema.compiled import Query
from flight_service.graphql.schema.graphql_schema import Schema
from flight_service.graphql.schema.type_builder import NODE

AUTOMATIC = frozenset(("where", "orderBy", "limit", "offset", "first", "after", "last", "before"))
"""The generated arguments; all others are filters."""


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which page of a relay query is requested."""

    size: int | None
    backward: bool
    after: str | None
    before: str | None
    cursors: tuple[OrderKey | str, ...]
    """The schema's cursor, as a field or as the name of a column that no field has. If it may be
    equal or null in several rows, the row's id follows: a page ends at a row, not at a value."""
    order: tuple[OrderKey, ...] | None
    """What the client orders by, before the cursor; None if nothing."""
    is_counted: bool
    """Whether `totalCount` is selected."""

    @property
    def after_cursor(self) -> bool:
        """Whether the page begins after a cursor, or ends before one."""
        return (self.before if self.backward else self.after) is not None


@dataclass(frozen=True, slots=True)
class RootQuery:
    """A root field that is valid and permitted."""

    root: Root
    query: Query
    node: Node | None
    """The row that it is, if it is `node(id:)`."""
    filters: tuple[Filter, ...]
    order: tuple[OrderKey, ...]
    limit: int | None
    offset: int
    page: PageRequest | None

    @property
    def key(self) -> str:
        return self.root.key

    @property
    def type_name(self) -> str:
        """The type of its rows."""
        return self.query.return_type.name

    @property
    def selected(self) -> tuple[Selected, ...]:
        return self.root.selected.children

    @property
    def form(self) -> Form:
        if self.query.returns_count:
            return "count"
        if self.query.relay:
            return "page"
        return "list" if self.query.returns_list else "single"


@dataclass(frozen=True, slots=True)
class RootTypes:
    """The logical types of a root field."""

    result: RootResult
    rows: ObjectType
    """The type of the rows that are read: of a page, a field for each selected `edges`."""
    page: tuple[PageField, ...] = ()
    """The fields of the connection, if it is a page."""


def root_types(
    schema: Schema, one: RootQuery, access: Access, arrow_types: ArrowTypes
) -> RootTypes:
    """The logical types of a root field. `arrow_types` has those of fields whose Arrow type is not
    their scalar's."""
    typing = Typing(schema, access, arrow_types)
    fields: tuple[PageField, ...] = ()
    if one.form == "count":
        count = ResultField(one.key, ScalarType(pa.int64()), nullable=False)
        rows = ObjectType((count,))
    elif one.form == "page":
        fields = typing.connection(one.root.selected, one.type_name)
        rows = ObjectType(
            tuple(
                ResultField(selected.key, typing.edge(selected, one.type_name), nullable=False)
                for selected in one.selected
                if selected.name == "edges"
            )
        )
    elif one.node is not None:
        rows = typing.node(one.selected, NODE, one.type_name)
    else:
        rows = typing.object(one.selected, one.type_name)
    shown = tuple(each.field for each in fields) if one.form == "page" else rows.fields
    nullable = not isinstance(one.root.selected.type, GraphQLNonNull)
    return RootTypes(RootResult(one.key, one.form, nullable, shown), rows, fields)


@contextmanager
def located(root: Root) -> Iterator[None]:
    """Adds the path and location of a root field to errors that have none."""
    try:
        yield
    except (QueryRefused, NotAuthorised) as failure:
        failure.path = failure.path or (root.key,)
        failure.locations = failure.locations or (root.selected.location,)
        raise


class RootResolver:
    """Resolves the root fields of one principal's query."""

    def __init__(
        self,
        schema: Schema,
        access: Access,
        principal: Principal,
        limit: RowLimit,
        *,
        looks_up_principals: bool = False,
    ) -> None:
        """`looks_up_principals` says that the backend itself finds what the schema injects from a
        lookup of the principal."""
        self._schema = schema
        self._access = access
        self._principal = principal
        self._limit = limit
        self._looks_up_principals = looks_up_principals
        self._parser = FilterParser(schema, access)

    def resolve(self, root: Root) -> RootQuery:
        """Resolves a root field.

        Raises:
            QueryRefused: an argument cannot be used as it is.
            NotAuthorised: the principal lacks a role, scope or claim.
            LimitExceeded: more rows are requested than a setting allows.
        """
        node = None
        if root.name == FIELD and FIELD not in self._schema.queries:
            node = node_of(self._schema, root)
        with located(root):
            return self._resolved(node.root if node else root, node)

    def _resolved(self, root: Root, node: Node | None) -> RootQuery:
        query = node.query if node else self._schema.queries[root.name]
        type_name = query.return_type.name
        self._access.check_query(query)
        for name in sorted(self._schema.possible(type_name)):
            self._access.check_type(self._schema, name)
        self._authorise_selected(node.selected if node else root.selected.children)
        filters = [*self._claims(query, type_name), *self._filters(root, type_name)]
        written = root.written.get("orderBy")
        order = None
        if written is not None and not query.returns_count:
            order = self._parser.order(type_name, written)
        is_page = query.relay and not query.returns_count
        is_list = query.returns_list and not query.relay and not query.returns_count
        return RootQuery(
            root,
            query,
            node,
            tuple(filters),
            () if is_page else order or (),
            self._rows(root, "limit") if is_list else None,
            (self._count(root, "offset") or 0) if is_list else 0,
            self._page(root, query, order) if is_page else None,
        )

    def _claims(self, query: Query, type_name: str) -> Iterator[Filter]:
        """The filters that the principal's claims require."""
        if self._access.is_decided_elsewhere:
            return
        for name, injected in query.inject_params.items():
            if injected.source != "jwt" and self._looks_up_principals:
                continue
            if injected.source != "jwt":
                raise QueryRefused(
                    f"{name} comes from what FraiseQL looks up of a principal. Only a FraiseQL "
                    "server can answer this query."
                )
            claim = self._principal.claims.get(injected.claim)
            if claim is None or isinstance(claim, list | dict):
                raise NotAuthorised(f"This needs a token with the claim {injected.claim!r}.")
            yield self._parser.claim(type_name, name, claim)

    def _filters(self, root: Root, type_name: str) -> Iterator[Filter]:
        for name, given in root.arguments.items():
            if name == "where":
                yield from self._parser.where(type_name, given or {})
            elif name not in AUTOMATIC:
                yield from self._parser.argument(type_name, name, given)

    def _page(self, root: Root, query: Query, order: tuple[OrderKey, ...] | None) -> PageRequest:
        first, last = self._rows(root, "first"), self._rows(root, "last")
        if first is not None and last is not None:
            raise QueryRefused("first and last contradict each other; give one of them.")
        return PageRequest(
            size=first if last is None else last,
            backward=last is not None,
            after=root.arguments.get("after"),
            before=root.arguments.get("before"),
            cursors=tuple(self._cursors(query)),
            order=order,
            is_counted=any(one.name == "totalCount" for one in root.selected.children),
        )

    def _cursors(self, query: Query) -> Iterator[OrderKey | str]:
        type_name, cursor = query.return_type.name, query.relay_cursor_column or "id"
        names = (cursor,) if self._schema.is_unique(type_name, cursor) else (cursor, "id")
        for name in names:
            field = self._parser.field_named(type_name, name)
            yield name if field is None else self._parser.cursor(type_name, field)

    def _rows(self, root: Root, name: str) -> int | None:
        """The number of rows that an argument requests."""
        given = self._count(root, name)
        if given is not None:
            self._limit.check_argument(name, given)
        return given

    def _count(self, root: Root, name: str) -> int | None:
        given = root.arguments.get(name)
        if given is not None and given < 0:
            raise QueryRefused(f"{name} is {given}, and cannot be less than 0.")
        return given

    def _authorise_selected(self, selected: Sequence[Selected]) -> None:
        for one in selected:
            is_masked: list[bool] = []
            for types, name in one.fields:
                for owner in sorted(types & self._schema.types.keys()):
                    self._authorise_field(owner, name)
                    is_masked.append(self._access.is_masked(self._schema.fields(owner).get(name)))
            # Nothing is read below a field that is null.
            if not is_masked or not all(is_masked):
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
