"""Flight SQL's bulk ingest: what it names, and which of its modes make sense."""

from typing import Any

import pytest

from flight_service.errors import InvalidRequest, ServiceError, Unimplemented
from flight_service.sql.commands import pack
from flight_service.sql.info import sql_info
from flight_service.sql.protocol import FlightSql_pb2 as protocol
from flight_service.writing.ingest import Ingest, Options, is_ingest, result_of, target_of

APPEND = Options(
    if_not_exist=Options.TABLE_NOT_EXIST_OPTION_FAIL, if_exists=Options.TABLE_EXISTS_OPTION_APPEND
)
CREATE_APPEND = Options(
    if_not_exist=Options.TABLE_NOT_EXIST_OPTION_CREATE,
    if_exists=Options.TABLE_EXISTS_OPTION_APPEND,
)
CREATE = Options(
    if_not_exist=Options.TABLE_NOT_EXIST_OPTION_CREATE, if_exists=Options.TABLE_EXISTS_OPTION_FAIL
)
REPLACE = Options(
    if_not_exist=Options.TABLE_NOT_EXIST_OPTION_CREATE,
    if_exists=Options.TABLE_EXISTS_OPTION_REPLACE,
)


def ingest(mode: Options = APPEND, **fields: Any) -> bytes:
    return pack(Ingest(table_definition_options=mode, **fields))


def test_only_ingest_commands_are_recognised() -> None:
    assert is_ingest(ingest(table="events"))
    assert not is_ingest(pack(protocol.CommandGetCatalogs()))
    assert not is_ingest(b'{"type": "Upload", "table": "events"}')
    assert not is_ingest(b"")


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"table": "events"}, "events"),
        ({"table": "tb_order", "schema": "sales"}, "sales.tb_order"),
        ({"table": "tb_order", "schema": "sales", "catalog": "fraiseql"}, "sales.tb_order"),
        ({"table": "sales.tb_order"}, "sales.tb_order"),
        ({"table": "events", "options": {"a": "b"}}, "events"),
        ({"mode": CREATE_APPEND, "table": "events"}, "events"),
    ],
)
def test_a_table_is_named_as_the_setting_lists_it(fields: dict[str, Any], name: str) -> None:
    assert target_of(ingest(**fields)) == name


@pytest.mark.parametrize(
    ("fields", "kind", "said"),
    [
        ({"mode": CREATE}, Unimplemented, "makes no tables, as 'create' would. Use the mode"),
        ({"mode": REPLACE}, Unimplemented, "drops no tables, as 'replace' would. Use the mode"),
        ({"temporary": True}, Unimplemented, "no temporary tables. Use the mode 'append'"),
        ({"transaction_id": b"1"}, Unimplemented, "no transactions"),
        ({"mode": Options()}, InvalidRequest, "does not say what to do with its table"),
        ({"table": ""}, InvalidRequest, "names no table"),
        ({"catalog": "analytics"}, InvalidRequest, "into the catalogue 'analytics'. Leave the"),
    ],
)
def test_unsupported_options_are_refused(
    fields: dict[str, Any], kind: type[ServiceError], said: str
) -> None:
    with pytest.raises(kind) as caught:
        target_of(ingest(**{"table": "events", **fields}))
    assert said in str(caught.value)


def test_the_response_has_the_number_of_rows() -> None:
    assert protocol.DoPutUpdateResult.FromString(result_of(7)).record_count == 7


@pytest.mark.parametrize("ingests", [True, False])
def test_sql_info_says_whether_ingest_is_enabled(ingests: bool) -> None:
    asked = [protocol.FLIGHT_SQL_SERVER_BULK_INGESTION, protocol.FLIGHT_SQL_SERVER_READ_ONLY]
    assert sql_info(asked, ingests=ingests)["value"].to_pylist() == [ingests, not ingests]
