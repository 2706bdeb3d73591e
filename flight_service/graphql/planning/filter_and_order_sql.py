"""The SQL of filters and orders on the rows of one source."""

from collections.abc import Sequence
from dataclasses import dataclass

from flight_service.graphql.planning.comparisons import Comparisons, sql_type
from flight_service.graphql.planning.filters import (
    All,
    AnyOf,
    Comparison,
    EqualsText,
    Filter,
    Not,
    OrderKey,
)
from flight_service.graphql.planning.keyset import SortKey
from flight_service.graphql.postgres.sql import Parameters
from flight_service.graphql.schema.scalars import kind_of
from flight_service.graphql.sources.source import Source
from flight_service.graphql.sources.values import Column, NotCovered, Value, member


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on rows. `on_document` if it reads a document that is built for it."""

    sql: str
    on_document: bool


class Conditions:
    """Writes conditions on the rows of one source, and binds their values.

    Every method raises:
        NotCovered: the source lacks a field that is named.
    """

    def __init__(self, source: Source, alias: str, parameters: Parameters) -> None:
        self._source = source
        self._alias = alias
        self._value = source.value(alias)
        self._parameters = parameters
        self._comparisons = Comparisons(parameters)

    def condition(self, filter: Filter) -> Condition:
        """The condition of a filter."""
        self._comparisons.on_document = False
        sql = self._sql(filter)
        return Condition(sql, self._comparisons.on_document)

    def keys(self, order: Sequence[OrderKey]) -> tuple[list[SortKey], bool]:
        """The keys of an order, and whether a document that is built is read for them."""
        self._comparisons.on_document = False
        keys = [
            SortKey(
                self._comparisons.read(self._member(one.field), one.kind),
                sql_type(one.kind),
                one.direction,
            )
            for one in order
        ]
        return keys, self._comparisons.on_document

    def _sql(self, filter: Filter) -> str:
        match filter:
            case Comparison(field, kind, operator, operand):
                return self._comparisons.compare(self._member(field), kind, operator, operand)
            case Not(inner):
                return f"NOT ({self._sql(inner)})"
            case All(filters):
                parts = " AND ".join(map(self._sql, filters))
                return f"({parts})" if parts else "TRUE"
            case AnyOf(filters):
                parts = " OR ".join(map(self._sql, filters))
                return f"({parts})" if parts else "FALSE"
            case EqualsText():
                return self._equals_text(filter)

    def _equals_text(self, filter: EqualsText) -> str:
        """That a value equals a text, in the value's own type."""
        value = (
            member(self._value, filter.name)
            if filter.is_field
            else self._source.beside(self._alias, filter.name)
        )
        if value is None:
            which = ", which a claim decides" if filter.from_claim else ""
            raise NotCovered(f"it has no column for {filter.name}{which}")
        if filter.text is None:
            return "FALSE"
        if isinstance(value, Column):
            return f"{value.sql} = {self._parameters.bind(filter.text, value.type)}"
        own = self._comparisons.read(value, kind_of("String"))
        return f"{own} = {self._parameters.bind(filter.text, 'text')}"

    def _member(self, field: Sequence[str]) -> Value:
        value: Value = self._value
        for name in field:
            value = member(value, name)
        return value
