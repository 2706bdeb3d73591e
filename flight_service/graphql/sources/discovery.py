"""Finds the sources that a type's rows can be read from, the fastest first.

1. a flat relation, `ta_` or `va_`, of the same name, with a column for each field;
2. the expressions under the view's document, see `sources.view_expansion`;
3. the document, and the typed columns beside it.
"""

import re
from collections.abc import Iterable
from dataclasses import replace

from flight_service.graphql.errors import DatabaseFailed
from flight_service.graphql.postgres.catalogue import (
    Ask,
    Relation,
    describe_columns,
    read_relations,
)
from flight_service.graphql.postgres.sql import quoted_path
from flight_service.graphql.schema.compiled import Query
from flight_service.graphql.schema.graphql_schema import Schema
from flight_service.graphql.sources.columns import FieldColumns
from flight_service.graphql.sources.ctid_ranges import with_ctids
from flight_service.graphql.sources.document_keys import DocumentKeys
from flight_service.graphql.sources.evidence import merged
from flight_service.graphql.sources.keys import NOTHING, FieldKeys, Seen, rule
from flight_service.graphql.sources.row_security import (
    check_row_security,
    is_protected,
    needs_row_security,
)
from flight_service.graphql.sources.source import Source, Sources, relation_of
from flight_service.graphql.sources.values import JSON
from flight_service.graphql.sources.view_expansion import (
    Definition,
    ExpandedColumn,
    ExpandedObject,
    NotExpandable,
    expand,
    tables_of,
)

PREFIX = re.compile(r"(?:v|tv)_(?=.)")
DEFAULT_COLUMN = "data"


def column_of(schema: Schema, query: Query) -> str:
    """The column of a query's documents; empty if the schema says that there is none."""
    if query.jsonb_column is not None:
        return query.jsonb_column
    own = schema.types.get(query.return_type.name)
    return (own and own.jsonb_column) or DEFAULT_COLUMN


def discover(schema: Schema, ask: Ask) -> Sources:
    """Finds the sources of every query of the schema in the database's catalogue.

    Raises:
        DatabaseFailed: the catalogue cannot be read.
        SchemaUnavailable: the schema needs row security, which is not enabled.
    """
    return _Discovery(schema, ask).sources()


