"""Conditions and orders that clients write for a relation.

A condition compares columns with values: =, <>, <, <=, >, >=, BETWEEN, IN, LIKE, ILIKE, IS NULL,
combined with AND, OR and NOT. An order is a list of columns. Anything else is refused. The engine
gets a new tree with columns of the relation and with parameters for values.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from sqlglot import exp
from sqlglot.errors import SqlglotError

from flight_service.errors import InvalidRequest
from flight_service.sql.catalogue import Binding, Dialect, Parameter
from flight_service.sql.dialects import reader_of
from flight_service.sql.literals import read_literal
from flight_service.tickets import shown

MOST_CHARACTERS = 20_000
MOST_VALUES = 1000
MOST_LEVELS = 200
"""The maximum nesting of a condition."""

_COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE)
_PATTERNS = (exp.Like, exp.ILike)
_PARTS: dict[type[exp.Expr], tuple[str, ...]] = {
    **dict.fromkeys((exp.And, exp.Or, exp.Is, *_COMPARISONS, *_PATTERNS), ("this", "expression")),
    **dict.fromkeys((exp.Not, exp.Paren, exp.Column), ("this",)),
    exp.In: ("this", "expressions"),
    exp.Between: ("this", "low", "high"),
}
"""The expressions that a condition may have, and their permitted arguments."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A checked condition, and the values in it."""

    tree: exp.Expr
    parameters: tuple[Parameter, ...]
    binding: Binding


def read_condition(text: str, columns: pa.Schema, dialect: Dialect) -> Condition:
    """Parses a condition over a relation's columns.

    Raises:
        InvalidRequest: naming what is not allowed, or the column that there is not.
    """
    [parsed] = _parsed(text, exp.Condition, "filter", dialect)
    reading = _Reading(columns)
    try:
        tree = reading.condition(parsed, 0)
    except RecursionError as error:
        raise InvalidRequest("The filter is nested too deeply.") from error
    binding = Binding(tuple(one.type for one in reading.parameters), (tuple(reading.values),))
    return Condition(tree, tuple(reading.parameters), binding)


def read_order(text: str, columns: pa.Schema, dialect: Dialect) -> list[exp.Expr]:
    """Parses the keys of an order over a relation's columns.

    Raises:
        InvalidRequest: naming what is not allowed, or the column that there is not.
    """
    [parsed] = _parsed(f"ORDER BY {text}", exp.Order, "order_by", dialect)
    reading = _Reading(columns)
    keys: list[exp.Expr] = []
    for one in parsed.expressions:
        is_plain = isinstance(one, exp.Ordered) and _only(one, "this", "desc", "nulls_first")
        if not is_plain or not isinstance(one.this, exp.Column):
            raise InvalidRequest(
                "The field order_by is a list of columns, each with ASC or DESC and NULLS FIRST or "
                f"NULLS LAST if it needs them. {shown(one.sql())} is none."
            )
        parts = {name: bool(one.args.get(name)) for name in ("desc", "nulls_first")}
        keys.append(exp.Ordered(this=reading.column(one.this), **parts))
    if not keys or not _only(parsed, "expressions"):
        raise InvalidRequest("The field order_by is a list of columns.")
    return keys


def _parsed(text: str, kind: type[exp.Expr], name: str, dialect: Dialect) -> list[exp.Expr]:
    """Parses a text to one tree, which is not checked yet."""
    if len(text) > MOST_CHARACTERS:
        raise InvalidRequest(f"The field {name} has at most {MOST_CHARACTERS:,} characters.")
    if "\0" in text:
        raise InvalidRequest(f"The field {name} cannot hold the character U+0000.")
    engine = reader_of(dialect)
    try:
        found = engine.parser().parse_into(kind, engine.tokenize(text), text)
    except SqlglotError as error:
        raise InvalidRequest(f"The field {name} does not parse: {_reason(error)}.") from error
    except (RecursionError, ValueError, TypeError, IndexError, KeyError, AttributeError) as error:
        raise InvalidRequest(f"The field {name} cannot be parsed.") from error
    if len(found) != 1 or not isinstance(found[0], exp.Expr):
        raise InvalidRequest(f"The field {name} does not hold one expression.")
    return [found[0]]


