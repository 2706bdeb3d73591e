"""The properties of the server: Flight SQL's SqlInfo, in its dense union."""

from collections.abc import Iterable, Sequence
from importlib.metadata import version

import pyarrow as pa

from flight_service.errors import InvalidRequest
from flight_service.sql.catalogue import Dialect
from flight_service.sql.grammar import MOST_CHARACTERS, functions
from flight_service.sql.protocol import FlightSql_pb2 as protocol

I = protocol.SqlInfo  # noqa: E741 [the enum's name stands in every line below]
MEMBERS = (
    pa.field("string_value", pa.string()),
    pa.field("bool_value", pa.bool_()),
    pa.field("bigint_value", pa.int64()),
    pa.field("int32_bitmask", pa.int32()),
    pa.field("string_list", pa.list_(pa.field("item", pa.string()))),
    pa.field(
        "int32_to_int32_list_map",
        pa.map_(pa.int32(), pa.field("value", pa.list_(pa.field("item", pa.int32())))),
    ),
)
STRING, BOOL, BIGINT, BITMASK, STRINGS, MAP = range(6)
SCHEMA = pa.schema(
    [
        pa.field("info_name", pa.uint32(), nullable=False),
        pa.field("value", pa.dense_union(list(MEMBERS)), nullable=False),
    ]
)
KEYWORDS = (
    *("ALL", "AND", "ANY", "AS", "ASC", "BETWEEN", "BY", "CASE", "CAST", "CROSS", "DESC"),
    *("DISTINCT", "ELSE", "END", "EXCEPT", "EXISTS", "FALSE", "FROM", "FULL", "GROUP", "HAVING"),
    *("IN", "INNER", "INTERSECT", "IS", "JOIN", "LEFT", "LIKE", "LIMIT", "NOT", "NULL", "OFFSET"),
    *("ON", "OR", "ORDER", "OUTER", "OVER", "PARTITION", "RIGHT", "SELECT", "THEN", "TRUE"),
    *("UNION", "USING", "WHEN", "WHERE", "WITH"),
)
NUMERIC = ("abs", "ceil", "exp", "floor", "ln", "log", "mod", "power", "round", "sign", "sqrt")
STRING_FUNCTIONS = ("concat", "length", "lower", "replace", "substring", "trim", "upper")
DATES = ("date_trunc", "now")


def _value(info: int, value: object) -> tuple[int, int, object]:
    match value:
        case bool():
            return info, BOOL, value
        case str():
            return info, STRING, value
        case int():
            return info, BIGINT, value
        case dict():
            return info, MAP, list(value.items())
    return info, STRINGS, value


def _mask(info: int, *bits: int) -> tuple[int, int, object]:
    return info, BITMASK, sum(1 << bit for bit in bits)


def _ordinal(info: int, value: int) -> tuple[int, int, object]:
    return info, BITMASK, value