class _Discovery:
    def __init__(self, schema: Schema, ask: Ask) -> None:
        self._schema = schema
        self._ask = ask
        self._relations: dict[str, Relation] = {}
        self._columns = FieldColumns(schema)
        self._keys = DocumentKeys(schema, ask, self._relations)

    def sources(self) -> Sources:
        names = {relation_of(self._schema, query) for query in self._schema.queries.values()}
        names |= {one.sql_source for one in self._schema.types.values() if one.sql_source}
        self._read({*names, *(flat for name in names for flat in _flat_names(name))})
        self._read_definitions()
        check_row_security(self._schema, self._relations)
        known: dict[tuple[str, str, str], tuple[tuple[Source, ...], tuple[str, ...]]] = {}
        by_query, notes = {}, {}
        for query in self._schema.queries.values():
            column = column_of(self._schema, query)
            key = (relation_of(self._schema, query), column, query.return_type.name)
            if key not in known:
                known[key] = self._sources(*key)
            by_query[query.name], notes[query.name] = known[key]
            if needs_row_security(self._schema, query):
                by_query[query.name] = tuple(
                    one for one in known[key][0] if is_protected(one.name, self._relations)
                )
        for one in self._schema.types.values():
            key = (one.sql_source or "", one.jsonb_column or DEFAULT_COLUMN, one.name)
            if one.sql_source and key not in known:
                known[key] = self._sources(*key)
        missing = frozenset(
            one.name
            for one in self._schema.queries.values()
            if relation_of(self._schema, one) not in self._relations
        )
        without_documents = frozenset(
            name for name, found in by_query.items() if _lacks_documents(found)
        )
        return Sources(by_query, notes, self._columns.arrow_types, missing, without_documents)

    def _read(self, names: Iterable[str]) -> None:
        unknown = set(names) - self._relations.keys()
        if unknown:
            self._relations.update(read_relations(self._ask, unknown))

    def _read_definitions(self) -> None:
        """Reads the views and tables that known views read, until all are known."""
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
        base = self._relations.get(relation)
        has_document = base is not None and _has_document(base, column)
        keys = self._keys.of(base, column) if base and has_document else rule()
        for name in _flat_names(relation):
            if name in self._relations:
                found.append(self._flat(self._relations[name], type_name, keys))
            else:
                notes.append(f"there is no {name}")
        if base is None:
            flat = tuple(self._with_ctids(one) for one in found)
            return flat, (*notes, f"there is no {relation}")
        if has_document and base.definition and not self._schema.is_abstract(type_name):
            try:
                found.append(self._expressions(base, column, type_name, keys))
            except (NotExpandable, DatabaseFailed) as why:
                notes.append(str(why))
        if has_document:
            self._columns.add_wide_numbers(type_name, keys)
        documents = column if has_document else None
        found.append(self._documents(base, documents, type_name, keys))
        return tuple(self._with_ctids(one) for one in found), tuple(notes)

    def _flat(self, relation: Relation, type_name: str, keys: FieldKeys) -> Source:
        return Source(
            relation.name,
            "the flat relation",
            quoted_path(relation.name),
            self._columns.of_relation(relation, type_name),
            relation.columns,
            document=None,
            builds=False,
            keys=keys,
        )

    def _documents(
        self, relation: Relation, column: str | None, type_name: str, keys: FieldKeys
    ) -> Source:
        # Only the document says which member of an interface or union a row is.
        abstract = self._schema.is_abstract(type_name)
        return Source(
            relation.name,
            "documents, and the typed columns beside them" if column else "typed columns",
            quoted_path(relation.name),
            {} if abstract else self._columns.of_relation(relation, type_name),
            relation.columns,
            document=column,
            builds=relation.definition is not None,
            keys=keys,
        )

    def _expressions(self, view: Relation, column: str, type_name: str, keys: FieldKeys) -> Source:
        expansion = expand(view.name, column, self._definitions)
        described = describe_columns(self._ask, expansion.select)
        keys = replace(keys, seen=merged(keys.seen, _seen_members(expansion.document)))
        self._columns.add_expanded(type_name, expansion.document, described, keys)
        return Source(
            view.name,
            f"the expressions under its {column}",
            f"({expansion.select})",
            expansion.document.members,
            view.columns,
            document=column,
            builds=True,
            expanded_columns=described,
            complete=True,
            keys=keys,
        )

    def _with_ctids(self, source: Source) -> Source:
        view = self._definitions.get(source.name)
        if source.expanded_columns:
            select = source.sql[1:-1]
        elif view is None:
            select = f"SELECT * FROM {source.sql}"
        elif view.trusted:
            select = view.sql
        else:
            return source
        tables = {one.name for one in self._relations.values() if one.is_stored}
        try:
            found = with_ctids(select, self._definitions, tables)
            # PostgreSQL may have aggregates that the parser does not know.
            describe_columns(self._ask, found.select)
        except (NotExpandable, DatabaseFailed):
            return source
        return replace(source, with_ctids=found)


def _has_document(relation: Relation, column: str) -> bool:
    return column in relation.columns and relation.columns[column].type in JSON


def _lacks_documents(sources: tuple[Source, ...]) -> bool:
    """Whether the keys of the documents are not known, since there is no document yet."""
    last = sources[-1] if sources else None
    return last is not None and last.document is not None and not last.keys.known


def _seen_members(of: ExpandedColumn | ExpandedObject) -> Seen:
    if isinstance(of, ExpandedColumn):
        return NOTHING
    return Seen({key: _seen_members(one) for key, one in of.members.items()})


def _flat_names(relation: str) -> tuple[str, ...]:
    """The names of the flat relations that may stand beside a relation of documents."""
    schema, dot, name = relation.rpartition(".")
    if not PREFIX.match(name):
        return ()
    stem = PREFIX.sub("", name, count=1)
    return tuple(f"{schema}{dot}{prefix}_{stem}" for prefix in ("ta", "va"))
