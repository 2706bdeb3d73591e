"""Where a type's rows can be read from, the fastest first.

1. a flat relation, `ta_` or `va_`, of the document's own name, with a column for each field;
2. the expressions under the view's own document, see `sources.view_expansion`;
3. the document, and the typed columns that stand beside it.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import pyarrow as pa

from flight_service.graphql.errors import DatabaseFailed
from flight_service.graphql.postgres.catalogue import (
    Ask,
    ColumnInfo,
    Relation,
    describe_columns,
    read_relations,
)
from flight_service.graphql.postgres.sql import quoted, quoted_path
from flight_service.graphql.schema.compiled import Field, Query
from flight_service.graphql.schema.graphql_schema import Schema
from flight_service.graphql.schema.scalars import kind_of
from flight_service.graphql.sources.ctid_ranges import Placed, placed
from flight_service.graphql.sources.values import JSON, Built, Column, Document, Value, document
from flight_service.graphql.sources.view_expansion import (
    Definition,
    NotTheSame,
    Part,
    Parts,
    expand,
    tables_of,
)

PREFIX = re.compile(r"(?:v|tv)_(?=.)")
HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
DEFAULT_COLUMN = "data"


def snake(name: str) -> str:
    """A field's name as columns are named: `customerKey` is `customer_key`."""
    return HUMP.sub("_", name).lower()


