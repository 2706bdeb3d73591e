"""`OptimizedView` tickets: the rows of one of PostgreSQL's relations, filtered and ordered.

A relation belongs to a type of the compiled schema, or is a flat relation beside it. Its rows and
columns are those of a GraphQL query. Further relations are named by a setting.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Annotated

import msgspec
import pyarrow as pa

from flight_service.access import SQL, check_scope
from flight_service.authentication import Principal
from flight_service.errors import Forbidden, UnknownName
from flight_service.flights import Flight, Resolver, no_extent
from flight_service.graphql.errors import BadDocument
from flight_service.graphql.transport.flight import GraphQLQuery
from flight_service.graphql.transport.shorthand import PREFIX
from flight_service.sql.catalogue import Catalogue, Execution, Relation
from flight_service.sql.planning import Defaults, qualified
from flight_service.sql.selection import Selection, select
from flight_service.tickets import Ticket, shown
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.iterators import close_iterator

MOST = 2**63 - 1
SHOWN = 20

Count = Annotated[int, msgspec.Meta(ge=0, le=MOST)]


class OptimizedView(Ticket, frozen=True):
    """The rows of a view that match `filter`, in the order of `order_by`."""

    view: str
    filter: str | None = None
    order_by: str | None = None
    limit: Count | None = None
    offset: Count | None = None


class ViewFlights:
    """The flights of `OptimizedView` tickets."""

    def __init__(
        self, catalogue: Catalogue | None, graphql: Resolver, *, raw_sql: bool, is_guarded: bool
    ) -> None:
        """`graphql` resolves queries of whole relations. With `raw_sql`, tickets may have a
        filter. With `is_guarded`, principals are identified by tokens."""
        self._catalogue = catalogue
        self._graphql = graphql
        self._raw_sql = raw_sql
        self._is_guarded = is_guarded

    def resolve(self, ticket: OptimizedView, principal: Principal) -> Flight:
        """The flight of a ticket; see `flight_service.flights.Resolver`. The schema of selected
        columns is requested from PostgreSQL."""
        relation = self.relation(ticket.view, principal)
        if relation is None:
            raise UnknownName(self._unknown(ticket.view, principal))
        selection = Selection(ticket.filter, ticket.order_by, ticket.limit, ticket.offset or None)
        return self.selected(relation, selection, ticket.columns, principal)

    def relation(self, name: str, principal: Principal) -> Relation | None:
        """The relation of this name that the principal may read."""
        if self._catalogue is None:
            return None
        relations = self._catalogue.relations(principal)
        known = qualified(relations, self._catalogue.name, Defaults())
        schema, _, bare = name.rpartition(".")
        if (found := known.get(("", schema, bare))) is not None:
            return found
        stem = PREFIX.sub("", bare, count=1)
        for one in relations:
            same = PREFIX.sub("", one.name, count=1) == stem and one.document is not None
            if same and bare != stem and schema in ("", one.schema_name):
                return one
        return None

    def selected(
        self,
        relation: Relation,
        selection: Selection,
        columns: tuple[str, ...] | None,
        principal: Principal,
    ) -> Flight:
        """The flight of the selected rows of a relation.

        Raises:
            Forbidden: the principal may not filter, or not read relations without a type.
            InvalidRequest: the filter or order is refused.
        """
        assert self._catalogue is not None, "the relation is of a catalogue"
        if selection.filter is not None:
            check_raw_sql(self._raw_sql, "A filter")
        if selection.filter is not None or relation.document is None:
            check_scope(principal, SQL, "This ticket", is_guarded=self._is_guarded)
        names = relation.columns.names
        wanted = list(columns) if columns and set(columns) <= set(names) else names
        if relation.document is None:
            own = relation.columns
            return executed(self._catalogue, relation, selection, wanted, principal, own)
        query = GraphQLQuery(query=relation.document.text(wanted))
        whole = self._graphql(query, principal)
        if selection == Selection():
            return whole
        return executed(self._catalogue, relation, selection, wanted, principal, whole.schema)

    def _unknown(self, name: str, principal: Principal) -> str:
        if self._catalogue is None:
            return (
                f"There is no view {shown(name)}: views are read from FRAISEQL_DATABASE_URL with "
                "the compiled schema of FRAISEQL_SCHEMA."
            )
        names = sorted(one.name for one in self._catalogue.relations(principal))
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        there = f"{', '.join(names[:SHOWN]) or 'none that you may read'}{more}"
        return f"There is no view {shown(name)}. There are: {there}."


def executed(
    catalogue: Catalogue,
    relation: Relation,
    selection: Selection,
    columns: Sequence[str],
    principal: Principal,
    announced: pa.Schema,
) -> Flight:
    """The flight of a SELECT over a relation. Its columns are fields of `announced` if the engine
    has the same types."""
    statement, binding = select(catalogue, relation, selection, columns)
    execution = catalogue.execution(statement, binding, principal)
    fields = [
        announced.field(one.name) if announced.field(one.name).type == one.type else one
        for one in execution.schema
    ]
    schema = pa.schema(fields, announced.metadata)
    return Flight(schema, lambda cancellation: _batches(execution, schema, cancellation))


def check_raw_sql(is_on: bool, what: str) -> None:
    """Refuses SQL in tickets if the setting does not allow it.

    Raises:
        Forbidden: naming the setting.
    """
    if not is_on:
        raise Forbidden(f"{what} holds SQL, which FRAISEQL_RAW_SQL does not allow in tickets here.")


def limited(flight: Flight, rows: int) -> Flight:
    """The flight with only its first rows. Reading further rows is cancelled."""

    def stream(cancellation: Cancellation) -> Iterator[pa.RecordBatch]:
        return _first(flight.stream(cancellation), rows)

    return replace(flight, stream=stream, extent=no_extent)


def _first(batches: Iterator[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    left = rows
    try:
        while left and (batch := next(batches, None)) is not None:
            kept = batch.slice(0, left)
            left -= kept.num_rows
            yield kept
    finally:
        close_iterator(batches)


def _batches(
    execution: Execution, schema: pa.Schema, cancellation: Cancellation
) -> Iterator[pa.RecordBatch]:
    """The rows, in batches of GraphQL's schema. A null in a column that is never null by the schema
    is an error."""
    batches = execution.batches(cancellation)
    try:
        for batch in batches:
            for column, field in zip(batch.columns, schema, strict=True):
                if column.null_count and not field.nullable:
                    raise BadDocument(
                        f"The column {field.name} has a null, and the schema says it is never null."
                    )
            yield pa.RecordBatch.from_arrays(batch.columns, schema=schema)
    finally:
        close_iterator(batches)