@dataclass
class _Reading:
    """Builds a new condition from a parsed one, and collects its values."""

    columns: pa.Schema
    parameters: list[Parameter] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    _token: str = field(default_factory=lambda: secrets.token_hex(8))

    def condition(self, node: exp.Expr, level: int) -> exp.Expr:
        """An equivalent condition of checked expressions."""
        if level > MOST_LEVELS:
            raise InvalidRequest("The filter is nested too deeply.")
        parts = _PARTS.get(type(node))
        if parts is None or not _only(node, *parts, "negate"):
            raise _refused(node)
        made = self._made(node, level)
        # Some dialects have NOT within IS and LIKE.
        return exp.Not(this=made) if node.args.get("negate") else made

    def _made(self, node: exp.Expr, level: int) -> exp.Expr:
        match node:
            case exp.And(this=left, expression=right) | exp.Or(this=left, expression=right):
                both = [self.condition(one, level + 1) for one in (left, right)]
                return type(node)(this=_enclosed(both[0]), expression=_enclosed(both[1]))
            case exp.Not(this=inner):
                return exp.Not(this=_enclosed(self.condition(inner, level + 1)))
            case exp.Paren(this=inner):
                return self.condition(inner, level + 1)
            case exp.Column():
                return self._truth(node)
        if type(node) in _COMPARISONS:
            return self._comparison(node)
        if type(node) in _PATTERNS:
            return self._pattern(node)
        match node:
            case exp.Is(this=exp.Column() as column, expression=exp.Null()):
                return exp.Is(this=self.column(column), expression=exp.null())
            case exp.Is(this=exp.Column() as column, expression=exp.Boolean(this=value)):
                return exp.Is(this=self._truth(column), expression=exp.Boolean(this=bool(value)))
            case exp.In(this=exp.Column() as column, expressions=[_, *_]):
                own = self.column(column)
                values = [self._value(one, own.name) for one in node.expressions]
                return exp.In(this=own, expressions=values)
            case exp.Between(this=exp.Column() as column):
                own = self.column(column)
                edges = [self._value(node.args[one], own.name) for one in ("low", "high")]
                return exp.Between(this=own, low=edges[0], high=edges[1])
        raise _refused(node)

    def column(self, node: exp.Column) -> exp.Column:
        """The column of the relation in a node."""
        name = node.name
        if not isinstance(node.this, exp.Identifier) or not _only(node, "this"):
            raise _refused(node)
        if name not in self.columns.names and not node.this.args.get("quoted"):
            name = name.lower()
        if name not in self.columns.names:
            raise InvalidRequest(
                f"There is no column {shown(node.name)}. There are: "
                f"{', '.join(self.columns.names)}."
            )
        return exp.column(exp.to_identifier(name, quoted=True))

    def _truth(self, node: exp.Column) -> exp.Column:
        own = self.column(node)
        if not pa.types.is_boolean(self.columns.field(own.name).type):
            raise InvalidRequest(f"The column {own.name} is no condition: compare it with a value.")
        return own

    def _comparison(self, node: exp.Expr) -> exp.Expr:
        left, right = node.this, node.expression
        if isinstance(left, exp.Column) and isinstance(right, exp.Column):
            return type(node)(this=self.column(left), expression=self.column(right))
        if isinstance(left, exp.Column):
            own = self.column(left)
            return type(node)(this=own, expression=self._value(right, own.name))
        if isinstance(right, exp.Column):
            own = self.column(right)
            return type(node)(this=self._value(left, own.name), expression=own)
        raise _refused(node)

    def _pattern(self, node: exp.Expr) -> exp.Expr:
        if not isinstance(node.this, exp.Column):
            raise _refused(node)
        own = self.column(node.this)
        if not pa.types.is_string(self.columns.field(own.name).type):
            raise InvalidRequest(f"The column {own.name} is no text that LIKE could compare.")
        return type(node)(this=own, expression=self._value(node.expression, own.name))

    def _value(self, node: exp.Expr, column: str) -> exp.Expr:
        """A parameter for a value that is compared with a column."""
        found = read_literal(node, self.columns.field(column))
        if found is None:
            raise _refused(node)
        if len(self.values) == MOST_VALUES:
            raise InvalidRequest(f"The filter has at most {MOST_VALUES:,} values.")
        kind, value = found
        number = len(self.values) + 1
        mark = f"p{number}_{self._token}"
        self.parameters.append(Parameter(f"{number}", mark, kind))
        self.values.append(value)
        return exp.column(exp.to_identifier(mark, quoted=True))


def _only(node: exp.Expr, *names: str) -> bool:
    """Whether a node has no other arguments than these."""
    return all(name in names or not value for name, value in node.args.items())


def _enclosed(node: exp.Expr) -> exp.Expr:
    return exp.Paren(this=node) if isinstance(node, exp.And | exp.Or | exp.Not) else node


def _refused(node: exp.Expr) -> InvalidRequest:
    text = _text(node)
    if isinstance(node, exp.Null):
        return InvalidRequest("Write IS NULL or IS NOT NULL to compare with null.")
    return InvalidRequest(
        f"{shown(text)} is refused. A filter compares columns with values: =, <>, <, <=, >, >=, "
        "BETWEEN, IN, LIKE, ILIKE, IS NULL, with AND, OR and NOT."
    )


def _text(node: exp.Expr) -> str:
    try:
        return node.sql(comments=False) or type(node).__name__
    except (SqlglotError, RecursionError, ValueError, TypeError, AttributeError):
        return type(node).__name__


def _reason(error: SqlglotError) -> str:
    errors: Sequence[dict[str, Any]] = getattr(error, "errors", None) or ()
    if errors:
        first = errors[0]
        near = f"{first['start_context']}{first['highlight']}"[-40:]
        return f"{first['description'].rstrip('.')}, at {shown(near)}"
    return str(error).splitlines()[0].rstrip(".")
