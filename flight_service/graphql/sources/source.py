"""Sources: relations that have the rows of a type, and the SQL of the values in them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from flight_service.graphql.postgres.catalogue import ColumnInfo
from flight_service.graphql.postgres.sql import quoted
from flight_service.graphql.schema.compiled import Query
from flight_service.graphql.schema.graphql_schema import Schema
from flight_service.graphql.sources.ctid_ranges import RowsWithCtids
from flight_service.graphql.sources.keys import FieldKeys, rule
from flight_service.graphql.sources.values import Built, Column, Document, Value, document
from flight_service.graphql.sources.view_expansion import ExpandedColumn, ExpandedObject


@dataclass(frozen=True, slots=True)
class Source:
    """A relation, or the expanded definition of a view, that has the rows of a type."""

    name: str
    how: str
    sql: str
    """The relation or sub-select for FROM."""
    members: Mapping[str, ColumnInfo | ExpandedColumn | ExpandedObject]
    """Columns by field."""
    columns: Mapping[str, ColumnInfo]
    """All columns by name."""
    document: str | None
    """The column of the document, if it may be read."""
    builds: bool
    """Whether the document is built each time it is read."""
    expanded_columns: Mapping[str, ColumnInfo] = field(default_factory=dict)
    """The columns that `members` of an expanded view name."""
    complete: bool = False
    """Whether `members` are all that the document has, by its keys instead of by field."""
    keys: FieldKeys = field(default_factory=rule)
    """The keys of the document's fields."""
    with_ctids: RowsWithCtids | None = None
    """The same rows with their ctids, if these are known."""

    def value(self, alias: str) -> Built:
        """The fields of a row of the relation under an alias."""
        return Built(
            {
                key: self._value(alias, one, self.keys.within(key))
                for key, one in self.members.items()
            },
            self._whole(alias),
            self.name,
            self.keys if self.complete else None,
            self.complete,
        )

    def beside(self, alias: str, name: str) -> Column | Document | None:
        """A value that is not a field: a column, or a member of the document."""
        for column in (name, *self.keys.naming.columns(name)):
            if (info := self.columns.get(column)) is not None:
                return Column(f"{alias}.{quoted(column)}", info.type, info.is_enum)
        whole = self._whole(alias)
        return None if whole is None else whole.member(name)

    def _whole(self, alias: str) -> Document | None:
        if self.document is None:
            return None
        sql = f"{alias}.{quoted(self.document)}"
        return document(sql, computed=self.builds, keys=self.keys)

    def _value(
        self, alias: str, one: ColumnInfo | ExpandedColumn | ExpandedObject, keys: FieldKeys
    ) -> Value:
        match one:
            case ColumnInfo(name, kind, is_enum):
                return Column(f"{alias}.{quoted(name)}", kind, is_enum, keys=keys)
            case ExpandedColumn(name, stored):
                kind = self.expanded_columns[name].type
                return Column(f"{alias}.{quoted(name)}", kind, computed=not stored, keys=keys)
            case ExpandedObject(members, present):
                return Built(
                    {
                        key: self._value(alias, inner, keys.within(key))
                        for key, inner in members.items()
                    },
                    name=self.name,
                    keys=keys,
                    complete=True,
                    present=None if present is None else f"{alias}.{quoted(present)}",
                )


@dataclass(frozen=True)
class Sources:
    """The sources in a database for one compiled schema."""

    by_query: Mapping[str, tuple[Source, ...]]
    """The sources of each query, the fastest first; none if its relation is missing."""
    notes: Mapping[str, tuple[str, ...]]
    """Why faster sources were left out, by query."""
    arrow_types: Mapping[tuple[str, str], pa.DataType]
    missing: frozenset[str] = frozenset()
    """The queries whose relation does not exist, though a flat one may."""
    without_documents: frozenset[str] = frozenset()
    """The queries whose document keys are not known, since there are no documents yet."""


def relation_of(schema: Schema, query: Query) -> str:
    """The relation that a query reads."""
    own = schema.types.get(query.return_type.name)
    return query.sql_source or (own and own.sql_source) or ""
