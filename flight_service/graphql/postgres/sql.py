"""Writing SQL: identifiers are always quoted, and values never stand in the text.

A statement is streamed with COPY, which takes no parameters. So its values travel bound in a
statement before it, as settings of the transaction, and the streamed statement reads them from
there, each once: PostgreSQL evaluates the sub-select ahead of the scan and can use it in an index.
"""

from collections.abc import Sequence

import msgspec

from flight_service.graphql.errors import QueryRefused
from flight_service.graphql.schema.scalars import storable

SETTING = "fraiseql.p"


def quoted(name: str) -> str:
    """A name as an identifier."""
    return '"' + name.replace('"', '""') + '"'


def quoted_path(name: str) -> str:
    """A relation's name, with its schema or without."""
    return ".".join(quoted(part) for part in name.split("."))


def literal(text: str) -> str:
    """A text of the schema's own, such as a document's key, as a literal."""
    return "'" + text.replace("'", "''") + "'"


class Parameters:
    """The values of a statement, in the order in which they are bound."""

    def __init__(self) -> None:
        self._values: list[str] = []

    @property
    def values(self) -> tuple[str, ...]:
        return tuple(self._values)

    def bind(self, value: str, sql_type: str) -> str:
        """The SQL that stands for a value of that type.

        Raises:
            QueryRefused: PostgreSQL cannot hold the text.
        """
        if not storable(value):
            raise QueryRefused("A text holds U+0000 or half a surrogate pair, which no row can.")
        self._values.append(value)
        return f"(SELECT current_setting('{SETTING}{len(self._values)}')::{sql_type})"

    def bind_list(self, values: Sequence[str | None], sql_type: str) -> str:
        """The SQL that stands for an array of values of that type."""
        array = self.bind(msgspec.json.encode(list(values)).decode(), "jsonb")
        return f"ARRAY(SELECT jsonb_array_elements_text({array})::{sql_type})"