def _known(*, ingests: bool) -> Iterable[tuple[int, int, object]]:
    yield _value(I.FLIGHT_SQL_SERVER_NAME, "FraiseQL")
    yield _value(I.FLIGHT_SQL_SERVER_VERSION, version("fraiseql-assets"))
    yield _value(I.FLIGHT_SQL_SERVER_ARROW_VERSION, pa.__version__)
    yield _value(I.FLIGHT_SQL_SERVER_READ_ONLY, not ingests)
    yield _value(I.FLIGHT_SQL_SERVER_SQL, True)
    yield _value(I.FLIGHT_SQL_SERVER_SUBSTRAIT, False)
    yield _value(I.FLIGHT_SQL_SERVER_SUBSTRAIT_MIN_VERSION, "")
    yield _value(I.FLIGHT_SQL_SERVER_SUBSTRAIT_MAX_VERSION, "")
    yield _value(I.FLIGHT_SQL_SERVER_BULK_INGESTION, ingests)
    yield _value(I.FLIGHT_SQL_SERVER_INGEST_TRANSACTIONS_SUPPORTED, False)
    yield _ordinal(I.FLIGHT_SQL_SERVER_TRANSACTION, protocol.SQL_SUPPORTED_TRANSACTION_NONE)
    yield _value(I.FLIGHT_SQL_SERVER_CANCEL, True)
    yield _ordinal(I.FLIGHT_SQL_SERVER_STATEMENT_TIMEOUT, 0)
    yield _ordinal(I.FLIGHT_SQL_SERVER_TRANSACTION_TIMEOUT, 0)
    for info in (I.SQL_DDL_CATALOG, I.SQL_DDL_SCHEMA, I.SQL_DDL_TABLE):
        yield _value(info, False)
    yield _ordinal(I.SQL_IDENTIFIER_CASE, protocol.SQL_CASE_SENSITIVITY_UNKNOWN)
    yield _value(I.SQL_IDENTIFIER_QUOTE_CHAR, '"')
    yield _ordinal(I.SQL_QUOTED_IDENTIFIER_CASE, protocol.SQL_CASE_SENSITIVITY_UNKNOWN)
    yield _value(I.SQL_ALL_TABLES_ARE_SELECTABLE, True)
    yield _ordinal(I.SQL_NULL_ORDERING, protocol.SQL_NULLS_SORTED_AT_END)
    yield _value(I.SQL_KEYWORDS, KEYWORDS)
    yield _value(I.SQL_NUMERIC_FUNCTIONS, _in_every_engine(NUMERIC))
    yield _value(I.SQL_STRING_FUNCTIONS, _in_every_engine(STRING_FUNCTIONS))
    yield _value(I.SQL_SYSTEM_FUNCTIONS, ["coalesce", "nullif"])
    yield _value(I.SQL_DATETIME_FUNCTIONS, _in_every_engine(DATES))
    yield _value(I.SQL_SEARCH_STRING_ESCAPE, "\\")
    yield _value(I.SQL_EXTRA_NAME_CHARACTERS, "")
    yield _value(I.SQL_SUPPORTS_CONVERT, {})
    for info in _TRUE:
        yield _value(info, True)
    for info in _FALSE:
        yield _value(info, False)
    yield _mask(I.SQL_SUPPORTED_GROUP_BY, protocol.SQL_GROUP_BY_UNRELATED)
    yield _mask(I.SQL_SUPPORTED_GRAMMAR, protocol.SQL_MINIMUM_GRAMMAR, protocol.SQL_CORE_GRAMMAR)
    yield _mask(I.SQL_ANSI92_SUPPORTED_LEVEL, protocol.ANSI92_ENTRY_SQL)
    yield _ordinal(I.SQL_OUTER_JOINS_SUPPORT_LEVEL, protocol.SQL_FULL_OUTER_JOINS)
    yield _value(I.SQL_SCHEMA_TERM, "schema")
    yield _value(I.SQL_PROCEDURE_TERM, "procedure")
    yield _value(I.SQL_CATALOG_TERM, "catalogue")
    yield _mask(I.SQL_SCHEMAS_SUPPORTED_ACTIONS)
    yield _mask(I.SQL_CATALOGS_SUPPORTED_ACTIONS)
    yield _mask(I.SQL_SUPPORTED_POSITIONED_COMMANDS)
    yield _mask(I.SQL_SUPPORTED_SUBQUERIES, 0, 1, 2, 3)
    yield _mask(I.SQL_SUPPORTED_UNIONS, protocol.SQL_UNION, protocol.SQL_UNION_ALL)
    for info in range(I.SQL_MAX_BINARY_LITERAL_LENGTH, I.SQL_MAX_ROW_SIZE + 1):
        yield _value(info, 0)
    yield _value(I.SQL_MAX_STATEMENT_LENGTH, MOST_CHARACTERS)
    for info in _NO_LIMIT:
        yield _value(info, 0)
    isolation = protocol.SQL_TRANSACTION_NONE
    # An ordinal in the protocol; Arrow's own servers and JDBC use a long.
    yield _value(I.SQL_DEFAULT_TRANSACTION_ISOLATION, int(isolation))
    yield _mask(I.SQL_SUPPORTED_TRANSACTIONS_ISOLATION_LEVELS, isolation)
    yield _mask(I.SQL_SUPPORTED_RESULT_SET_TYPES, protocol.SQL_RESULT_SET_TYPE_FORWARD_ONLY)
    read_only = protocol.SQL_RESULT_SET_CONCURRENCY_READ_ONLY
    yield _mask(I.SQL_SUPPORTED_CONCURRENCIES_FOR_RESULT_SET_UNSPECIFIED, read_only)
    yield _mask(I.SQL_SUPPORTED_CONCURRENCIES_FOR_RESULT_SET_FORWARD_ONLY, read_only)
    yield _mask(I.SQL_SUPPORTED_CONCURRENCIES_FOR_RESULT_SET_SCROLL_SENSITIVE)
    yield _mask(I.SQL_SUPPORTED_CONCURRENCIES_FOR_RESULT_SET_SCROLL_INSENSITIVE)


