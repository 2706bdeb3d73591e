# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute makes its functions at import, out of a type checker's sight)
"""The texts in documents as values of the types that the schema gives them.

Arrow reads a column of them in a tenth of the time that PostgreSQL's casts take, but only what is
written as JSON usually has it. A column with anything else is read by PostgreSQL, so that what is
of a type does not depend on who reads it.
"""

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from flight_service.graphql.postgres.catalogue import Ask

READ_HERE = frozenset(("timestamptz", "date", "int4", "int8", "bool"))
"""PostgreSQL's types whose texts are read so. A float too large for its type would be infinite."""
CAST = """
SELECT value::{sql_type} AS value
FROM jsonb_array_elements_text($1::jsonb) WITH ORDINALITY AS given (value, place) ORDER BY place
"""


def read_texts(texts: pa.Array, kind: pa.DataType, sql_type: str, ask: Ask) -> pa.Array:
    """Texts as values of a type, which PostgreSQL calls `sql_type`.

    Raises:
        BadValue: PostgreSQL does not read one of them as of the type.
        DatabaseFailed: it cannot be asked.
    """
    try:
        return _by_arrow(texts, kind)
    except pa.ArrowInvalid:
        return _by_database(texts, kind, sql_type, ask)


def _by_arrow(texts: pa.Array, kind: pa.DataType) -> pa.Array:
    try:
        return pc.cast(texts, kind)
    except pa.ArrowInvalid:
        if not pa.types.is_timestamp(kind):
            raise
        # Without a zone a moment is in the session's, which is UTC.
        return pc.cast(pc.cast(texts, pa.timestamp(kind.unit)), kind)


def _by_database(texts: pa.Array, kind: pa.DataType, sql_type: str, ask: Ask) -> pa.Array:
    given = msgspec.json.encode(texts.to_pylist()).decode()
    found = ask(CAST.format(sql_type=sql_type), [given])["value"]
    return pc.cast(pa.concat_arrays(found.chunks or [pa.array([], found.type)]), kind)
