"""The logical types of what a query selects, whatever the backend.

They depend on the schema and on what the principal may see: a field that is masked may be null.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pyarrow as pa
from graphql import (
    GraphQLList,
    GraphQLNonNull,
    GraphQLOutputType,
    get_named_type,
    is_composite_type,
)

from flight_service.graphql.arrow.result_types import (
    TYPENAME,
    ConstantType,
    ListType,
    ObjectType,
    ResultField,
    ResultType,
    ScalarType,
)
from flight_service.graphql.planning.access import Access
from flight_service.graphql.planning.relay_page import PageField
from flight_service.graphql.request.selection import Selected, narrowed
from flight_service.graphql.schema.graphql_schema import Schema
from flight_service.graphql.schema.scalars import kind_of

ArrowTypes = Mapping[tuple[str, str], pa.DataType]
"""Arrow types of fields that differ from those of their scalars: by type and field."""
PAGE_SCALARS: Mapping[str, pa.DataType] = {
    "hasNextPage": pa.bool_(),
    "hasPreviousPage": pa.bool_(),
    "startCursor": pa.string(),
    "endCursor": pa.string(),
    "totalCount": pa.int64(),
}


class Typing:
    """The logical types of selections."""

    def __init__(self, schema: Schema, access: Access, arrow_types: ArrowTypes) -> None:
        self._schema = schema
        self._access = access
        self._arrow_types = arrow_types

    def object(self, selected: Sequence[Selected], type_name: str) -> ObjectType:
        """An object of a type, interface or union. In Arrow, one of an interface or union begins
        with its `__typename`, selected or not."""
        if not self._schema.is_abstract(type_name):
            return ObjectType(tuple(self._of_type(one, type_name) for one in selected))
        everyone = self._schema.possible(type_name)
        position, types = self._selected_typename(selected, everyone)
        typename = ScalarType(pa.string(), allowed=everyone)
        fields = [
            ResultField(
                TYPENAME,
                typename,
                nullable=False,
                types=None if types == everyone else types,
                position=position,
            )
        ]
        for position, one in enumerate(selected):
            if one.key != TYPENAME:
                field = self._of_abstract_type(one, everyone)
                fields.append(replace(field, position=position))
        return ObjectType(tuple(fields))

    def node(self, selected: Sequence[Selected], interface: str, type_name: str) -> ObjectType:
        """A row of an interface whose type is known: typed as any row of the interface, except that
        its `__typename` is constant."""
        everyone = self._schema.possible(interface)
        position, _ = self._selected_typename(selected, everyone)
        fields = [ResultField(TYPENAME, ConstantType(type_name), nullable=False, position=position)]
        for position, one in enumerate(selected):
            if one.key == TYPENAME:
                continue
            own = narrowed(one, type_name)
            field = (
                self._of_type(own, type_name)
                if own is not None
                else self._field(one, min(one.fields[0][0]))
            )
            if one.types != everyone:
                field = replace(field, nullable=True, types=one.types)
            fields.append(replace(field, position=position))
        return ObjectType(tuple(fields))

    def edge(self, selected: Selected, type_name: str) -> ObjectType:
        """An edge of a page, whose node is a row of a type."""
        fields: list[ResultField] = []
        for one in selected.children:
            of: ResultType = ConstantType(f"{type_name}Edge")
            if one.name == "cursor":
                of = ScalarType(pa.string())
            elif one.name == "node":
                of = self.object(one.children, type_name)
            fields.append(ResultField(one.key, of, nullable=False))
        return ObjectType(tuple(fields))

    def connection(self, selected: Selected, type_name: str) -> tuple[PageField, ...]:
        """The selected fields of a connection."""
        name = get_named_type(selected.type).name
        fields: list[PageField] = []
        for one in selected.children:
            inner: tuple[PageField, ...] = ()
            of: ResultType = ConstantType(name)
            if one.name == "edges":
                of = ListType(ResultField("item", self.edge(one, type_name), nullable=False))
            elif one.name == "pageInfo":
                inner = tuple(map(_page_info_field, one.children))
                of = ObjectType(tuple(each.field for each in inner))
            elif one.name == "totalCount":
                of = ScalarType(PAGE_SCALARS[one.name])
            nullable = one.name == "totalCount"
            fields.append(PageField(ResultField(one.key, of, nullable), one.name, inner))
        return tuple(fields)

    def _selected_typename(
        self, selected: Sequence[Selected], everyone: frozenset[str]
    ) -> tuple[int | None, frozenset[str]]:
        """The position of the `__typename` that is selected without an alias, and the types for
        which it is; no position and all types where it is not selected."""
        for position, one in enumerate(selected):
            if one.key == TYPENAME:
                return position, one.types
        return None, everyone

    def _of_type(self, selected: Selected, owner: str) -> ResultField:
        """A field of an object type; nullable where it is masked."""
        if selected.name == TYPENAME:
            return ResultField(selected.key, ConstantType(owner), nullable=False)
        field = self._field(selected, owner)
        masked = self._access.is_masked(self._schema.fields(owner).get(selected.name))
        return replace(field, nullable=True) if masked else field

    def _of_abstract_type(self, selected: Selected, everyone: frozenset[str]) -> ResultField:
        """A field of an interface or union; nullable where some type does not have it."""
        everywhere = selected.types == everyone
        types = None if everywhere else selected.types
        if selected.name == TYPENAME:
            return ResultField(selected.key, ScalarType(pa.string()), not everywhere, types)
        field = self._field(selected, min(selected.fields[0][0]))
        masked = any(
            self._access.is_masked(self._schema.fields(one).get(name))
            for owners, name in selected.fields
            for one in owners
        )
        return replace(field, nullable=field.nullable or not everywhere or masked, types=types)

    def _field(self, selected: Selected, owner: str) -> ResultField:
        of, nullable = self._type(selected, owner, selected.type)
        return ResultField(selected.key, of, nullable)

    def _type(
        self, selected: Selected, owner: str, of: GraphQLOutputType
    ) -> tuple[ResultType, bool]:
        """The type of a value, and whether it may be null."""
        if isinstance(of, GraphQLNonNull):
            return self._type(selected, owner, of.of_type)[0], False
        if isinstance(of, GraphQLList):
            item, nullable = self._type(selected, owner, of.of_type)
            return ListType(ResultField("item", item, nullable)), True
        name = get_named_type(of).name
        if is_composite_type(of):
            return self.object(selected.children, name), True
        kind = kind_of(name)
        arrow = self._arrow_types.get((owner, selected.name), kind.arrow)
        return ScalarType(arrow, json=kind.name == "JSON"), True


def _page_info_field(selected: Selected) -> PageField:
    name = selected.name
    if name == TYPENAME:
        field = ResultField(selected.key, ConstantType("PageInfo"), nullable=False)
    else:
        nullable = not name.startswith("has")
        field = ResultField(selected.key, ScalarType(PAGE_SCALARS[name]), nullable)
    return PageField(field, name)
