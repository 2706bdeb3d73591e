"""Writes the SQL statement of a root field over one source."""

from collections.abc import Sequence

from flight_service.graphql.arrow.columns import ObjectColumns, ScalarColumn
from flight_service.graphql.planning.access import Access
from flight_service.graphql.planning.filter_and_order_sql import Condition, Conditions
from flight_service.graphql.planning.filters import OrderKey
from flight_service.graphql.planning.keyset import SortKey, beyond, cursor_of, ordered, values_of
from flight_service.graphql.planning.plan import Choice, RootStatement
from flight_service.graphql.planning.relay_page import Page
from flight_service.graphql.planning.relay_projection import RelayProjector
from flight_service.graphql.planning.root_query import PageRequest, RootQuery, RootTypes
from flight_service.graphql.postgres.sql import Parameters, quoted
from flight_service.graphql.schema.graphql_schema import Schema
from flight_service.graphql.sources.ctid_ranges import CtidRange
from flight_service.graphql.sources.source import Source
from flight_service.graphql.sources.values import Column, NotCovered, member, text_of


class StatementWriter:
    """Writes the statement of a root field over one source.

    Raises:
        NotCovered: the source lacks a value that the statement needs.
    """

    def __init__(
        self,
        schema: Schema,
        access: Access,
        root: RootQuery,
        types: RootTypes,
        source: Source,
        ctids: CtidRange | None = None,
    ) -> None:
        self._root = root
        self._types = types
        self._source = source
        self._projector = RelayProjector(schema, access)
        self._parameters = Parameters()
        self._conditions = Conditions(source, "s", self._parameters)
        self._where: list[Condition] = []
        self._order: list[str] = []
        self._order_on_document = False
        self._limit = root.limit
        self._relation = source.sql
        if ctids is not None:
            if source.with_ctids is None:
                raise NotCovered("the ctids of its rows are not known")
            self._relation = f"({source.with_ctids.select})"
            self._where.append(Condition(ctids.condition("s"), on_document=False))

    def statement(self, choice: Choice) -> RootStatement:
        """The statement."""
        root = self._root
        self._where += [self._conditions.condition(one) for one in root.filters]
        keys, self._order_on_document = self._conditions.keys(root.order)
        self._order = ordered(keys, backward=False)
        value = self._source.value("d")
        page = None
        if root.page is not None:
            page, columns = self._page(root.page)
        elif root.form == "count":
            columns = ObjectColumns((ScalarColumn(self._projector.emit_row("count(*)")),))
        elif root.node is not None:
            columns = self._projector.node(root.selected, root.type_name, self._types.rows, value)
        else:
            columns = self._projector.rows(root.selected, root.type_name, self._types.rows, value)
        if root.form == "single":
            self._limit = 1
        return self._written(choice, columns, page)

    def _page(self, request: PageRequest) -> tuple[Page, ObjectColumns]:
        """Orders by what the client says and then by the cursor, and begins after a cursor."""
        total = None
        if request.is_counted:
            total = f"SELECT count(*) AS c0 FROM ({self._rows_sql()}) AS d"
        cursor = self._begin(request)
        self._limit = None if request.size is None else request.size + 1
        value = self._source.value("d")
        columns = tuple(
            self._projector.edge(selected, self._root.type_name, field.type, value, cursor)
            for selected, field in zip(
                (one for one in self._root.selected if one.name == "edges"),
                self._types.rows.fields,
                strict=True,
            )
        )
        page = Page(
            request.size,
            request.backward,
            request.after_cursor,
            self._projector.emit_row(cursor),
            self._types.page,
            total,
        )
        return page, ObjectColumns(columns)

    def _begin(self, request: PageRequest) -> str:
        """Sets the order and the condition of a page; returns the SQL of a row's own cursor."""
        found = [self._cursor(one) for one in request.cursors]
        keys = [key for key, _, _ in found]
        texts = [text for _, text, _ in found]
        on_document = any(reads for _, _, reads in found)
        if request.order is not None:
            own, reads_document = self._conditions.keys(request.order)
            projected, _ = Conditions(self._source, "d", self._parameters).keys(request.order)
            keys = [*own, *keys]
            texts = [*(f"({one.sql})::text" for one in projected), *texts]
            on_document = on_document or reads_document
        for given, name in ((request.after, "after"), (request.before, "before")):
            if given is not None:
                values = values_of(given, len(keys), name)
                sql = beyond(keys, values, self._parameters, forward=name == "after")
                self._where.append(Condition(sql, on_document))
        self._order = ordered(keys, backward=request.backward)
        self._order_on_document = on_document
        return cursor_of(texts)

    def _cursor(self, cursor: OrderKey | str) -> tuple[SortKey, str, bool]:
        """A key of the rows, its text in the projection, and whether a document that is built is
        read for it."""
        if isinstance(cursor, str):
            beside = self._source.beside("s", cursor)
            if not isinstance(beside, Column):
                raise NotCovered(f"it has no column for the cursor {cursor}")
            text = f"(d.{beside.sql.removeprefix('s.')})::text"
            return SortKey(beside.sql, quoted(beside.type)), text, False
        [field] = cursor.field
        [key], on_document = self._conditions.keys([cursor])
        found = member(self._source.value("s"), field)
        text = text_of(member(self._source.value("d"), field))
        sql, sql_type = key.sql, cursor.kind.sql
        if isinstance(found, Column) and found.type == "uuid":
            # Its own order is that of its text, and has an index.
            sql, sql_type = found.sql, found.type
        elif isinstance(found, Column) and sql == found.sql:
            sql_type = found.type
        return SortKey(sql, quoted(sql_type)), text, on_document

    def _written(self, choice: Choice, columns: ObjectColumns, page: Page | None) -> RootStatement:
        rows_sql = self._rows_sql()
        columns_sql = ",\n    ".join(
            f"{sql} AS c{n}" for n, sql in enumerate(self._projector.columns)
        )
        laterals = "".join(f"\n{level.sql}" for level in self._projector.levels)
        form = self._root.form
        return RootStatement(
            result=self._types.result,
            sql=f"SELECT\n    {columns_sql}\nFROM ({rows_sql}) AS d{laterals}",
            rows_sql=rows_sql,
            values=self._parameters.values,
            value_types=self._parameters.types,
            rows=self._types.rows,
            columns=columns,
            checks=tuple(self._projector.checks),
            choice=choice,
            most_rows=1 if form == "count" else self._limit,
            table=self._divisible() if form == "list" else None,
            page=page,
        )

    def _divisible(self) -> str | None:
        """The table by whose ctid ranges the rows can be divided: all of them are selected, in any
        order."""
        whole = self._limit is None and not self._root.offset and not self._order
        return self._source.with_ctids.table if whole and self._source.with_ctids else None

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
        if self._limit is not None:
            sql += f" LIMIT {int(self._limit)}"
        is_fenced = self._projector.computed_documents and not reads_built and self._limit is None
        if self._root.offset or is_fenced:
            sql += f" OFFSET {int(self._root.offset)}"
        return sql


def _and(conditions: Sequence[str]) -> str:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""
