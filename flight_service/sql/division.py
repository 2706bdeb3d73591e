"""Statements that can be read in parts by days: their rows are those of the parts together.

Such a statement selects rows of one relation, and computes each row of the result from one row of
the relation alone.
"""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from sqlglot import exp

from flight_service.sql.catalogue import ByDay, Dialect, Division, Parameter
from flight_service.sql.grammar import QUERIES, function_name, functions
from flight_service.sql.relations import Replaced
from flight_service.sql.syntax import OPERATORS

CLAUSES = frozenset(("expressions", "from_", "where"))
OF_SEVERAL_ROWS = (*QUERIES, exp.Window)
OF_THE_TIME = frozenset(
    (exp.CurrentDate, exp.CurrentTime, exp.CurrentTimestamp, exp.Localtime, exp.Localtimestamp)
)


def division(
    done: Replaced, text: str, parameters: Sequence[Parameter], dialect: Dialect
) -> Division | None:
    """The parts of a checked statement by days; None if it has none, or if its rows cannot be
    counted fast. `text` is the statement as it is written, with the marks of its relations."""
    [mark, *others], tree = done.used or [None], done.tree
    by_day = done.used[mark].by_day if mark is not None and not others else None
    if mark is None or by_day is None:
        return None
    if not isinstance(tree, exp.Select) or not _is_selection(tree, dialect):
        return None
    where, count = tree.args.get("where"), None
    if where is not None and not _is_counted(where, by_day, parameters):
        return None
    if where is not None or not by_day.is_whole:
        count = done.filled(_count(tree, text, mark, by_day, dialect), {})
    return Division(done.filled(text, {mark: by_day.select}), count)


@cache
def functions_of_one_row(dialect: Dialect) -> frozenset[str]:
    """The allowed functions whose value depends on their arguments in one row alone, in lower
    case."""
    text = (
        files("flight_service.sql.functions").joinpath(f"{dialect}_of_several_rows.txt").read_text()
    )
    return functions(dialect) - frozenset(text.lower().split())


def _is_selection(tree: exp.Select, dialect: Dialect) -> bool:
    """Whether a checked statement is a projection and a condition of the rows of one table."""
    table = tree.args["from_"].this if tree.args.get("from_") else None
    return (
        all(name in CLAUSES or not value for name, value in tree.args.items())
        and isinstance(table, exp.Table)
        and not table.args.get("joins")
        and all(_is_of_one_row(node, dialect) for node in tree.walk() if node is not tree)
    )


def _is_of_one_row(node: exp.Expr, dialect: Dialect) -> bool:
    if isinstance(node, OF_SEVERAL_ROWS) or type(node) in OF_THE_TIME:
        return False
    if not isinstance(node, exp.Func) or type(node) in OPERATORS:
        return True
    # Combinators such as -If make aggregate functions, and are not in the list.
    return (function_name(node, dialect) or "").lower() in functions_of_one_row(dialect)


def _is_counted(where: exp.Expr, by_day: ByDay, parameters: Sequence[Parameter]) -> bool:
    """Whether the rows of a condition are counted fast: not by wide columns, nor by names that the
    projection defines."""
    known = by_day.counted | {one.mark for one in parameters}
    return all(column.name in known for column in where.find_all(exp.Column))


def _count(tree: exp.Select, text: str, mark: str, by_day: ByDay, dialect: Dialect) -> str:
    """A statement that counts the rows of the statement by days. It has the end of the written
    text, which begins with the mark: the relation and the condition."""
    names = (by_day.day, tree.args["from_"].this.alias)
    column = exp.column(*(exp.to_identifier(name, quoted=True) for name in names))
    day = f"toDate({column.sql(dialect=dialect)})"
    end = text[text.index(f'FROM "{mark}"') :]
    return f"SELECT {day} AS day, count() AS rows {end} GROUP BY {day}"
