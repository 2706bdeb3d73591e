"""Flight SQL by Arrow's JDBC driver, in a Java virtual machine of its own.

The driver's jar comes from Maven Central, by its checksum, into the user's cache.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import graphql_shop as shop
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from flights import Service
from jdbc_client import PLACES
from jdbc_driver import driver_jar
from pyarrow import flight
from sql_service import DAY, ROWS, sql_service, store

from flight_service.identity.passwords import hashed
from flight_service.identity.users import User, write_users
from flight_service.sql.commands import pack
from flight_service.sql.protocol import FlightSql_pb2 as protocol
from fraiseql_assets.analytics.schemas import SCHEMAS
from tests.tokens import signed
from tests.unit.flight_server import SECRET, Flights, start_server
from tests.unit.test_identity_sessions import Calls

CLIENT = Path(__file__).with_name("jdbc_client.py")
LOGINS = Path(__file__).with_name("jdbc_logins.py")
SECONDS = 150


@pytest.fixture(scope="session")
def driver() -> Path:
    """The driver's jar."""
    return driver_jar()


@pytest.fixture(scope="module")
def filled(
    clickhouse_url: str, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Service, pa.Table]]:
    shop.create(database_url)
    folder = tmp_path_factory.mktemp("schema")
    with sql_service(clickhouse_url, database_url, folder, sql_parallel_rows=ROWS) as found:
        service, events = found
        earlier = store(service, DAY - timedelta(days=1), ROWS, first=ROWS + 1)
        yield service, pa.concat_tables([events, earlier])


@pytest.fixture(scope="module")
def answers(filled: tuple[Service, pa.Table], driver: Path) -> dict[str, Any]:
    """What the client got."""
    address = filled[0].settings.flight_url.removeprefix("grpc://")
    url = f"jdbc:arrow-flight-sql://{address}/?useEncryption=false"
    done = subprocess.run(
        [sys.executable, str(CLIENT), str(driver), url],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_metadata_calls_of_a_bi_tool_are_answered(answers: dict[str, Any]) -> None:
    assert answers["product"] == "FraiseQL"
    assert answers["quote"] == '"'
    assert answers["read_only"] is True
    assert answers["terms"] == ["catalogue", "schema", "procedure"]
    assert [row[0] for row in answers["catalogs"]] == ["analytics", "fraiseql"]
    assert ["public", "analytics"] in answers["schemas"]
    assert answers["table_types"] == [["TABLE"], ["VIEW"]]
    assert {"fraiseql_events", "fraiseql_org_daily", "v_author"} <= set(answers["tables"])
    columns = SCHEMAS["analytics/org_daily"]
    nullable = [[field.name, "1" if field.nullable else "0"] for field in columns]
    assert [[name, null] for name, _, null in answers["columns"]] == nullable
    assert answers["primary_keys"] == ["event_id"]
    assert answers["imported_keys"] == []


def test_plain_and_prepared_statements_are_executed(
    answers: dict[str, Any], filled: tuple[Service, pa.Table]
) -> None:
    events = filled[1]
    assert answers["ping"] == [["1"]]
    assert sum(int(count) for _, count in answers["events"]) == events.num_rows
    assert answers["wide"] == len(SCHEMAS["analytics/events"])
    first = events.filter(pc.field("stream_seq") <= 1000)
    kinds = first["entity_type"].to_pylist()
    assert answers["prepared"] == [kinds.count("Order"), kinds.count("Payment")]
    assert "There is no relation nothing" in answers["refused"]


def test_all_endpoints_of_a_statement_are_read(
    answers: dict[str, Any], filled: tuple[Service, pa.Table]
) -> None:
    service, events = filled
    command = pack(protocol.CommandStatementQuery(query=PLACES))
    descriptor = flight.FlightDescriptor.for_command(command)
    assert len(service.client.get_flight_info(descriptor).endpoints) == 2
    assert sorted(answers["all"]) == sorted(events["stream_seq"].to_pylist())


def test_the_driver_logs_in_with_a_password_or_a_token(driver: Path, tmp_path: Path) -> None:
    write_users(users := tmp_path / "users.json", {"ada": User(hashed("correct", cost=16))})
    calls = Calls()
    with start_server(Flights(), calls, users_file=users, jwt_secret=SECRET) as server:
        address = str(server.address).removeprefix("grpc://")
        url = f"jdbc:arrow-flight-sql://{address}/?useEncryption=false"
        logins = ("user=ada&password=correct", f"token={signed(SECRET, sub='bob')}")
        wrong = "user=ada&password=wrong"
        done = subprocess.run(
            [
                sys.executable,
                str(LOGINS),
                str(driver),
                *(f"{url}&{one}" for one in (*logins, wrong)),
            ],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    *right, refused = json.loads(done.stdout)
    assert right == ["", ""]
    assert "The user name or the password is wrong" in refused
    assert [call.principal.subject for call, _ in calls.ended] == ["ada", "bob", None]
