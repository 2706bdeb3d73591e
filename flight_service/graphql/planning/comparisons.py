"""The SQL of the operators of `where`, with bound values."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from flight_service.graphql.postgres.sql import Parameters
from flight_service.graphql.schema.operators import Operator
from flight_service.graphql.schema.scalars import Kind, kind_of
from flight_service.graphql.sources.values import (
    JSON,
    Built,
    Column,
    Document,
    Value,
    as_document,
    text_of,
    typed,
)

COMPARED = {"eq": "=", "neq": "<>", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
MATCHED = {"regex": "~", "iregex": "~*", "nregex": "!~", "niregex": "!~*"}
CONTAINED = {"array_contains": "@>", "array_contained_by": "<@", "strictly_contains": "@>"}
INTEGERS = {"int2": 2**15, "int4": 2**31, "int8": 2**63}
IDENTITIES = frozenset(("ID", "UUID"))
"""The scalars in which a UUID is the same in capitals and in small letters."""


class Comparisons:
    """Makes comparisons of values of one source, and notes whether one reads a document that is
    built for it."""

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters
        self.on_document = False

    def compare(self, value: Value, kind: Kind, operator: Operator, operand: Any) -> str:
        """The condition of an operator.

        Raises:
            QueryRefused: PostgreSQL cannot store the operand's text.
        """
        name = operator.name
        if operator.family == "null" or (operand is None and name in ("eq", "neq")):
            positive = name in ("isnull", "eq")
            null = positive if operand is not False else not positive
            return f"{self._nullable(value, kind)} IS {'' if null else 'NOT '}NULL"
        if name in ("in", "nin"):
            given = operand if isinstance(operand, list) else [operand]
            return self._in(value, kind, name, given)
        if name in COMPARED:
            return self._compared(value, kind, name, operand)
        if operator.family == "text":
            return self._matched(value, kind, name, str(operand))
        return self._in_json(value, name, operand)

    def read(self, value: Value, kind: Kind) -> str:
        """The value in the type in which it is compared."""
        self._note(value)
        return text_of(value) if kind.sql == "text" else typed(value, kind)

    def _note(self, value: Value) -> None:
        if isinstance(value, Document | Built):
            self.on_document = self.on_document or as_document(value).computed

    def _matched(self, value: Value, kind: Kind, name: str, asked: str) -> str:
        sql = self.read(value, kind)
        if name in MATCHED:
            return f"{sql} {MATCHED[name]} {self._parameters.bind(asked, 'text')}"
        pattern = asked if name.endswith("like") else _escaped(asked)
        if name.endswith(("contains", "endswith")):
            pattern = f"%{pattern}"
        if name.endswith(("contains", "startswith")):
            pattern = f"{pattern}%"
        how = "ILIKE" if name in ("ilike", "nilike") or name.startswith("i") else "LIKE"
        negated = "NOT " if name in ("nlike", "nilike") else ""
        return f"{sql} {negated}{how} {self._parameters.bind(pattern, 'text')}"

    def _in_json(self, value: Value, name: str, asked: Any) -> str:
        self._note(value)
        sql = f"NULLIF({as_document(value).sql}, 'null'::jsonb)"
        if name.startswith("len_"):
            length = f"CASE WHEN jsonb_typeof({sql}) = 'array' THEN jsonb_array_length({sql}) END"
            sign = COMPARED[name.removeprefix("len_")]
            return f"({length}) {sign} {self._parameters.bind(str(asked), 'int8')}"
        if name in CONTAINED:
            bound = self._parameters.bind(msgspec.json.encode(asked).decode(), "jsonb")
            return f"{sql} {CONTAINED[name]} {bound}"
        array = asked if isinstance(asked, list) else [asked]
        bound = self._parameters.bind(msgspec.json.encode(array).decode(), "jsonb")
        elements = f"jsonb_array_elements(CASE WHEN jsonb_typeof({sql}) = 'array' THEN {sql} END)"
        return (
            f"({sql} IS NOT NULL AND EXISTS (SELECT FROM {elements} AS element(value) "
            f"WHERE element.value = ANY (ARRAY(SELECT jsonb_array_elements({bound})))))"
        )

    def _compared(self, value: Value, kind: Kind, name: str, asked: Any) -> str:
        sign = COMPARED[name]
        native = _native(value, kind) if name in ("eq", "neq") else None
        if native is None:
            texts = _spellings(_text(asked, kind), kind) if name in ("eq", "neq") else ()
            if len(texts) > 1:
                array = self._parameters.bind_list(texts, "text")
                quantity = "ANY" if name == "eq" else "ALL"
                return f"{self.read(value, kind)} {sign} {quantity} ({array})"
            bound = self._parameters.bind(_text(asked, kind), sql_type(kind))
            return f"{self.read(value, kind)} {sign} {bound}"
        text = _as_in(native.type, _text(asked, kind))
        if text is None:
            # No value of the column has this text.
            return "FALSE" if name == "eq" else f"{native.sql} IS NOT NULL"
        return f"{native.sql} {sign} {self._parameters.bind(text, native.type)}"

    def _in(self, value: Value, kind: Kind, name: str, asked: Sequence[Any]) -> str:
        texts = [None if one is None else _text(one, kind) for one in asked]
        if (column := _native(value, kind)) is not None:
            found = [None if text is None else _as_in(column.type, text) for text in texts]
            fitting = [
                one
                for one, text in zip(found, texts, strict=True)
                if one is not None or text is None
            ]
            sql, array = column.sql, self._parameters.bind_list(fitting, column.type)
        else:
            spelled = [
                one
                for text in texts
                for one in ((None,) if text is None else _spellings(text, kind))
            ]
            sql, array = (
                self.read(value, kind),
                self._parameters.bind_list(spelled, sql_type(kind)),
            )
        return f"{sql} = ANY ({array})" if name == "in" else f"NOT ({sql} = ANY ({array}))"

    def _nullable(self, value: Value, kind: Kind) -> str:
        """What is null where the value is, read without a cast that might fail."""
        if isinstance(value, Column) and value.type not in JSON:
            return value.sql
        return self.read(value, kind if kind.sql == "jsonb" else kind_of("String"))


def sql_type(kind: Kind) -> str:
    """Wide enough for whatever may be asked for."""
    return "int8" if kind.sql == "int4" else kind.sql


def _text(asked: Any, kind: Kind) -> str:
    if kind.sql == "jsonb":
        return msgspec.json.encode(asked).decode()
    if isinstance(asked, bool):
        return "true" if asked else "false"
    return repr(asked) if isinstance(asked, float) else str(asked)


def _native(value: Value, kind: Kind) -> Column | None:
    """A column that is compared in its own type though the field is a text: its index serves."""
    if kind.sql == "text" and isinstance(value, Column) and value.type in ("uuid", *INTEGERS):
        return value
    return None


def _as_in(column_type: str, text: str) -> str | None:
    """A text as a column's type writes the value; None where it writes no value so."""
    if column_type == "uuid":
        return _uuid(text)
    try:
        number = int(text)
    except ValueError:
        return None
    most = INTEGERS[column_type]
    return text if str(number) == text and -most <= number < most else None


def _uuid(text: str) -> str | None:
    """A UUID as PostgreSQL writes it; None of what differs from that by more than its case."""
    try:
        written = str(UUID(text))
    except ValueError:
        return None
    return written if written == text.lower() else None


def _spellings(text: str, kind: Kind) -> tuple[str, ...]:
    """The texts that are the same to a scalar: of a UUID, that in small letters too."""
    written = _uuid(text) if kind.name in IDENTITIES else None
    return (text,) if written in (None, text) else (text, written)


def _escaped(text: str) -> str:
    """A text in which no character is a wildcard of LIKE."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
