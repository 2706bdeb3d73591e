"""Where a type's rows can be read from, the fastest first.

1. a flat relation, `ta_` or `va_`, of the document's own name, with a column for each field;
2. the expressions under the view's own document, see `sources.view_expansion`;
3. the document, and the typed columns that stand beside it.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from flight_service.graphql.errors import DatabaseFailed
from flight_service.graphql.postgres.catalogue import (
    Ask,
    ColumnInfo,
    Relation,
    describe_columns,
    read_relations,
)
from flight_service.graphql.postgres.sql import quoted_path
from flight_service.graphql.schema.compiled import Field, Query
from flight_service.graphql.schema.graphql_schema import Schema
from flight_service.graphql.schema.scalars import kind_of
from flight_service.graphql.sources.columns import arrow_type_of
from flight_service.graphql.sources.ctid_ranges import with_ctids
from flight_service.graphql.sources.document_keys import DocumentKeys
from flight_service.graphql.sources.evidence import merged
from flight_service.graphql.sources.keys import NOTHING, Keys, Seen, rule
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
    """The column of a query's documents; empty where the schema says that there is none."""
    if query.jsonb_column is not None:
        return query.jsonb_column
    own = schema.types.get(query.return_type.name)
    return (own and own.jsonb_column) or DEFAULT_COLUMN


def learn(schema: Schema, ask: Ask) -> Sources:
    """Asks the database about every relation of the schema.

    Raises:
        DatabaseFailed: it cannot be asked.
        SchemaUnavailable: the schema needs row security, which is not in force.
    """
    return _Learner(schema, ask).learn()


