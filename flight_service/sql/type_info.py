"""Column types for JDBC and ODBC: Flight SQL's XdbcTypeInfo."""

from dataclasses import astuple, dataclass

import pyarrow as pa

from flight_service.sql.protocol import FlightSql_pb2 as protocol

SCHEMA = pa.schema(
    [
        pa.field("type_name", pa.string(), nullable=False),
        pa.field("data_type", pa.int32(), nullable=False),
        pa.field("column_size", pa.int32()),
        pa.field("literal_prefix", pa.string()),
        pa.field("literal_suffix", pa.string()),
        pa.field("create_params", pa.list_(pa.field("item", pa.string(), nullable=False))),
        pa.field("nullable", pa.int32(), nullable=False),
        pa.field("case_sensitive", pa.bool_(), nullable=False),
        pa.field("searchable", pa.int32(), nullable=False),
        pa.field("unsigned_attribute", pa.bool_()),
        pa.field("fixed_prec_scale", pa.bool_(), nullable=False),
        pa.field("auto_increment", pa.bool_()),
        pa.field("local_type_name", pa.string()),
        pa.field("minimum_scale", pa.int32()),
        pa.field("maximum_scale", pa.int32()),
        pa.field("sql_data_type", pa.int32(), nullable=False),
        pa.field("datetime_subcode", pa.int32()),
        pa.field("num_prec_radix", pa.int32()),
        pa.field("interval_precision", pa.int32()),
    ]
)


@dataclass(frozen=True, slots=True)
class _Type:
    """One row, in the order of the schema."""

    type_name: str
    data_type: int
    column_size: int | None = None
    literal_prefix: str | None = None
    literal_suffix: str | None = None
    create_params: list[str] | None = None
    nullable: int = protocol.NULLABILITY_NULLABLE
    case_sensitive: bool = False
    searchable: int = protocol.SEARCHABLE_FULL
    unsigned_attribute: bool | None = None
    fixed_prec_scale: bool = False
    auto_increment: bool | None = None
    local_type_name: str | None = None
    minimum_scale: int | None = None
    maximum_scale: int | None = None
    sql_data_type: int = 0
    datetime_subcode: int | None = None
    num_prec_radix: int | None = None
    interval_precision: int | None = None


def _number(name: str, kind: int, digits: int, radix: int = 10, scale: int | None = 0) -> _Type:
    return _Type(
        name,
        kind,
        digits,
        unsigned_attribute=False,
        auto_increment=False,
        minimum_scale=0 if scale is not None else None,
        maximum_scale=scale,
        sql_data_type=kind,
        num_prec_radix=radix,
        searchable=protocol.SEARCHABLE_BASIC,
    )


def _moment(name: str, kind: int, characters: int, subcode: int) -> _Type:
    return _Type(
        name,
        kind,
        characters,
        "'",
        "'",
        sql_data_type=protocol.XDBC_DATETIME,
        datetime_subcode=subcode,
        searchable=protocol.SEARCHABLE_BASIC,
    )


TYPES = (
    _Type("BOOLEAN", protocol.XDBC_BIT, 1, sql_data_type=protocol.XDBC_BIT),
    _number("TINYINT", protocol.XDBC_TINYINT, 3),
    _number("BIGINT", protocol.XDBC_BIGINT, 19),
    _Type("VARBINARY", protocol.XDBC_VARBINARY, None, sql_data_type=protocol.XDBC_VARBINARY),
    _number("DECIMAL", protocol.XDBC_DECIMAL, 38, scale=38),
    _number("INTEGER", protocol.XDBC_INTEGER, 10),
    _number("SMALLINT", protocol.XDBC_SMALLINT, 5),
    _number("REAL", protocol.XDBC_REAL, 24, 2, None),
    _number("DOUBLE", protocol.XDBC_DOUBLE, 53, 2, None),
    _Type(
        "VARCHAR",
        protocol.XDBC_VARCHAR,
        None,
        "'",
        "'",
        case_sensitive=True,
        sql_data_type=protocol.XDBC_VARCHAR,
    ),
    _moment("DATE", protocol.XDBC_DATE, 10, protocol.XDBC_SUBCODE_DATE),
    _moment("TIME", protocol.XDBC_TIME, 15, protocol.XDBC_SUBCODE_TIME),
    _moment("TIMESTAMP", protocol.XDBC_TIMESTAMP, 32, protocol.XDBC_SUBCODE_TIMESTAMP),
)


def xdbc_type_info(data_type: int | None) -> pa.Table:
    """The types, or those of one number, ordered by number and name."""
    chosen = sorted(
        (one for one in TYPES if data_type in (None, one.data_type)),
        key=lambda one: (one.data_type, one.type_name),
    )
    columns = zip(*map(astuple, chosen), strict=True) if chosen else [[] for _ in SCHEMA]
    arrays = [pa.array(list(held), one.type) for held, one in zip(columns, SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)
