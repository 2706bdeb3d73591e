"""Every RPC of Flight SQL over the real server, with a fake catalogue.

The fake catalogue is part of it, so the file is longer than others.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pyarrow as pa
import pytest
from pyarrow import flight

from flight_service.addresses import Address
from flight_service.assets import named
from flight_service.authentication import Principal
from flight_service.registry import Registry
from flight_service.server import FlightServer
from flight_service.sql.actions import SqlActions
from flight_service.sql.catalogue import Binding, Dialect, Execution, Relation, Statement
from flight_service.sql.commands import SqlCommand, expected, pack
from flight_service.sql.protocol import Flight_pb2 as base
from flight_service.sql.protocol import FlightSql_pb2 as protocol
from flight_service.sql.service import FlightSql
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.settings import Settings
from tests.flight_messages import flight_data
from tests.unit.flight_server import Flights, Made

COLUMNS = pa.schema(
    [pa.field("id", pa.int64(), nullable=False), pa.field("price", pa.decimal128(12, 2))]
)
RESULT = pa.schema([pa.field("n", pa.int64(), nullable=False), pa.field("given", pa.string())])


@dataclass(frozen=True)
class Repeated:
    """One batch for each row of values."""

    binding: Binding
    schema: pa.Schema = RESULT

    def batches(self, cancellation: Cancellation) -> Iterator[pa.RecordBatch]:
        for number, row in enumerate(self.binding.rows):
            columns = [pa.array([number], pa.int64()), pa.array([str(row)])]
            yield pa.record_batch(columns, RESULT)


@dataclass(frozen=True)
class Held:
    """Two relations, and the principals that asked for them."""

    name: str
    dialect: Dialect = "postgres"
    asked: list[Principal] = field(default_factory=list)

    def relations(self, principal: Principal) -> Sequence[Relation]:
        self.asked.append(principal)
        return [
            Relation("one", "orders", "TABLE", COLUMNS, "SELECT 1", key=("id",)),
            Relation("two", "orders_daily", "VIEW", COLUMNS, "SELECT 2"),
        ]

    def execution(self, statement: Statement, binding: Binding, principal: Principal) -> Execution:
        return Repeated(binding)


@pytest.fixture(scope="module")
def server() -> Iterator[FlightServer]:
    sql = FlightSql([Held("shop"), Held("archive")], is_guarded=False)
    registry = Registry(
        {Made: Flights().resolve, SqlCommand: sql.resolve}, named, (), sql=SqlActions(sql)
    )
    address = Address("grpc", "127.0.0.1", 0, "FRAISEQL_FLIGHT_URL")
    server = FlightServer(address, Settings(), registry)
    yield server
    server.stop(10)


@pytest.fixture(scope="module")
def client(server: FlightServer) -> Iterator[flight.FlightClient]:
    with flight.connect(str(server.address)) as client:
        yield client


def described(command: Any) -> flight.FlightDescriptor:
    return flight.FlightDescriptor.for_command(pack(command))


def read(client: flight.FlightClient, command: Any) -> pa.Table:
    """What a command gives, after its schema was told the same in each way."""
    info = client.get_flight_info(described(command))
    [endpoint] = info.endpoints
    found = client.do_get(endpoint.ticket).read_all()
    assert found.schema.equals(info.schema)
    assert client.get_schema(described(command)).schema.equals(info.schema)
    found.validate(full=True)
    return found


def test_catalogues_and_schemas_are_listed(client: flight.FlightClient) -> None:
    assert read(client, protocol.CommandGetCatalogs()).to_pydict() == {
        "catalog_name": ["archive", "shop"]
    }
    assert read(client, protocol.CommandGetDbSchemas()).to_pydict() == {
        "catalog_name": ["archive", "archive", "shop", "shop"],
        "db_schema_name": ["one", "two", "one", "two"],
    }
    narrowed = protocol.CommandGetDbSchemas(catalog="shop", db_schema_filter_pattern="t%")
    assert read(client, narrowed).num_rows == 1
    assert read(client, protocol.CommandGetDbSchemas(catalog="")).num_rows == 0


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ({}, 4),
        ({"catalog": "shop"}, 2),
        ({"catalog": "nothing"}, 0),
        ({"table_types": ["VIEW"]}, 2),
        ({"table_types": ["VIEW", "TABLE"]}, 4),
        ({"table_types": ["view"]}, 2),
        ({"table_types": ["BASE TABLE", "table"]}, 2),
        ({"table_types": ["SYSTEM TABLE"]}, 0),
        ({"table_name_filter_pattern": "orders"}, 2),
        ({"table_name_filter_pattern": "orders%"}, 4),
        ({"table_name_filter_pattern": "orders_"}, 0),
        ({"table_name_filter_pattern": r"orders\_daily"}, 2),
        ({"table_name_filter_pattern": "orders.daily"}, 0),
        ({"table_name_filter_pattern": ""}, 0),
        ({"db_schema_filter_pattern": "on_"}, 2),
    ],
)
def test_tables_are_listed_by_pattern(
    client: flight.FlightClient, asked: dict[str, Any], wanted: int
) -> None:
    found = read(client, protocol.CommandGetTables(**asked))
    assert found.num_rows == wanted
    assert found.num_columns == 4
    with_schema = read(client, protocol.CommandGetTables(**asked, include_schema=True))
    assert with_schema.num_columns == 5
    for text in with_schema["table_schema"].to_pylist():
        told = pa.ipc.read_schema(pa.py_buffer(text))
        assert told.equals(COLUMNS)
        assert told.field("price").metadata[b"ARROW:FLIGHT:SQL:SCALE"] == b"2"


def test_types_and_keys_are_listed(client: flight.FlightClient) -> None:
    assert read(client, protocol.CommandGetTableTypes())["table_type"].to_pylist() == [
        "TABLE",
        "VIEW",
    ]
    keys = read(client, protocol.CommandGetPrimaryKeys(catalog="shop", table="orders"))
    assert keys.to_pylist() == [
        {
            "catalog_name": "shop",
            "db_schema_name": "one",
            "table_name": "orders",
            "column_name": "id",
            "key_name": None,
            "key_sequence": 1,
        }
    ]
    for kind in (protocol.CommandGetExportedKeys, protocol.CommandGetImportedKeys):
        assert read(client, kind(table="orders")).num_columns == 13
    cross = protocol.CommandGetCrossReference(pk_table="orders", fk_table="orders_daily")
    assert read(client, cross).num_rows == 0


def test_sql_info_is_complete(client: flight.FlightClient) -> None:
    every = read(client, protocol.CommandGetSqlInfo())
    assert set(every["info_name"].to_pylist()) == set(protocol.SqlInfo.values())
    name = protocol.SqlInfo.FLIGHT_SQL_SERVER_NAME
    quote = protocol.SqlInfo.SQL_IDENTIFIER_QUOTE_CHAR
    some = read(client, protocol.CommandGetSqlInfo(info=[quote, name]))
    assert some.to_pydict() == {"info_name": [quote, name], "value": ['"', "FraiseQL"]}
    types = read(client, protocol.CommandGetXdbcTypeInfo())
    assert types["data_type"].to_pylist() == sorted(types["data_type"].to_pylist())
    one = protocol.CommandGetXdbcTypeInfo(data_type=protocol.XDBC_VARCHAR)
    assert read(client, one)["type_name"].to_pylist() == ["VARCHAR"]


def test_a_statement_is_read_with_its_ticket(client: flight.FlightClient) -> None:
    assert read(client, protocol.CommandStatementQuery(query="SELECT 1")).num_rows == 1


def act(client: flight.FlightClient, name: str, body: bytes, cookie: str = "") -> list[bytes]:
    options = flight.FlightCallOptions(headers=[(b"cookie", cookie.encode())] if cookie else [])
    return [one.body.to_pybytes() for one in client.do_action(flight.Action(name, body), options)]


def prepare(client: flight.FlightClient, sql: str) -> protocol.ActionCreatePreparedStatementResult:
    body = pack(protocol.ActionCreatePreparedStatementRequest(query=sql))
    [result] = act(client, "CreatePreparedStatement", body)
    return expected(result, protocol.ActionCreatePreparedStatementResult)


def test_a_prepared_statement_is_bound_executed_and_closed(client: flight.FlightClient) -> None:
    made = prepare(client, "SELECT * FROM orders WHERE id = ?")
    told = pa.ipc.read_schema(pa.py_buffer(made.parameter_schema))
    assert told.types == [pa.int64()]
    assert pa.ipc.read_schema(pa.py_buffer(made.dataset_schema)).equals(RESULT)
    handle = made.prepared_statement_handle
    command = protocol.CommandPreparedStatementQuery(prepared_statement_handle=handle)
    with pytest.raises(pa.ArrowInvalid, match="Bind their values"):
        client.get_flight_info(described(command))
    values = pa.table({"x": pa.array([5, None, 7])})
    writer, reader = client.do_put(described(command), values.schema)
    writer.write_table(values)
    writer.done_writing()
    answer = protocol.DoPutPreparedStatementResult.FromString(reader.read().to_pybytes())
    writer.close()
    assert answer.prepared_statement_handle == handle
    assert read(client, command)["given"].to_pylist() == ["(5,)", "(None,)", "(7,)"]
    close = protocol.ActionClosePreparedStatementRequest(prepared_statement_handle=handle)
    assert act(client, "ClosePreparedStatement", pack(close)) == []
    with pytest.raises(pa.ArrowInvalid, match="Prepare it again"):
        client.get_flight_info(described(command))


def test_values_behind_empty_messages_are_bound(
    server: FlightServer, client: flight.FlightClient
) -> None:
    made = prepare(client, "SELECT * FROM orders WHERE id = ?")
    handle = made.prepared_statement_handle
    command = protocol.CommandPreparedStatementQuery(prepared_statement_handle=handle)
    values = [pa.record_batch({"x": [number]}) for number in (5, 7)]
    descriptor = base.FlightDescriptor(type=base.FlightDescriptor.CMD, cmd=pack(command))
    schema, *batches = [flight_data(one.serialize()) for one in (values[0].schema, *values)]
    schema.flight_descriptor.CopyFrom(descriptor)
    empty = base.FlightData()
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        put = channel.stream_stream(
            "/arrow.flight.protocol.FlightService/DoPut",
            base.FlightData.SerializeToString,
            base.PutResult.FromString,
        )
        sent = iter([schema, empty, batches[0], empty, empty, batches[1]])
        [_] = put(sent, timeout=10)
    assert read(client, command)["given"].to_pylist() == ["(5,)", "(7,)"]


@pytest.mark.parametrize(
    "command",
    [
        protocol.CommandStatementUpdate(query="DELETE FROM orders"),
        protocol.CommandPreparedStatementUpdate(prepared_statement_handle=b"x"),
        protocol.CommandStatementIngest(table="orders"),
        protocol.CommandStatementSubstraitPlan(),
    ],
    ids=lambda one: type(one).__name__,
)
def test_updates_are_unimplemented(client: flight.FlightClient, command: Any) -> None:
    with pytest.raises(NotImplementedError):
        client.get_flight_info(described(command))
    writer, _ = client.do_put(described(command), COLUMNS)
    with pytest.raises(NotImplementedError):
        writer.close()


def test_transactions_are_unimplemented(client: flight.FlightClient) -> None:
    for name in ("BeginTransaction", "EndTransaction", "BeginSavepoint", "EndSavepoint"):
        with pytest.raises(NotImplementedError, match="no transactions"):
            act(client, name, b"")
    names = {one.type for one in client.list_actions()}
    assert {"CreatePreparedStatement", "CancelFlightInfo", "SetSessionOptions"} <= names
    assert "BeginTransaction" not in names


@pytest.mark.parametrize(
    "data",
    [
        pack(protocol.CommandStatementQuery(query="SELECT 1"))[:-3],
        pack(protocol.CommandStatementQuery(query="SELECT 1")) + b"\xff",
        pack(protocol.TicketStatementQuery(statement_handle=b"forged" * 20)),
        pack(protocol.TicketStatementQuery()),
        pack(protocol.ActionClosePreparedStatementRequest()),
        pack(protocol.CommandPreparedStatementQuery(prepared_statement_handle=b"\xff\x00")),
        pack(protocol.CommandStatementQuery()),
        pack(protocol.CommandGetSqlInfo(info=[9999])),
        b"\n\x40type.googleapis.com/arrow.flight.protocol.sql.",
    ],
)
def test_bytes_that_are_not_a_command_are_refused(client: flight.FlightClient, data: bytes) -> None:
    with pytest.raises(pa.ArrowInvalid):
        client.do_get(flight.Ticket(data)).read_all()
    for name in ("CreatePreparedStatement", "ClosePreparedStatement", "CancelQuery"):
        with pytest.raises(pa.ArrowInvalid):
            act(client, name, data)


def test_a_statement_is_cancelled_with_its_flight_info(client: flight.FlightClient) -> None:
    command = described(protocol.CommandStatementQuery(query="SELECT 1"))
    for name, wrap in (
        ("CancelFlightInfo", lambda info: base.CancelFlightInfoRequest(
            info=base.FlightInfo.FromString(info)).SerializeToString()),
        ("CancelQuery", lambda info: pack(protocol.ActionCancelQueryRequest(info=info))),
    ):  # fmt: skip
        info = client.get_flight_info(command)
        assert len(act(client, name, wrap(info.serialize()))) == 1
    catalogs = client.get_flight_info(described(protocol.CommandGetCatalogs())).serialize()
    request = base.CancelFlightInfoRequest(info=base.FlightInfo.FromString(catalogs))
    for body in (b"", b"\xff\xff", request.SerializeToString()):
        with pytest.raises(pa.ArrowInvalid):
            act(client, "CancelFlightInfo", body)


def options_of(**chosen: str) -> bytes:
    request = base.SetSessionOptionsRequest()
    for name, text in chosen.items():
        request.session_options[name].string_value = text
    return request.SerializeToString()


def test_session_options_are_kept_by_cookie(client: flight.FlightClient) -> None:
    one, other = "arrow_flight_session_id=one", "arrow_flight_session_id=other; x=y"
    [answer] = act(client, "SetSessionOptions", options_of(catalog="archive", schema="two"), one)
    assert not base.SetSessionOptionsResult.FromString(answer).errors
    [answer] = act(client, "GetSessionOptions", b"", one)
    options = base.GetSessionOptionsResult.FromString(answer).session_options
    assert {name: option.string_value for name, option in options.items()} == {
        "catalog": "archive",
        "schema": "two",
    }
    with pytest.raises(pa.ArrowInvalid, match="no session"):
        act(client, "GetSessionOptions", b"", other)
    [answer] = act(client, "SetSessionOptions", options_of(catalog="no", colour="red"), other)
    errors = base.SetSessionOptionsResult.FromString(answer).errors
    assert {name: error.value for name, error in errors.items()} == {
        "catalog": base.SetSessionOptionsResult.INVALID_VALUE,
        "colour": base.SetSessionOptionsResult.INVALID_NAME,
    }
    [answer] = act(client, "CloseSession", b"", one)
    status = base.CloseSessionResult.FromString(answer).status
    assert status == base.CloseSessionResult.CLOSED
    with pytest.raises(pa.ArrowInvalid, match="no session"):
        act(client, "CloseSession", b"", one)


def test_without_flight_sql_a_command_is_unimplemented() -> None:
    registry = Registry({Made: Flights().resolve}, named, ())
    address = Address("grpc", "127.0.0.1", 0, "FRAISEQL_FLIGHT_URL")
    server = FlightServer(address, Settings(), registry)
    with flight.connect(str(server.address)) as client:
        for call in (client.get_flight_info, client.get_schema):
            with pytest.raises(NotImplementedError, match="FRAISEQL_SQL"):
                call(described(protocol.CommandGetCatalogs()))
    server.stop(10)


NOT_OFFERED = {
    "CommandStatementUpdate",
    "CommandPreparedStatementUpdate",
    "CommandStatementSubstraitPlan",
}


def test_the_page_lists_every_command_and_action(client: flight.FlightClient) -> None:
    page = (Path(__file__).parents[2] / "docs" / "flight-sql.md").read_text()
    messages = protocol.DESCRIPTOR.message_types_by_name
    commands = {name for name in messages if name.startswith("Command")} - NOT_OFFERED
    actions = {action.type for action in client.list_actions()} - {"HealthCheck"}
    assert "CreatePreparedStatement" in actions
    assert {name for name in commands | actions if f"`{name}`" not in page} == set()