_TRUE = (
    I.SQL_SUPPORTS_COLUMN_ALIASING,
    I.SQL_NULL_PLUS_NULL_IS_NULL,
    I.SQL_SUPPORTS_TABLE_CORRELATION_NAMES,
    I.SQL_SUPPORTS_EXPRESSIONS_IN_ORDER_BY,
    I.SQL_SUPPORTS_ORDER_BY_UNRELATED,
    I.SQL_SUPPORTS_NON_NULLABLE_COLUMNS,
    I.SQL_CATALOG_AT_START,
)
_FALSE = (
    I.SQL_SUPPORTS_DIFFERENT_TABLE_CORRELATION_NAMES,
    I.SQL_SUPPORTS_LIKE_ESCAPE_CLAUSE,
    I.SQL_SUPPORTS_INTEGRITY_ENHANCEMENT_FACILITY,
    I.SQL_SELECT_FOR_UPDATE_SUPPORTED,
    I.SQL_STORED_PROCEDURES_SUPPORTED,
    I.SQL_CORRELATED_SUBQUERIES_SUPPORTED,
    I.SQL_MAX_ROW_SIZE_INCLUDES_BLOBS,
    I.SQL_TRANSACTIONS_SUPPORTED,
    I.SQL_DATA_DEFINITION_CAUSES_TRANSACTION_COMMIT,
    I.SQL_DATA_DEFINITIONS_IN_TRANSACTIONS_IGNORED,
    I.SQL_BATCH_UPDATES_SUPPORTED,
    I.SQL_SAVEPOINTS_SUPPORTED,
    I.SQL_NAMED_PARAMETERS_SUPPORTED,
    I.SQL_LOCATORS_UPDATE_COPY,
    I.SQL_STORED_FUNCTIONS_USING_CALL_SYNTAX_SUPPORTED,
)
_NO_LIMIT = (
    I.SQL_MAX_STATEMENTS,
    I.SQL_MAX_TABLE_NAME_LENGTH,
    I.SQL_MAX_TABLES_IN_SELECT,
    I.SQL_MAX_USERNAME_LENGTH,
)


def _in_every_engine(names: Sequence[str]) -> list[str]:
    dialects: tuple[Dialect, ...] = ("clickhouse", "postgres")
    return [name for name in names if all(name in functions(one) for one in dialects)]


def sql_info(wanted: Sequence[int], *, ingests: bool = False) -> pa.Table:
    """The values of the requested numbers, or of all if none is requested. `ingests` says whether
    rows can be written.

    Raises:
        InvalidRequest: a number is unknown.
    """
    known = {info: (member, value) for info, member, value in _known(ingests=ingests)}
    missing = [number for number in wanted if number not in known]
    if missing:
        raise InvalidRequest(f"There is no SqlInfo {', '.join(map(str, missing[:10]))}.")
    numbers = list(dict.fromkeys(wanted)) or sorted(known)
    values: list[list[object]] = [[] for _ in MEMBERS]
    offsets: list[int] = []
    for number in numbers:
        member, value = known[number]
        offsets.append(len(values[member]))
        values[member].append(value)
    union = pa.UnionArray.from_dense(
        pa.array([known[number][0] for number in numbers], pa.int8()),
        pa.array(offsets, pa.int32()),
        [pa.array(held, one.type) for held, one in zip(values, MEMBERS, strict=True)],
        [one.name for one in MEMBERS],
    )
    return pa.Table.from_arrays([pa.array(numbers, pa.uint32()), union], schema=SCHEMA)
