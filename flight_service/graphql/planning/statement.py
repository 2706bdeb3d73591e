"""One statement over one source, while its conditions and columns are collected."""

from collections.abc import Mapping, Sequence
from typing import Any

from flight_service.authentication import Principal
from flight_service.graphql.arrow.shapes import Struct
from flight_service.graphql.errors import NotAuthorised, QueryRefused
from flight_service.graphql.planning.access import Access
from flight_service.graphql.planning.conditions import Condition, Conditions
from flight_service.graphql.planning.keyset import Key, beyond, cursor_of, ordered, values_of
from flight_service.graphql.planning.plan import Head, Page, RootPlan
from flight_service.graphql.planning.relay_projection import RelayProjector
from flight_service.graphql.postgres.sql import Parameters, quoted
from flight_service.graphql.schema.compiled import Injected
from flight_service.graphql.schema.graphql_schema import Schema
from flight_service.graphql.schema.operators import COMBINATORS
from flight_service.graphql.sources.ctid_ranges import Pages
from flight_service.graphql.sources.source import Source, Sources
from flight_service.graphql.sources.values import Column, NotCovered, member, text_of


class Statement:
    """Collects the parts of one statement over one source."""

    def __init__(
        self,
        schema: Schema,
        sources: Sources,
        source: Source,
        principal: Principal,
        access: Access,
        pages: Pages | None = None,
    ) -> None:
        self.source = source
        self.projector = RelayProjector(schema, sources.arrow_types, access)
        self.limit: int | None = None
        self.offset = 0
        self._schema = schema
        self._principal = principal
        self._parameters = Parameters()
        self._conditions = Conditions(schema, self._parameters, access)
        self._where: list[Condition] = []
        self._order: list[str] = []
        self._order_on_document = False
        self._value = source.value("s")
        self._relation = source.sql
        if pages is not None:
            if source.placed is None:
                raise NotCovered("the places of its rows cannot be told")
            self._relation = f"({source.placed.select})"
            self._where.append(Condition(pages.holds("s"), on_document=False))

    def where(self, type_name: str, given: Mapping[str, Any]) -> None:
        self._where += self._conditions.where(type_name, self._value, given)

    def equal(self, type_name: str, name: str, given: Any) -> None:
        """The condition of an argument: that the field of its name equals it."""
        if isinstance(given, Mapping) and _is_where(self._schema, type_name, name, given):
            self.where(type_name, given)
            return
        field = self._field(type_name, name)
        if field is None and not isinstance(given, Mapping | list):
            # FraiseQL compares such an argument with whatever the documents hold under its name.
            self._where.append(self._beside(name, given))
            return
        self._where.append(self._conditions.equal(type_name, self._value, field or name, given))

    def _beside(self, name: str, given: Any) -> Condition:
        value = self.source.beside("s", name)
        if value is None:
            raise NotCovered(f"it has no column for {name}")
        if given is None:
            return Condition("FALSE", on_document=False)
        text = str(given).lower() if isinstance(given, bool) else str(given)
        sql_type = value.type if isinstance(value, Column) else "text"
        return self._conditions.equal_text(value, text, sql_type)

    def inject(self, type_name: str, name: str, injected: Injected) -> None:
        """The condition that a claim of the principal sets."""
        if injected.source != "jwt":
            raise QueryRefused(
                f"{name} comes from what FraiseQL looks up of a principal. Only a FraiseQL server "
                "can answer this query."
            )
        claim = self._principal.claims.get(injected.claim)
        if claim is None or isinstance(claim, list | dict):
            raise NotAuthorised(f"This needs a token with the claim {injected.claim!r}.")
        text = str(claim).lower() if isinstance(claim, bool) else str(claim)
        field = self._field(type_name, name)
        value = member(self._value, field) if field is not None else self.source.beside("s", name)
        if value is None:
            raise NotCovered(f"it has no column for {name}, which a claim decides")
        sql_type = value.type if isinstance(value, Column) else "text"
        self._where.append(self._conditions.equal_text(value, text, sql_type))

    def order(self, type_name: str, written: Any) -> None:
        self._order, self._order_on_document = self._conditions.order(
            type_name, self._value, written
        )

    def page(
        self,
        type_name: str,
        cursor: str,
        after: Any,
        before: Any,
        *,
        backward: bool,
        written: Any = None,
    ) -> str:
        """Orders by what the client says and then the cursor, and begins behind a cursor; returns
        the SQL of a row's own cursor. Where the schema's cursor may be the same in several rows, or
        null, the row's id is the last key: a page ends at a row, not at a value."""
        names = [cursor]
        if not self._schema.is_unique(type_name, cursor):
            names.append("id")
        found = [self._cursor(type_name, name) for name in names]
        keys = [key for key, _, _ in found]
        texts = [shown for _, shown, _ in found]
        on_document = any(reads for _, _, reads in found)
        if written is not None:
            own, reads_document = self._conditions.keys(type_name, self._value, written)
            projected, _ = self._conditions.keys(type_name, self.source.value("d"), written)
            keys = [*own, *keys]
            texts = [*(f"({one.sql})::text" for one in projected), *texts]
            on_document = on_document or reads_document
        for given, name in ((after, "after"), (before, "before")):
            if given is not None:
                values = values_of(given, len(keys), name)
                sql = beyond(keys, values, self._parameters, forward=name == "after")
                self._where.append(Condition(sql, on_document))
        self._order = ordered(keys, backward=backward)
        self._order_on_document = on_document
        return cursor_of(texts)

    def _cursor(self, type_name: str, cursor: str) -> tuple[Key, str, bool]:
        """A key of the rows, its text in the projection, and whether a document that is built is
        read for it.

        Raises:
            NotCovered: the source does not have it.
        """
        field = self._field(type_name, cursor)
        if field is not None:
            sql, kind, on_document = self._conditions.scalar(type_name, self._value, field)
            found = member(self._value, field)
            shown = text_of(member(self.source.value("d"), field))
            sql_type = kind.sql
            if isinstance(found, Column) and found.type == "uuid":
                # Its own order is that of its text, and has an index.
                sql, sql_type = found.sql, found.type
            elif isinstance(found, Column) and sql == found.sql:
                sql_type = found.type
            return Key(sql, quoted(sql_type)), shown, on_document
        beside = self.source.beside("s", cursor)
        if not isinstance(beside, Column):
            raise NotCovered(f"it has no column for the cursor {cursor}")
        shown = f"(d.{beside.sql.removeprefix('s.')})::text"
        return Key(beside.sql, quoted(beside.type)), shown, False

    def total(self) -> str:
        """The statement that counts the rows that have been asked for so far."""
        return f"SELECT count(*) AS c0 FROM ({self._rows_sql()}) AS d"

    def plan(self, head: Head, rows: Struct, page: Page | None = None) -> RootPlan:
        """The plan of a root field whose rows the statement reads."""
        rows_sql = self._rows_sql()
        columns = ",\n    ".join(f"{sql} AS c{n}" for n, sql in enumerate(self.projector.columns))
        laterals = "".join(f"\n{level.sql}" for level in self.projector.levels)
        return RootPlan(
            key=head.key,
            form=head.form,
            sql=f"SELECT\n    {columns}\nFROM ({rows_sql}) AS d{laterals}",
            rows_sql=rows_sql,
            values=self._parameters.values,
            value_types=self._parameters.types,
            rows=rows,
            nullable=head.nullable,
            checks=tuple(self.projector.checks),
            choice=head.choice,
            most_rows=1 if head.form == "count" else self.limit,
            table=self._divisible() if head.form == "list" else None,
            page=page,
        )

    def _divisible(self) -> str | None:
        """The table by whose places the rows can be divided, where all of them in any order are
        wanted."""
        whole = self.limit is None and not self.offset and not self._order
        return self.source.placed.table if whole and self.source.placed else None

    def _rows_sql(self) -> str:
        """The rows. A document that is built is built once: OFFSET keeps PostgreSQL from moving
        the expression to where it is read."""
        relation, conditions = self._relation, self._where
        reads_built = self._order_on_document or any(one.on_document for one in conditions)
        if reads_built:
            before = _and([one.sql for one in conditions if not one.on_document])
            relation = f"(SELECT * FROM {relation} AS s{before} OFFSET 0)"
            conditions = [one for one in conditions if one.on_document]
        sql = f"SELECT s.* FROM {relation} AS s{_and([one.sql for one in conditions])}"
        if self._order:
            sql += f" ORDER BY {', '.join(self._order)}"
        if self.limit is not None:
            sql += f" LIMIT {int(self.limit)}"
        fenced = self.projector.computed_documents and not reads_built and self.limit is None
        if self.offset or fenced:
            sql += f" OFFSET {int(self.offset)}"
        return sql

    def _field(self, type_name: str, name: str) -> str | None:
        """The field of a name, written in either way."""
        fields = self._schema.fields(type_name)
        if name in fields:
            return name
        snake = self._schema.naming.snake
        return next((one for one in fields if snake(one) == snake(name)), None)


def _and(conditions: Sequence[str]) -> str:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _is_where(schema: Schema, type_name: str, name: str, given: Mapping[str, Any]) -> bool:
    """Whether an argument that is no field holds conditions on fields, under whatever name."""
    fields = schema.fields(type_name)
    return name not in fields and all(key in fields or key in COMBINATORS for key in given)
