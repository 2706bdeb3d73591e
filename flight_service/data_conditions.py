"""Comparisons on the JSON text `data` of events, such as `status = 'paid' AND total > 100`.

A name is a path into `data`: `status`, or `customer.country` for a value within an object. Strings
are compared with strings, numbers with numbers. As in FraiseQL's subscriptions, `!=` matches every
value that is not equal, including a missing one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from flight_service.errors import InvalidRequest
from flight_service.tickets import shown

MOST_COMPARISONS = 50
ALLOWED = (
    "It takes comparisons (=, !=, <, <=, >, >=, IN, IS NULL, IS NOT NULL) of a path of data with a "
    "text, number, true or false, joined by AND"
)
_OPERATORS: Mapping[type[exp.Expr], str] = {
    exp.EQ: "=", exp.NEQ: "!=", exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">=",
}  # fmt: skip
_MIRRORED = {"=": "=", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_ORDERED: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": lambda one, other: one < other,
    "<=": lambda one, other: one <= other,
    ">": lambda one, other: one > other,
    ">=": lambda one, other: one >= other,
}

Value = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """A path of `data` compared with values: several for IN, none for IS NULL."""

    path: tuple[str, ...]
    operator: str
    values: tuple[Value, ...] = ()

    def check(self) -> Callable[[Any], bool]:
        """A function that tells whether a value of the document matches. A missing value is
        None."""
        match self.operator:
            case "is null":
                return lambda found: found is None
            case "is not null":
                return lambda found: found is not None
            case "in":
                equal = [_equality(value) for value in self.values]
                return lambda found: any(one(found) for one in equal)
            case "=":
                return _equality(self.values[0])
            case "!=":
                same = _equality(self.values[0])
                return lambda found: not same(found)
        return _order(self.operator, self.values[0])


class DataConditions:
    """Comparisons that must all hold."""

    def __init__(self, comparisons: Sequence[Comparison]) -> None:
        self.comparisons = tuple(comparisons)
        names = list(dict.fromkeys(one.path[0] for one in comparisons))
        # Only compared members are decoded.
        fields = [(f"f{n}", Any, None) for n in range(len(names))]
        document = msgspec.defstruct(
            "Document", fields, rename={f"f{n}": name for n, name in enumerate(names)}
        )
        self._decode = msgspec.json.Decoder(document).decode
        self._checks = [
            (f"f{names.index(one.path[0])}", one.path[1:], one.check()) for one in comparisons
        ]

    def hold(self, data: str) -> bool:
        """Whether they match a JSON text. A text that is not a JSON object has no members."""
        try:
            document = self._decode(data)
        except (msgspec.DecodeError, RecursionError):
            document = None
        return all(
            holds(_within(getattr(document, field, None), path))
            for field, path, holds in self._checks
        )


def parse_conditions(text: str) -> DataConditions:
    """Parses comparisons.

    Raises:
        InvalidRequest: the text is not comparisons; the message says what is allowed.
    """
    try:
        tree = sqlglot.parse_one(text, into=exp.Condition, dialect="postgres")
        found = list(_comparisons(tree))
    except (SqlglotError, RecursionError) as error:
        raise InvalidRequest(
            f"The field filter, {shown(text)}, cannot be read. {ALLOWED}. A name that SQL uses "
            'itself stands in quotes: "order" = 7.'
        ) from error
    if len(found) > MOST_COMPARISONS:
        raise InvalidRequest(
            f"The field filter has {len(found)} comparisons, and may have {MOST_COMPARISONS}."
        )
    return DataConditions(found)


def _comparisons(tree: exp.Expr) -> list[Comparison]:
    match tree:
        case exp.Paren():
            return _comparisons(tree.this)
        case exp.And():
            return [*_comparisons(tree.this), *_comparisons(tree.expression)]
        case exp.In() if set(tree.args) <= {"this", "expressions"} and tree.expressions:
            values = tuple(_value(one) for one in tree.expressions)
            return [Comparison(_path(tree.this), "in", values)]
        case exp.Is() if isinstance(tree.expression, exp.Null):
            operator = "is not null" if tree.args.get("negate") else "is null"
            return [Comparison(_path(tree.this), operator)]
        # The form of older releases of sqlglot.
        case exp.Not(this=exp.Is() as inner) if isinstance(inner.expression, exp.Null):
            return [Comparison(_path(inner.this), "is not null")]
    operator = _OPERATORS.get(type(tree))
    if operator is None:
        raise _refused(tree)
    if isinstance(tree.this, exp.Column | exp.Dot):
        return [Comparison(_path(tree.this), operator, (_value(tree.expression),))]
    return [Comparison(_path(tree.expression), _MIRRORED[operator], (_value(tree.this),))]


def _path(tree: exp.Expr) -> tuple[str, ...]:
    if isinstance(tree, exp.Column | exp.Dot):
        parts = tree.parts
        if all(isinstance(part, exp.Identifier) for part in parts):
            return tuple(part.name for part in parts)
    raise _refused(tree)


def _value(tree: exp.Expr) -> Value:
    match tree:
        case exp.Literal(is_string=True):
            return tree.this
        case exp.Literal():
            return _number(tree.this)
        case exp.Neg(this=exp.Literal(is_string=False) as inner):
            return -_number(inner.this)
        case exp.Boolean():
            return bool(tree.this)
    raise _refused(tree)


def _number(text: str) -> int | float:
    return int(text) if text.isdigit() else float(text)


def _refused(tree: exp.Expr) -> InvalidRequest:
    return InvalidRequest(f"The field filter has {shown(tree.sql('postgres'))}. {ALLOWED}.")


def _within(found: object, path: tuple[str, ...]) -> object:
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _equality(value: Value) -> Callable[[Any], bool]:
    if isinstance(value, bool):
        return lambda found: found is value
    if isinstance(value, str):
        return lambda found: found == value
    return lambda found: found == value and not isinstance(found, bool)


def _order(operator: str, value: Value) -> Callable[[Any], bool]:
    if isinstance(value, bool):
        raise InvalidRequest(f"The field filter orders by true or false. {ALLOWED}.")
    compare = _ORDERED[operator]
    kinds = (str,) if isinstance(value, str) else (int, float)
    return lambda found: type(found) in kinds and compare(found, value)