@dataclass(frozen=True, slots=True)
class Source:
    """A relation, or a view's expanded definition, that holds rows of a type."""

    name: str
    how: str
    sql: str
    """What stands in FROM."""
    members: Mapping[str, ColumnInfo | Part | Parts]
    """Columns by field."""
    columns: Mapping[str, ColumnInfo]
    """All columns, by their own names."""
    document: str | None
    """The column of the document, where it may be read."""
    builds: bool
    """Whether the document is built when it is read."""
    parts_columns: Mapping[str, ColumnInfo] = field(default_factory=dict)
    """The columns that `members` name as parts."""
    complete: bool = False
    placed: Placed | None = None
    """The same rows with their places, where those can be told."""

    def value(self, alias: str) -> Built:
        """The rows' fields, read from the relation under a name."""
        whole = None
        if self.document is not None:
            whole = document(f"{alias}.{quoted(self.document)}", computed=self.builds)
        return Built(
            {key: self._value(alias, one) for key, one in self.members.items()},
            whole,
            self.name,
            self.complete,
        )

    def beside(self, alias: str, name: str) -> Column | Document | None:
        """A value that is no field: a column of that name, or the document's own member."""
        info = self.columns.get(name)
        if info is not None:
            return Column(f"{alias}.{quoted(name)}", info.type, info.is_enum)
        if self.document is None:
            return None
        whole = document(f"{alias}.{quoted(self.document)}", computed=self.builds)
        return whole.member(name)

    def _value(self, alias: str, one: ColumnInfo | Part | Parts) -> Value:
        match one:
            case ColumnInfo(name, kind, is_enum):
                return Column(f"{alias}.{quoted(name)}", kind, is_enum)
            case Part(name, stored):
                kind = self.parts_columns[name].type
                return Column(f"{alias}.{quoted(name)}", kind, computed=not stored)
            case Parts(members, present):
                return Built(
                    {key: self._value(alias, part) for key, part in members.items()},
                    name=self.name,
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


def relation_of(schema: Schema, query: Query) -> str:
    """The relation that holds a query's documents."""
    own = schema.types.get(query.return_type.name)
    return query.sql_source or (own and own.sql_source) or ""


def learn(schema: Schema, ask: Ask) -> Sources:
    """Asks the database about every relation of the schema.

    Raises:
        DatabaseFailed: it cannot be asked.
    """
    return _Learner(schema, ask).learn()


class _Learner:
    def __init__(self, schema: Schema, ask: Ask) -> None:
        self._schema = schema
        self._ask = ask
        self._relations: dict[str, Relation] = {}
        self._facts: dict[tuple[str, str, str], list[ColumnInfo]] = {}

    def learn(self) -> Sources:
        names = {relation_of(self._schema, query) for query in self._schema.queries.values()}
        names |= {one.sql_source for one in self._schema.types.values() if one.sql_source}
        self._read({*names, *(flat for name in names for flat in _flat_names(name))})
        self._read_definitions()
        made: dict[tuple[str, str, str], tuple[tuple[Source, ...], tuple[str, ...]]] = {}
        by_query, notes = {}, {}
        for query in self._schema.queries.values():
            own = self._schema.types.get(query.return_type.name)
            column = query.jsonb_column or (own and own.jsonb_column) or DEFAULT_COLUMN
            key = (relation_of(self._schema, query), column, query.return_type.name)
            if key not in made:
                made[key] = self._sources(*key)
            by_query[query.name], notes[query.name] = made[key]
        for one in self._schema.types.values():
            key = (one.sql_source or "", one.jsonb_column or DEFAULT_COLUMN, one.name)
            if one.sql_source and key not in made:
                made[key] = self._sources(*key)
        types = {
            (type_name, one): kind
            for (type_name, one, scalar), infos in self._facts.items()
            if (kind := _arrow_type(scalar, infos))
        }
        missing = frozenset(
            one.name
            for one in self._schema.queries.values()
            if relation_of(self._schema, one) not in self._relations
        )
        return Sources(by_query, notes, types, missing)

    def _read(self, names: Iterable[str]) -> None:
        unknown = set(names) - self._relations.keys()
        if unknown:
            self._relations |= read_relations(self._ask, unknown)

    def _read_definitions(self) -> None:
        """Views, and the views and tables in them, until there is none that is not known."""
        seen: set[str] = set()
        while views := [
            one for one in self._relations.values() if one.definition and one.name not in seen
        ]:
            seen |= {one.name for one in views}
            self._read({name for one in views for name in tables_of(one.definition or "")})
        self._definitions = {
            one.name: Definition(one.definition, self._is_trusted(one))
            for one in self._relations.values()
            if one.definition
        }

    def _is_trusted(self, view: Relation) -> bool:
        tables = tables_of(view.definition or "")
        return not view.barrier and all(
            name in self._relations and self._relations[name].is_open for name in tables
        )

    def _sources(
        self, relation: str, column: str, type_name: str
    ) -> tuple[tuple[Source, ...], tuple[str, ...]]:
        found: list[Source] = []
        notes: list[str] = []
        for name in _flat_names(relation):
            if name in self._relations:
                found.append(self._flat(self._relations[name], type_name))
            else:
                notes.append(f"there is no {name}")
        base = self._relations.get(relation)
        if base is None:
            flat = tuple(self._with_places(one) for one in found)
            return flat, (*notes, f"there is no {relation}")
        has_document = column in base.columns and base.columns[column].type in JSON
        if has_document and base.definition and not self._schema.is_abstract(type_name):
            try:
                found.append(self._expressions(base, column, type_name))
            except (NotTheSame, DatabaseFailed) as why:
                notes.append(str(why))
        found.append(self._documents(base, column if has_document else None, type_name))
        return tuple(self._with_places(one) for one in found), tuple(notes)

    def _flat(self, relation: Relation, type_name: str) -> Source:
        return Source(
            relation.name,
            "the flat relation",
            quoted_path(relation.name),
            self._columns_of(relation, type_name),
            relation.columns,
            document=None,
            builds=False,
        )

    def _documents(self, relation: Relation, column: str | None, type_name: str) -> Source:
        # Of an interface or union the document alone says which member a row is.
        abstract = self._schema.is_abstract(type_name)
        return Source(
            relation.name,
            "documents, and the typed columns beside them" if column else "typed columns",
            quoted_path(relation.name),
            {} if abstract else self._columns_of(relation, type_name),
            relation.columns,
            document=column,
            builds=relation.definition is not None,
        )

    def _expressions(self, view: Relation, column: str, type_name: str) -> Source:
        expansion = expand(view.name, column, self._definitions)
        described = describe_columns(self._ask, expansion.select)
        self._note_parts(type_name, expansion.parts, described)
        return Source(
            view.name,
            f"the expressions under its {column}",
            f"({expansion.select})",
            expansion.parts.members,
            view.columns,
            document=column,
            builds=True,
            parts_columns=described,
            complete=True,
        )

    def _with_places(self, source: Source) -> Source:
        view = self._definitions.get(source.name)
        if source.parts_columns:
            select = source.sql[1:-1]
        elif view is None:
            select = f"SELECT * FROM {source.sql}"
        elif view.trusted:
            select = view.sql
        else:
            return source
        tables = {one.name for one in self._relations.values() if one.is_stored}
        try:
            found = placed(select, self._definitions, tables)
            # PostgreSQL knows aggregates that no parser does.
            describe_columns(self._ask, found.select)
        except (NotTheSame, DatabaseFailed):
            return source
        return replace(source, placed=found)

    def _columns_of(self, relation: Relation, type_name: str) -> dict[str, ColumnInfo]:
        found: dict[str, ColumnInfo] = {}
        for one in self._schema.fields(type_name).values():
            info = relation.columns.get(one.name) or relation.columns.get(snake(one.name))
            if info is not None and self._holds(one, info):
                found[one.name] = info
                self._note(type_name, one, info)
        return found

    def _holds(self, one: Field, info: ColumnInfo) -> bool:
        """Whether a column of a field's name can be the field."""
        base = one.field_type.base
        is_object = base in self._schema.types or self._schema.is_abstract(base)
        if is_object or kind_of(base).name == "Json":
            return info.type in JSON
        if one.field_type.of is not None:
            return info.type in JSON or info.type.startswith("_")
        return not info.type.startswith("_")

    def _note(self, type_name: str, one: Field, info: ColumnInfo) -> None:
        scalar = kind_of(one.field_type.base).name
        self._facts.setdefault((type_name, one.name, scalar), []).append(info)

    def _note_parts(
        self, type_name: str, parts: Parts, described: Mapping[str, ColumnInfo]
    ) -> None:
        fields = self._schema.fields(type_name)
        for key, part in parts.members.items():
            if (one := fields.get(key)) is None:
                continue
            if isinstance(part, Part):
                self._note(type_name, one, described[part.column])
            elif one.field_type.base in self._schema.types:
                self._note_parts(one.field_type.base, part, described)


def _flat_names(relation: str) -> tuple[str, ...]:
    """The flat relations of a document's: those for Arrow under the same name."""
    schema, dot, name = relation.rpartition(".")
    if not PREFIX.match(name):
        return ()
    stem = PREFIX.sub("", name, count=1)
    return tuple(f"{schema}{dot}{prefix}_{stem}" for prefix in ("ta", "va"))


def _arrow_type(scalar: str, infos: list[ColumnInfo]) -> pa.DataType | None:
    """The type that holds the values of all these columns; None where the schema's own does."""
    if scalar == "Int" and any(info.type in ("int8", "_int8") for info in infos):
        return pa.int64()
    sizes = [info.decimal for info in infos]
    if scalar != "Decimal" or not all(sizes):
        return None
    whole = max(size[0] - size[1] for size in sizes if size)
    scale = max(size[1] for size in sizes if size)
    return pa.decimal128(whole + scale, scale) if whole + scale <= 38 else None
