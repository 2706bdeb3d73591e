"""Flight SQL's bulk ingest, with which ADBC's `adbc_ingest` writes: a DoPut whose command names the
table."""

from flight_service.errors import InvalidRequest, Unimplemented
from flight_service.sql.commands import PREFIX, expected, type_url
from flight_service.sql.protocol import FlightSql_pb2 as protocol
from flight_service.tickets import shown

Ingest = protocol.CommandStatementIngest
Options = Ingest.TableDefinitionOptions

TYPE_URL = f"{PREFIX}{Ingest.DESCRIPTOR.full_name}"
TABLES = "fraiseql"
"""The catalogue of PostgreSQL's tables."""
APPEND = "Use the mode 'append'."


def is_ingest(data: bytes) -> bool:
    """Whether the command of a descriptor is a bulk ingest.

    Raises:
        InvalidRequest: it is a broken command of Flight SQL.
    """
    return type_url(data) == TYPE_URL


def target_of(data: bytes) -> str:
    """The name of what the command writes to, as the settings would list it.

    Raises:
        Unimplemented: it asks for more than appending to what is there.
        InvalidRequest: it names no table, or one of another catalogue.
    """
    command = expected(data, Ingest)
    if command.transaction_id:
        raise Unimplemented("This service has no transactions: an ingest is one of its own")
    if command.temporary:
        raise Unimplemented(f"This service has no temporary tables. {APPEND}")
    _check_mode(command.table_definition_options)
    if not command.table:
        raise InvalidRequest("The ingest names no table.")
    if command.catalog not in ("", TABLES):
        raise InvalidRequest(
            f"Nothing can be ingested into the catalogue {shown(command.catalog)}. Leave the "
            f"catalogue out for events; that of PostgreSQL's tables is {TABLES!r}."
        )
    return f"{command.schema}.{command.table}" if command.schema else command.table


def result_of(rows: int) -> bytes:
    """The answer to an ingest that has written so many rows."""
    return protocol.DoPutUpdateResult(record_count=rows).SerializeToString()


def _check_mode(mode: Options) -> None:
    """Refuses what would make or drop a table. A table that may be made is taken if it is there."""
    if mode.if_exists == Options.TABLE_EXISTS_OPTION_REPLACE:
        raise Unimplemented(f"This service drops no tables, as 'replace' would. {APPEND}")
    if mode.if_exists == Options.TABLE_EXISTS_OPTION_FAIL:
        raise Unimplemented(f"This service makes no tables, as 'create' would. {APPEND}")
    if (
        mode.if_exists != Options.TABLE_EXISTS_OPTION_APPEND
        or mode.if_not_exist == Options.TABLE_NOT_EXIST_OPTION_UNSPECIFIED
    ):
        raise InvalidRequest(f"The ingest does not say what to do with its table. {APPEND}")
