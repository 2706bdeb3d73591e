"""The SQL expressions of the selected fields, and which column of the statement holds which."""

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa
from graphql import get_named_type

from flight_service.graphql.arrow.columns import (
    Columns,
    ListColumns,
    NoColumn,
    ObjectColumns,
    ScalarColumn,
)
from flight_service.graphql.arrow.result_types import (
    TYPENAME,
    ConstantType,
    ListType,
    ObjectType,
    ResultType,
    ScalarType,
)
from flight_service.graphql.planning.access import Access
from flight_service.graphql.planning.levels import ARRAYS, ITEM, Check, Level
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
    cast_after_transfer,
    document,
    is_native,
    member,
    transferred,
)


class Projector:
    """Collects the columns of one statement while it projects the fields of a logical type."""

    def __init__(self, schema: Schema, access: Access) -> None:
        self.schema = schema
        self._access = access
        self._elements = 0
        self.columns: list[str] = []
        self.levels: list[Level] = []
        self.checks: list[Check] = []
        self.computed_documents = False

    def rows(
        self, selected: Sequence[Selected], type_name: str, of: ObjectType, value: Value
    ) -> ObjectColumns:
        """The columns of the rows themselves, which are always present."""
        columns = self.fields(selected, type_name, of, value, Level(), ())
        if not self.columns:
            # Rows without a column must still be counted.
            self.emit(Level(), "TRUE")
        return ObjectColumns(columns)

    def emit_row(self, sql: str) -> int:
        """Adds a column of the rows themselves; returns its number."""
        return self.emit(Level(), sql)

    def emit(self, level: Level, sql: str) -> int:
        """Adds a column, unless the statement has it already; returns its number."""
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

    def fields(
        self,
        selected: Sequence[Selected],
        type_name: str,
        of: ObjectType,
        value: Value,
        level: Level,
        path: tuple[str, ...],
    ) -> tuple[Columns, ...]:
        """The columns of an object's fields, in the order of its type's fields."""
        if not self.schema.is_abstract(type_name):
            return tuple(
                self.of_type(one, type_name, field.type, value, level, path)
                for one, field in zip(selected, of.fields, strict=True)
            )
        whole = self._used(as_document(value))
        typename = whole.member(TYPENAME)
        columns: list[Columns] = [ScalarColumn(self.emit(level, typename.text))]
        others = [one for one in selected if one.key != TYPENAME]
        for one, field in zip(others, of.fields[1:], strict=True):
            if one.name == TYPENAME:
                sql = typename.text
                if one.types != self.schema.possible(type_name):
                    sql = any_of([(_is_one_of(sql, one.types), typename)]).text
                columns.append(ScalarColumn(self.emit(level, sql)))
                continue
            found = self._of_any_type(one, type_name, whole, typename)
            owner = min(one.fields[0][0])
            columns.append(self.field(one, owner, field.type, found, level, path))
        return tuple(columns)

    def of_type(
        self,
        selected: Selected,
        owner: str,
        of: ResultType,
        value: Value,
        level: Level,
        path: tuple[str, ...],
    ) -> Columns:
        """The columns of a field of an object type. A masked field is null, whatever it holds."""
        if selected.name == TYPENAME:
            return NoColumn()
        if self._access.is_masked(self.schema.fields(owner).get(selected.name)):
            return self.field(selected, owner, of, NULL, level, path)
        return self.field(selected, owner, of, member(value, selected.name), level, path)

    def field(
        self,
        selected: Selected,
        owner: str,
        of: ResultType,
        value: Value,
        level: Level,
        path: tuple[str, ...],
    ) -> Columns:
        """The columns of a field whose value is known."""
        return self._columns(selected, owner, of, value, level, (*path, selected.key))

    def _of_any_type(
        self, selected: Selected, type_name: str, whole: Document, typename: Document
    ) -> Document:
        """The value of a field of an interface or union: read by the type of each row, and null for
        types that do not have it or for which it is masked."""
        choices: list[tuple[frozenset[str], Document]] = []
        for types, name in selected.fields:
            shown = frozenset(
                one
                for one in types
                if not self._access.is_masked(self.schema.fields(one).get(name))
            )
            if shown:
                choices.append((shown, whole.member(name)))
        if not choices:
            return NULL
        if len(choices) == 1 and choices[0][0] == self.schema.possible(type_name):
            return choices[0][1]
        return any_of([(_is_one_of(typename.text, types), one) for types, one in choices])

    def _columns(
        self,
        selected: Selected,
        owner: str,
        of: ResultType,
        value: Value,
        level: Level,
        path: tuple[str, ...],
    ) -> Columns:
        match of:
            case ScalarType():
                return self._scalar(selected, owner, of, value, level, path)
            case ListType():
                return self._list(selected, owner, of, value, level, path)
            case ObjectType():
                presence = self._presence(value, level)
                name = get_named_type(selected.type).name
                columns = self.fields(selected.children, name, of, value, level, path)
                return ObjectColumns(columns, presence)
            case ConstantType():
                return NoColumn()

    def _presence(self, value: Value, level: Level) -> int | None:
        if isinstance(value, Built):
            return None if value.present is None else self.emit(level, value.present)
        whole = self._used(as_document(value))
        return self.emit(level, f"NULLIF(jsonb_typeof({whole.sql}), 'null') = 'object'")

    def _scalar(
        self,
        selected: Selected,
        owner: str,
        of: ScalarType,
        value: Value,
        level: Level,
        path: tuple[str, ...],
    ) -> ScalarColumn:
        scalar = get_named_type(selected.type).name
        kind = kind_of(scalar)
        wide = pa.types.is_int64(of.arrow)
        if not is_native(value, kind):
            checked = replace(kind, sql="int8") if wide else kind
            self.checks.append(Check(path, as_document(value), checked, level.tables))
        sql = transferred(value, kind, wide=wide)
        in_json = not isinstance(value, Column) or value.type in JSON
        if in_json:
            self._used(as_document(value))
        return ScalarColumn(
            self.emit(level, sql),
            from_document=in_json and kind.sql == "text",
            members=self.schema.enums.get(scalar),
            cast_to=cast_after_transfer(value, kind, wide=wide),
        )

    def _list(
        self,
        selected: Selected,
        owner: str,
        of: ListType,
        value: Value,
        level: Level,
        path: tuple[str, ...],
    ) -> ListColumns:
        inner = of.item.type
        if (
            isinstance(inner, ScalarType)
            and isinstance(value, Column)
            and value.type in ARRAYS.get(kind_of(get_named_type(selected.type).name).sql, ())
            and not level.tables
        ):
            return self._array(selected, inner, value)
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
        elements = Level((*level.tables, f"jsonb_array_elements({array}) AS {alias}(v)"))
        element = document(f"{alias}.v", keys=whole.keys)
        item = self._columns(selected, owner, inner, element, elements, (*path, ITEM))
        if not elements.alias:
            raise AssertionError("an element always has a column")
        return ListColumns(lengths, item)

    def _array(self, selected: Selected, of: ScalarType, value: Column) -> ListColumns:
        """The columns of a list of scalars that an array column holds."""
        scalar = get_named_type(selected.type).name
        kind = kind_of(scalar)
        sql_type = "int8" if pa.types.is_int64(of.arrow) else kind.sql
        # An array of several dimensions is not a list of scalars, whatever its column's type says.
        length = f"CASE WHEN array_ndims({value.sql}) > 1 THEN -1 ELSE cardinality({value.sql}) END"
        lengths = self.emit(Level(), length)
        column = self.emit(Level(), f"({value.sql})::{sql_type}[]")
        item = ScalarColumn(column, members=self.schema.enums.get(scalar))
        return ListColumns(lengths, item)

    def _used(self, value: Document) -> Document:
        self.computed_documents = self.computed_documents or value.computed
        return value


def _is_one_of(sql: str, types: frozenset[str]) -> str:
    return f"{sql} IN ({', '.join(literal(one) for one in sorted(types))})"
