"""Flight SQL's metadata: catalogues, schemas, tables and keys."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa
from google.protobuf.message import Message

from flight_service.authentication import Principal
from flight_service.errors import UNAVAILABLE, ServiceError
from flight_service.sql.catalogue import TABLE, VIEW, Catalogue, Relation
from flight_service.sql.protocol import FlightSql_pb2 as protocol
from fraiseql_assets.planes import PlaneUnavailable

METADATA = b"ARROW:FLIGHT:SQL:"


def _schema(*fields: tuple[str, pa.DataType, bool]) -> pa.Schema:
    return pa.schema([pa.field(name, kind, nullable) for name, kind, nullable in fields])


TEXT = pa.string()
CATALOGS = _schema(("catalog_name", TEXT, False))
DB_SCHEMAS = _schema(("catalog_name", TEXT, True), ("db_schema_name", TEXT, False))
TABLES = _schema(
    ("catalog_name", TEXT, True),
    ("db_schema_name", TEXT, True),
    ("table_name", TEXT, False),
    ("table_type", TEXT, False),
)
TABLES_WITH_SCHEMA = TABLES.append(pa.field("table_schema", pa.binary(), nullable=False))
TABLE_TYPES = _schema(("table_type", TEXT, False))
PRIMARY_KEYS = _schema(
    ("catalog_name", TEXT, True),
    ("db_schema_name", TEXT, True),
    ("table_name", TEXT, False),
    ("column_name", TEXT, False),
    ("key_name", TEXT, True),
    ("key_sequence", pa.int32(), False),
)
FOREIGN_KEYS = _schema(
    ("pk_catalog_name", TEXT, True),
    ("pk_db_schema_name", TEXT, True),
    ("pk_table_name", TEXT, False),
    ("pk_column_name", TEXT, False),
    ("fk_catalog_name", TEXT, True),
    ("fk_db_schema_name", TEXT, True),
    ("fk_table_name", TEXT, False),
    ("fk_column_name", TEXT, False),
    ("key_sequence", pa.int32(), False),
    ("fk_key_name", TEXT, True),
    ("pk_key_name", TEXT, True),
    ("update_rule", pa.uint8(), False),
    ("delete_rule", pa.uint8(), False),
)


class Metadata:
    """Answers metadata commands from the catalogues, for one principal."""

    def __init__(self, catalogues: Sequence[Catalogue]) -> None:
        self._catalogues = sorted(catalogues, key=lambda one: one.name)
        self._answers: dict[type[Message], Callable[[Any, Principal], Iterable[Sequence[Any]]]] = {
            protocol.CommandGetCatalogs: self._catalogs,
            protocol.CommandGetDbSchemas: self._db_schemas,
            protocol.CommandGetTables: self._tables,
            protocol.CommandGetTableTypes: lambda command, principal: [(TABLE,), (VIEW,)],
            protocol.CommandGetPrimaryKeys: self._primary_keys,
            protocol.CommandGetExportedKeys: _no_keys,
            protocol.CommandGetImportedKeys: _no_keys,
            protocol.CommandGetCrossReference: _no_keys,
        }

    def schema(self, command: Message) -> pa.Schema | None:
        """The result schema of a metadata command; None for other commands."""
        match command:
            case protocol.CommandGetCatalogs():
                return CATALOGS
            case protocol.CommandGetDbSchemas():
                return DB_SCHEMAS
            case protocol.CommandGetTables(include_schema=with_schema):
                return TABLES_WITH_SCHEMA if with_schema else TABLES
            case protocol.CommandGetTableTypes():
                return TABLE_TYPES
            case protocol.CommandGetPrimaryKeys():
                return PRIMARY_KEYS
        return FOREIGN_KEYS if type(command) in self._answers else None

    def table(self, command: Message, principal: Principal) -> pa.Table:
        """The result of a metadata command, in the order of the protocol.

        Raises:
            ServiceError, PlaneError: a catalogue of the command does not answer.
        """
        schema = self.schema(command)
        assert schema is not None, "a command of these"
        rows = list(self._answers[type(command)](command, principal))
        columns = zip(*rows, strict=True) if rows else [[] for _ in schema]
        arrays = [
            pa.array(list(values), one.type) for values, one in zip(columns, schema, strict=True)
        ]
        return pa.Table.from_arrays(arrays, schema=schema)

    def _catalogs(self, command: Any, principal: Principal) -> Iterator[Sequence[Any]]:
        for one in self._catalogues:
            yield (one.name,)

    def _db_schemas(self, command: Any, principal: Principal) -> Iterator[Sequence[Any]]:
        fits = _pattern(command, "db_schema_filter_pattern")
        for catalogue, relations in self._found(command, principal):
            for name in sorted({one.schema_name for one in relations}):
                if fits(name):
                    yield catalogue.name, name

    def _tables(self, command: Any, principal: Principal) -> Iterator[Sequence[Any]]:
        fits_schema = _pattern(command, "db_schema_filter_pattern")
        fits_table = _pattern(command, "table_name_filter_pattern")
        kinds = {_kind(one) for one in command.table_types}
        for catalogue, relations in self._found(command, principal):
            for one in sorted(relations, key=lambda one: (one.schema_name, one.name)):
                wanted = not kinds or one.kind in kinds
                if wanted and fits_schema(one.schema_name) and fits_table(one.name):
                    row = (catalogue.name, one.schema_name, one.name, one.kind)
                    yield (*row, _described(catalogue, one)) if command.include_schema else row

    def _primary_keys(self, command: Any, principal: Principal) -> Iterator[Sequence[Any]]:
        for catalogue, relations in self._found(command, principal):
            for one in relations:
                in_schema = not command.HasField("db_schema") or command.db_schema == (
                    one.schema_name
                )
                if one.name == command.table and in_schema:
                    for place, column in enumerate(one.key, 1):
                        yield catalogue.name, one.schema_name, one.name, column, None, place

    def _found(
        self, command: Any, principal: Principal
    ) -> Iterator[tuple[Catalogue, Sequence[Relation]]]:
        """The relations of the requested catalogue, or of all. If all are requested, an unavailable
        catalogue has none."""
        named = command.HasField("catalog")
        for one in self._catalogues:
            if named and command.catalog != one.name:
                continue
            try:
                yield one, one.relations(principal)
            except ServiceError as error:
                if named or error.status is not UNAVAILABLE:
                    raise
            except PlaneUnavailable:
                if named:
                    raise


def _described(catalogue: Catalogue, relation: Relation) -> bytes:
    """A table's schema as an IPC message, its columns with the protocol's metadata."""
    fields = [
        field.with_metadata(
            {
                METADATA + b"CATALOG_NAME": catalogue.name.encode(),
                METADATA + b"DB_SCHEMA_NAME": relation.schema_name.encode(),
                METADATA + b"TABLE_NAME": relation.name.encode(),
                METADATA + b"TYPE_NAME": f"{field.type}".encode(),
                METADATA + b"IS_AUTO_INCREMENT": b"0",
                METADATA + b"IS_CASE_SENSITIVE": b"1" if field.type == TEXT else b"0",
                METADATA + b"IS_READ_ONLY": b"1",
                METADATA + b"IS_SEARCHABLE": b"1",
                **_size(field.type),
            }
        )
        for field in relation.columns
    ]
    return pa.schema(fields).serialize().to_pybytes()


def _size(kind: pa.DataType) -> dict[bytes, bytes]:
    if not pa.types.is_decimal(kind):
        return {}
    return {
        METADATA + b"PRECISION": f"{kind.precision}".encode(),
        METADATA + b"SCALE": f"{kind.scale}".encode(),
    }


def _kind(requested: str) -> str:
    """The table type that a client means: some write SQL's `BASE TABLE`, or small letters."""
    return requested.upper().removeprefix("BASE ")


def _pattern(command: Any, name: str) -> Callable[[str], bool]:
    """Whether a name fits the pattern of a command, in which % is any text and _ any character; a
    backslash in front of either is the character itself."""
    if not command.HasField(name):
        return lambda text: True
    parts = re.findall(r"\\.|.", getattr(command, name), re.DOTALL)
    signs = {"%": ".*", "_": "."}
    regex = re.compile(
        "".join(
            signs.get(part) or re.escape(part[1:] if len(part) > 1 else part) for part in parts
        ),
        re.DOTALL,
    )
    return lambda text: regex.fullmatch(text) is not None


def _no_keys(command: Any, principal: Principal) -> Iterable[Sequence[Any]]:
    """Neither events nor documents have foreign keys in a schema."""
    return ()
