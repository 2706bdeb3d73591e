"""One statement over one source, while its conditions and columns are collected."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from flight_service.authentication import Principal
from flight_service.graphql.arrow.shapes import Struct
from flight_service.graphql.errors import NotAuthorised, QueryRefused
from flight_service.graphql.planning.access import Access
from flight_service.graphql.planning.conditions import Condition, Conditions
from flight_service.graphql.planning.plan import Head, Page, RootPlan
from flight_service.graphql.planning.projection import Projector
from flight_service.graphql.postgres.sql import Parameters, quoted
from flight_service.graphql.schema.compiled import Injected
from flight_service.graphql.schema.graphql_schema import Schema
from flight_service.graphql.schema.operators import COMBINATORS
from flight_service.graphql.sources.ctid_ranges import Pages
from flight_service.graphql.sources.source import Source, Sources
from flight_service.graphql.sources.values import Column, NotCovered, member, text_of


@dataclass(frozen=True, slots=True)
class _Key:
    """What rows are ordered by: its SQL, its type there, and the text of a row's own."""

    sql: str
    sql_type: str
    shown: str
    on_document: bool


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
        self.projector = Projector(schema, sources.arrow_types, access)
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

    def page(self, type_name: str, cursor: str, after: Any, before: Any, *, backward: bool) -> str:
        """Orders by the cursor and begins behind it; returns the SQL of a row's own cursor.

        Where the cursor's column may hold a value twice, or null, the row's `id` is a part of the
        cursor: a page then ends and begins at a row, not at a value. Nulls come last.
        """
        own = self._key(type_name, cursor)
        tie = None if self._schema.is_unique(type_name, cursor) else self._key(type_name, "id")
        for given, name in ((after, "after"), (before, "before")):
            if given is not None:
                sql = self._beyond(own, tie, _cursor_texts(given, name, tie is not None), name)
                on_document = own.on_document or (tie is not None and tie.on_document)
                self._where.append(Condition(sql, on_document))
        direction = "DESC" if backward else "ASC"
        keys = [own] if tie is None else [own, tie]
        self._order = [f"{key.sql} {direction}" for key in keys]
        self._order_on_document = any(key.on_document for key in keys)
        shown = own.shown
        if tie is not None:
            shown = f"jsonb_build_array({own.shown}, {tie.shown})::text"
        return f"translate(encode(convert_to({shown}, 'UTF8'), 'base64'), chr(10), '')"

    def _key(self, type_name: str, name: str) -> "_Key":
        """A field or column that rows are ordered by.

        Raises:
            NotCovered: the source does not have it.
        """
        field = self._field(type_name, name)
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
            return _Key(sql, sql_type, shown, on_document)
        beside = self.source.beside("s", name)
        if not isinstance(beside, Column):
            raise NotCovered(f"it has no column for the cursor {name}")
        shown = f"(d.{beside.sql.removeprefix('s.')})::text"
        return _Key(beside.sql, beside.type, shown, on_document=False)

    def _beyond(
        self, own: "_Key", tie: "_Key | None", given: tuple[str | None, str], side: str
    ) -> str:
        """The condition of the rows after a cursor, or before it."""
        sign = ">" if side == "after" else "<"
        value, tie_value = given
        if tie is None:
            return f"{own.sql} {sign} {self._parameters.bind(value or '', quoted(own.sql_type))}"
        same = f"{tie.sql} {sign} {self._parameters.bind(tie_value, quoted(tie.sql_type))}"
        if value is None:
            beside = f"({own.sql} IS NULL AND {same})"
            return beside if side == "after" else f"({own.sql} IS NOT NULL OR {beside})"
        bound = self._parameters.bind(value, quoted(own.sql_type))
        last = f" OR {own.sql} IS NULL" if side == "after" else ""
        return f"({own.sql} {sign} {bound} OR ({own.sql} = {bound} AND {same}){last})"

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


def _cursor_texts(given: str, name: str, is_pair: bool) -> tuple[str | None, str]:
    """The texts in a cursor: of its column, and of the row's id where that is a part of it."""
    try:
        text = base64.b64decode(given, validate=True).decode()
        if not is_pair:
            return text, ""
        return msgspec.json.decode(text, type=tuple[str | None, str])
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise QueryRefused(f"{name} is {given[:80]!r}, which is no cursor of this query.") from None