class _Learner:
    def __init__(self, schema: Schema, ask: Ask) -> None:
        self._schema = schema
        self._ask = ask
        self._relations: dict[str, Relation] = {}
        self._facts: dict[tuple[str, str, str], list[ColumnInfo]] = {}
        self._keys = DocumentKeys(schema, ask, self._relations)

    def learn(self) -> Sources:
        names = {relation_of(self._schema, query) for query in self._schema.queries.values()}
        names |= {one.sql_source for one in self._schema.types.values() if one.sql_source}
        self._read({*names, *(flat for name in names for flat in _flat_names(name))})
        self._read_definitions()
        check_row_security(self._schema, self._relations)
        made: dict[tuple[str, str, str], tuple[tuple[Source, ...], tuple[str, ...]]] = {}
        by_query, notes = {}, {}
        for query in self._schema.queries.values():
            column = column_of(self._schema, query)
            key = (relation_of(self._schema, query), column, query.return_type.name)
            if key not in made:
                made[key] = self._sources(*key)
            by_query[query.name], notes[query.name] = made[key]
            if needs_row_security(self._schema, query):
                by_query[query.name] = tuple(
                    one for one in made[key][0] if is_protected(one.name, self._relations)
                )
        for one in self._schema.types.values():
            key = (one.sql_source or "", one.jsonb_column or DEFAULT_COLUMN, one.name)
            if one.sql_source and key not in made:
                made[key] = self._sources(*key)
        types = {
            (type_name, one): kind
            for (type_name, one, scalar), infos in self._facts.items()
            if (kind := arrow_type_of(scalar, infos))
        }
        missing = frozenset(
            one.name
            for one in self._schema.queries.values()
            if relation_of(self._schema, one) not in self._relations
        )
        unsettled = frozenset(name for name, found in by_query.items() if _is_unsettled(found))
        return Sources(by_query, notes, types, missing, unsettled)

    def _read(self, names: Iterable[str]) -> None:
        unknown = set(names) - self._relations.keys()
        if unknown:
            self._relations.update(read_relations(self._ask, unknown))

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
            self._note_wide(type_name, keys)
        documents = column if has_document else None
        found.append(self._documents(base, documents, type_name, keys))
        return tuple(self._with_ctids(one) for one in found), tuple(notes)

    def _flat(self, relation: Relation, type_name: str, keys: Keys) -> Source:
        return Source(
            relation.name,
            "the flat relation",
            quoted_path(relation.name),
            self._columns_of(relation, type_name),
            relation.columns,
            document=None,
            builds=False,
            keys=keys,
        )

    def _documents(
        self, relation: Relation, column: str | None, type_name: str, keys: Keys
    ) -> Source:
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
            keys=keys,
        )

    def _expressions(self, view: Relation, column: str, type_name: str, keys: Keys) -> Source:
        expansion = expand(view.name, column, self._definitions)
        described = describe_columns(self._ask, expansion.select)
        keys = replace(keys, seen=merged(keys.seen, _seen_members(expansion.document)))
        self._note_members(type_name, expansion.document, described, keys)
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
            # PostgreSQL knows aggregates that no parser does.
            describe_columns(self._ask, found.select)
        except (NotExpandable, DatabaseFailed):
            return source
        return replace(source, with_ctids=found)

    def _columns_of(self, relation: Relation, type_name: str) -> dict[str, ColumnInfo]:
        found: dict[str, ColumnInfo] = {}
        for one in self._schema.fields(type_name).values():
            names = self._schema.naming.columns(one.name)
            info = next((relation.columns[n] for n in names if n in relation.columns), None)
            if info is not None and self._holds(one, info):
                found[one.name] = info
                self._note(type_name, one, info)
        return found

    def _holds(self, one: Field, info: ColumnInfo) -> bool:
        """Whether a column of a field's name can be the field."""
        base = one.field_type.base
        is_object = base in self._schema.types or self._schema.is_abstract(base)
        if is_object or kind_of(base).name == "JSON":
            return info.type in JSON
        if one.field_type.of is not None:
            return info.type in JSON or info.type.startswith("_")
        return not info.type.startswith("_")

    def _note(self, type_name: str, one: Field, info: ColumnInfo) -> None:
        scalar = kind_of(one.field_type.base).name
        self._facts.setdefault((type_name, one.name, scalar), []).append(info)

    def _note_members(
        self, type_name: str, of: ExpandedObject, described: Mapping[str, ColumnInfo], keys: Keys
    ) -> None:
        for name, one in self._schema.fields(type_name).items():
            found = of.members.get(keys.key(name))
            if isinstance(found, ExpandedColumn):
                self._note(type_name, one, described[found.column])
            elif found is not None and one.field_type.base in self._schema.types:
                self._note_members(one.field_type.base, found, described, keys.within(name))

    def _note_wide(self, type_name: str, keys: Keys) -> None:
        """Notes the `Int`s of which some document holds a number beyond 32 bits."""
        for owner in sorted(self._schema.possible(type_name)):
            for name, one in self._schema.fields(owner).items():
                below = keys.within(name)
                if below.seen.wide and kind_of(one.field_type.base).name == "Int":
                    self._note(owner, one, ColumnInfo(name, "int8"))
                elif below.seen.keys:
                    self._note_wide(one.field_type.base, below)


def _has_document(relation: Relation, column: str) -> bool:
    return column in relation.columns and relation.columns[column].type in JSON


def _is_unsettled(sources: tuple[Source, ...]) -> bool:
    """Whether the documents' keys are not known, since there is no document yet."""
    last = sources[-1] if sources else None
    return last is not None and last.document is not None and not last.keys.known


def _seen_members(of: ExpandedColumn | ExpandedObject) -> Seen:
    if isinstance(of, ExpandedColumn):
        return NOTHING
    return Seen({key: _seen_members(one) for key, one in of.members.items()})


def _flat_names(relation: str) -> tuple[str, ...]:
    """The flat relations of a document's: those for Arrow under the same name."""
    schema, dot, name = relation.rpartition(".")
    if not PREFIX.match(name):
        return ()
    stem = PREFIX.sub("", name, count=1)
    return tuple(f"{schema}{dot}{prefix}_{stem}" for prefix in ("ta", "va"))
