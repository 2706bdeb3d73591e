"""Writes SQL: identifiers are always quoted, and values are never part of the text.

A statement is streamed with COPY, which has no parameters. Its values are bound by a statement
before it as settings of the transaction, and the streamed statement reads them in sub-selects.
PostgreSQL evaluates each once before the scan, and can use it with an index.
"""

import re
from collections.abc import Sequence

import msgspec

from flight_service.graphql.errors import QueryRefused
from flight_service.graphql.schema.scalars import storable

SETTING = "fraiseql.p"
NO_TEXT = "A text holds U+0000 or half a surrogate pair, which no row can."
ESCAPED_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
"""U+0000 in JSON, which is always escaped."""


def quoted(name: str) -> str:
    """A name as an identifier."""
    return '"' + name.replace('"', '""') + '"'


def quoted_path(name: str) -> str:
    """A relation's name, with or without its schema."""
    return ".".join(quoted(part) for part in name.split("."))


def literal(text: str) -> str:
    """A text of the compiled schema, such as a document key, as a literal. Never a client's
    value."""
    return "'" + text.replace("'", "''") + "'"


class Parameters:
    """The values of a statement, in the order in which they are bound."""

    def __init__(self) -> None:
        self._values: list[str] = []
        self._types: list[str] = []

    @property
    def values(self) -> tuple[str, ...]:
        return tuple(self._values)

    @property
    def types(self) -> tuple[str, ...]:
        """The PostgreSQL type of each value; `int8[]` and the like for lists, which are JSON
        arrays."""
        return tuple(self._types)

    def bind(self, value: str, sql_type: str) -> str:
        """The SQL of a value of a type.

        Raises:
            QueryRefused: PostgreSQL cannot store the text.
        """
        if not storable(value):
            raise QueryRefused(NO_TEXT)
        if sql_type == "jsonb" and ESCAPED_NUL.search(value):
            raise QueryRefused("A text holds U+0000, which no row can.")
        self._values.append(value)
        self._types.append(sql_type)
        return f"(SELECT current_setting('{SETTING}{len(self._values)}')::{sql_type})"

    def bind_list(self, values: Sequence[str | None], sql_type: str) -> str:
        """The SQL of an array of values of a type."""
        for each in values:
            if each is not None and not storable(each):
                raise QueryRefused(NO_TEXT)
        array = self.bind(msgspec.json.encode(list(values)).decode(), "jsonb")
        self._types[-1] = f"{sql_type}[]"
        return f"ARRAY(SELECT jsonb_array_elements_text({array})::{sql_type})"
