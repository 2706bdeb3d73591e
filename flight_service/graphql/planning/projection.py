"""From what was selected to the columns that PostgreSQL sends, and the shape of the result."""

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa
from graphql import (
    GraphQLList,
    GraphQLNonNull,
    GraphQLOutputType,
    get_named_type,
    is_composite_type,
)

from flight_service.graphql.arrow.shapes import (
    TYPENAME,
    Constant,
    Leaf,
    ListOf,
    Member,
    Shape,
    Struct,
)
from flight_service.graphql.planning.access import Access
from flight_service.graphql.planning.levels import ARRAYS, ITEM, ArrowTypes, Check, Level
from flight_service.graphql.postgres.sql import literal
from flight_service.graphql.request.selection import Selected
from flight_service.graphql.schema.graphql_schema import Schema
from flight_service.graphql.schema.scalars import kind_of
from flight_service.graphql.sources.values import (
    JSON,
    NULL,
    Built,
    Column,
    Document,
    Value,
    any_of,
    as_document,
    document,
    member,
    read_as,
    transferred,
)


class Projector:
    """Collects the columns of one statement while shapes are made."""

    def __init__(self, schema: Schema, arrow_types: ArrowTypes, access: Access) -> None:
        self.schema = schema
        self._access = access
        self._arrow_types = arrow_types
        self._elements = 0
        self.columns: list[str] = []
        self.levels: list[Level] = []
        self.checks: list[Check] = []
        self.computed_documents = False

    def rows(self, selected: Sequence[Selected], type_name: str, value: Value) -> Struct:
        """The shape of the rows themselves, which are always present."""
        shape = Struct(self.members_of(selected, type_name, value, Level(), ()))
        if not self.columns:
            # A row without a column is still to be counted.
            self.emit(Level(), "TRUE")
        return shape

    def emit_row(self, sql: str) -> int:
        """Adds a column of the rows themselves; returns its place."""
        return self.emit(Level(), sql)

    def emit(self, level: Level, sql: str) -> int:
        """Adds a column, once; returns its place."""
        if level.tables:
            if not level.alias:
                level.alias = f"l{len(self.levels)}"
                self.levels.append(level)
            if sql not in level.aggregates:
                level.aggregates.append(sql)
            sql = f"{level.alias}.a{level.aggregates.index(sql)}"
        if sql not in self.columns:
            self.columns.append(sql)
        return self.columns.index(sql)

    def members_of(
        self,
        selected: Sequence[Selected],
        type_name: str,
        value: Value,
        level: Level,
        path: tuple[str, ...],
    ) -> tuple[Member, ...]:
        """What is selected of an object."""
        if not self.schema.is_abstract(type_name):
            return tuple(
                Member(one.key, Constant(type_name), nullable=False)
                if one.fields[0][1] == TYPENAME
                else self.of_type(one, type_name, value, level, path)
                for one in selected
            )
        whole = self._used(as_document(value))
        everyone = self.schema.possible(type_name)
        name = whole.member(TYPENAME)
        typename = Leaf(self.emit(level, name.text), pa.string(), one_of=everyone)
        shown = [n for n, one in enumerate(selected) if one.key == TYPENAME]
        by = selected[shown[0]].types if shown else everyone
        members = [
            Member(
                TYPENAME,
                typename,
                nullable=False,
                types=None if by == everyone else by,
                place=shown[0] if shown else None,
            )
        ]
        for place, one in enumerate(selected):
            everywhere = one.types == everyone
            if one.key == TYPENAME:
                continue
            if one.fields[0][1] == TYPENAME:
                types = None if everywhere else one.types
                nullable = not everywhere
                value = whole.member(TYPENAME)
                if nullable:
                    value = any_of([(_is_one_of(name.text, one.types), value)])
                leaf = Leaf(self.emit(level, value.text), pa.string())
                members.append(Member(one.key, leaf, nullable, types, place))
                continue
            choices, hidden = self._choices(one, whole, name)
            whole_choice = everywhere and not hidden and len(choices) == 1
            found = NULL if not choices else choices[0][1] if whole_choice else any_of(choices)
            owner = min(one.fields[0][0])
            made = self.member_of(one, owner, found, level, path, everywhere)
            members.append(replace(made, place=place, nullable=made.nullable or hidden))
        return tuple(members)

    def of_type(
        self,
        selected: Selected,
        owner: str,
        value: Value,
        level: Level,
        path: tuple[str, ...],
    ) -> Member:
        """A selected field of an object type; null, whatever it holds, where it is masked."""
        name = selected.fields[0][1]
        if self._access.is_masked(self.schema.fields(owner).get(name)):
            made = self.member_of(selected, owner, NULL, level, path)
            return replace(made, nullable=True)
        return self.member_of(selected, owner, member(value, name), level, path)

    def _choices(
        self, selected: Selected, whole: Document, name: Document
    ) -> tuple[list[tuple[str, Document]], bool]:
        """Where a field of an interface or union is read, by the types that a row may be of; and
        whether it is masked of some."""
        choices: list[tuple[str, Document]] = []
        hidden = False
        for types, source in selected.fields:
            shown = frozenset(
                one
                for one in types
                if not self._access.is_masked(self.schema.fields(one).get(source))
            )
            hidden = hidden or shown != types
            if shown:
                choices.append((_is_one_of(name.text, shown), whole.member(source)))
        return choices, hidden

    def member_of(
        self,
        selected: Selected,
        owner: str,
        value: Value,
        level: Level,
        path: tuple[str, ...],
        everywhere: bool = True,
    ) -> Member:
        shape, nullable = self._shape(
            selected, owner, selected.type, value, level, (*path, selected.key)
        )
        types = None if everywhere else selected.types
        return Member(selected.key, shape, nullable or not everywhere, types)

    def _shape(
        self,
        selected: Selected,
        owner: str,
        of: GraphQLOutputType,
        value: Value,
        level: Level,
        path: tuple[str, ...],
    ) -> tuple[Shape, bool]:
        """The shape of a value of a type, and whether it may be null."""
        if isinstance(of, GraphQLNonNull):
            return self._shape(selected, owner, of.of_type, value, level, path)[0], False
        if isinstance(of, GraphQLList):
            return self._list(selected, owner, of.of_type, value, level, path), True
        if is_composite_type(of):
            presence = self._presence(value, level)
            name = get_named_type(of).name
            members = self.members_of(selected.children, name, value, level, path)
            return Struct(members, presence), True
        name = selected.fields[0][1]
        return self._leaf(owner, name, get_named_type(of).name, value, level, path), True

    def _presence(self, value: Value, level: Level) -> int | None:
        if isinstance(value, Built):
            return None if value.present is None else self.emit(level, value.present)
        whole = self._used(as_document(value))
        return self.emit(level, f"NULLIF(jsonb_typeof({whole.sql}), 'null') = 'object'")

    def _leaf(
        self, owner: str, name: str, scalar: str, value: Value, level: Level, path: tuple[str, ...]
    ) -> Leaf:
        kind = kind_of(scalar)
        arrow = self._arrow_types.get((owner, name), kind.arrow)
        if isinstance(value, Document) or (isinstance(value, Column) and value.type in JSON):
            checked = replace(kind, sql="int8") if pa.types.is_int64(arrow) else kind
            self.checks.append(Check(path, as_document(value), checked, level.tables))
        wide = pa.types.is_int64(arrow)
        sql = transferred(value, kind, wide=wide)
        if not isinstance(value, Column) or value.type in JSON:
            self._used(as_document(value))
        return Leaf(
            self.emit(level, sql),
            arrow,
            json=kind.name == "JSON",
            from_document=isinstance(value, Document) and kind.sql == "text",
            members=self.schema.enums.get(scalar),
            read_as=read_as(value, kind, wide=wide),
        )

    def _list(
        self,
        selected: Selected,
        owner: str,
        item: GraphQLOutputType,
        value: Value,
        level: Level,
        path: tuple[str, ...],
    ) -> ListOf:
        inner = item.of_type if isinstance(item, GraphQLNonNull) else item
        flat = not isinstance(inner, GraphQLList)
        if flat and isinstance(value, Column) and value.type in ARRAYS and not level.tables:
            return self._array(selected, owner, item, value, path)
        whole = self._used(as_document(value))
        array = f"CASE WHEN jsonb_typeof({whole.sql}) = 'array' THEN {whole.sql} END"
        lengths = self.emit(
            level,
            f"CASE jsonb_typeof({whole.sql}) WHEN 'array' THEN jsonb_array_length({whole.sql}) "
            "WHEN 'null' THEN NULL ELSE "
            f"CASE WHEN {whole.sql} IS NOT NULL THEN -1 END END",
        )
        self._elements += 1
        alias = f"e{self._elements}"
        inner = Level((*level.tables, f"jsonb_array_elements({array}) AS {alias}(v)"))
        shape, nullable = self._shape(
            selected, owner, item, document(f"{alias}.v", keys=whole.keys), inner, (*path, ITEM)
        )
        if not inner.alias:
            raise AssertionError("an element always has a column")
        return ListOf(lengths, Member("item", shape, nullable))

    def _array(
        self,
        selected: Selected,
        owner: str,
        item: GraphQLOutputType,
        value: Column,
        path: tuple[str, ...],
    ) -> ListOf:
        """A list of scalars that is an array already."""
        kind = kind_of(get_named_type(item).name)
        arrow = self._arrow_types.get((owner, selected.fields[0][1]), kind.arrow)
        sql_type = "int8" if pa.types.is_int64(arrow) else kind.sql
        # An array of several dimensions is no list of scalars, whatever its column is declared as.
        length = f"CASE WHEN array_ndims({value.sql}) > 1 THEN -1 ELSE cardinality({value.sql}) END"
        lengths = self.emit(Level(), length)
        column = self.emit(Level(), f"({value.sql})::{sql_type}[]")
        leaf = Leaf(column, arrow, members=self.schema.enums.get(get_named_type(item).name))
        return ListOf(lengths, Member("item", leaf, not isinstance(item, GraphQLNonNull)))

    def _used(self, value: Document) -> Document:
        self.computed_documents = self.computed_documents or value.computed
        return value


def _is_one_of(sql: str, types: frozenset[str]) -> str:
    return f"{sql} IN ({', '.join(literal(one) for one in sorted(types))})"
