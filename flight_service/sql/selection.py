"""A SELECT over one relation, from its parts: columns, condition, order, limit and offset."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from flight_service.sql.catalogue import NO_VALUES, Binding, Catalogue, Relation, Statement
from flight_service.sql.conditions import read_condition, read_order
from flight_service.sql.relations import replaced

_NAME = "selected"


@dataclass(frozen=True, slots=True)
class Selection:
    """Selects rows of a relation, and their order."""

    filter: str | None = None
    order_by: str | None = None
    limit: int | None = None
    offset: int | None = None


def select(
    catalogue: Catalogue, relation: Relation, selection: Selection, columns: Sequence[str]
) -> tuple[Statement, Binding]:
    """The statement that reads these columns of the selected rows, and its values.

    Raises:
        InvalidRequest: the filter or the order is refused.
    """
    dialect = catalogue.dialect
    names = [exp.column(exp.to_identifier(name, quoted=True)) for name in columns]
    tree = exp.select(*names, copy=False).from_(
        exp.Table(this=exp.to_identifier(_NAME, quoted=True)), copy=False
    )
    parameters, binding = (), NO_VALUES
    if selection.filter is not None:
        condition = read_condition(selection.filter, relation.columns, dialect)
        tree = tree.where(condition.tree, copy=False)
        parameters, binding = condition.parameters, condition.binding
    if selection.order_by is not None:
        keys = read_order(selection.order_by, relation.columns, dialect)
        tree.set("order", exp.Order(expressions=keys))
    if selection.limit is not None:
        tree = tree.limit(selection.limit, copy=False)
    if selection.offset:
        tree = tree.offset(selection.offset, copy=False)
    done = replaced(tree, {("", "", _NAME): relation})
    return Statement(done.sql(dialect), done.values, parameters), binding
