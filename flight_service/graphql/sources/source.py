"""What rows of a type are read from, and how the values in them are written in SQL."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from flight_service.graphql.postgres.catalogue import ColumnInfo
from flight_service.graphql.postgres.sql import quoted
from flight_service.graphql.schema.compiled import Query
from flight_service.graphql.schema.graphql_schema import Schema
from flight_service.graphql.sources.ctid_ranges import RowsWithCtids
from flight_service.graphql.sources.keys import Keys, rule
from flight_service.graphql.sources.values import Built, Column, Document, Value, document
from flight_service.graphql.sources.view_expansion import ExpandedColumn, ExpandedObject


@dataclass(frozen=True, slots=True)
class Source:
    """A relation, or a view's expanded definition, that holds rows of a type."""

    name: str
    how: str
    sql: str
    """What stands in FROM."""
    members: Mapping[str, ColumnInfo | ExpandedColumn | ExpandedObject]
    """Columns by field."""
    columns: Mapping[str, ColumnInfo]
    """All columns, by their own names."""
    document: str | None
    """The column of the document, where it may be read."""
    builds: bool
    """Whether the document is built when it is read."""
    expanded_columns: Mapping[str, ColumnInfo] = field(default_factory=dict)
    """The columns that `members` of an expanded view name."""
    complete: bool = False
    """Whether `members` are all that the document has, by its own keys."""
    keys: Keys = field(default_factory=rule)
    """The keys of the document's fields."""
    with_ctids: RowsWithCtids | None = None
    """The same rows with their ctids, if these are known."""

    def value(self, alias: str) -> Built:
        """The rows' fields, read from the relation under a name."""
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
        """A value that is no field: a column of that name, or the document's own member."""
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
        self, alias: str, one: ColumnInfo | ExpandedColumn | ExpandedObject, keys: Keys
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
    """What was learned of the database under one compiled schema."""

    by_query: Mapping[str, tuple[Source, ...]]
    """The sources of each query, the fastest first; none where its relation is missing."""
    notes: Mapping[str, tuple[str, ...]]
    """Why a faster source was left out, by query."""
    arrow_types: Mapping[tuple[str, str], pa.DataType]
    missing: frozenset[str] = frozenset()
    """The queries whose relation is not there, though a flat one may be."""
    unsettled: frozenset[str] = frozenset()
    """The queries whose documents have keys that are not known, since there are no documents."""


def relation_of(schema: Schema, query: Query) -> str:
    """The relation that holds a query's documents."""
    own = schema.types.get(query.return_type.name)
    return query.sql_source or (own and own.sql_source) or ""
