"""A GraphQL request fails, and a person on call follows it to the events of its order."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from adbc_driver_postgresql import dbapi
from pyarrow import flight
from stacks import WHOLE, Stack, own_folder, wait_until, whole

from fraiseql_assets.events.encode import Outgoing
from fraiseql_assets.requests.schema import REQUEST_SCHEMA
from fraiseql_assets.stream.connection import connect
from fraiseql_assets.stream.publish import publish

pytestmark = pytest.mark.timeout(300)

ORDER = "8f14e45f-ceea-467f-a0c4-5f7d1c5b6c1e"
TRACES = {"http": "4bf92f3577b34da6a3ce929d0e0e4736", "flight": "a" * 32}
QUERY = "query PriceOf($id: ID!) { orders(where: {id: {eq: $id}}) { id price } }"
TABLES = f"""
CREATE TABLE tb_order (id uuid PRIMARY KEY, total int NOT NULL, quantity int NOT NULL);
INSERT INTO tb_order VALUES ('{ORDER}', 100, 0);
CREATE VIEW v_order AS
SELECT id, jsonb_build_object('id', id, 'price', total / quantity) AS data FROM tb_order;
"""
COMPILED: dict[str, Any] = {
    "types": [
        {
            "name": "Order",
            "sql_source": "v_order",
            "jsonb_column": "data",
            "fields": [
                {"name": "id", "field_type": "ID", "nullable": False},
                {"name": "price", "field_type": "Int", "nullable": True},
            ],
        }
    ],
    "queries": [
        {
            "name": "orders",
            "return_type": "Order",
            "returns_list": True,
            "sql_source": "v_order",
            "jsonb_column": "data",
            "auto_params": {"has_where": True},
            "arguments": [],
        }
    ],
    "mutations": [],
    "subscriptions": [],
}


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A stack of its own, with a view that fails on an order, which two events are about."""
    with pytest.MonkeyPatch.context() as patch, own_folder() as folder:
        schema = folder / "schema.compiled.json"
        schema.write_text(json.dumps(COMPILED))
        patch.setenv("FRAISEQL_SCHEMA", str(schema))
        with whole(folder / "data") as stack:
            url = stack.settings.database_url.get_secret_value()
            with dbapi.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
                cursor.executescript(TABLES)
            asyncio.run(publish_events(stack))
            fail_over_http(stack)
            fail_over_flight(stack)
            yield stack


async def publish_events(stack: Stack) -> None:
    body = {
        "entity_type": "Order",
        "entity_id": ORDER,
        "timestamp": "2026-01-01T00:00:00Z",
        "data": {"quantity": 0},
    }
    async with connect(stack.settings, name="tests") as client:
        prefix = stack.settings.subject_prefix
        await publish(
            client,
            [
                Outgoing(
                    f"{prefix}.Order.{kind}",
                    json.dumps({**body, "id": f"e-{kind}", "event_type": kind}).encode(),
                    {},
                )
                for kind in ("INSERT", "UPDATE")
            ],
        )


def traceparent(transport: str) -> str:
    return f"00-{TRACES[transport]}-00f067aa0ba902b7-01"


def fail_over_http(stack: Stack) -> None:
    answer = httpx.post(
        f"{stack.settings.http_url}/graphql",
        json={"query": QUERY, "variables": {"id": ORDER}},
        headers={"traceparent": traceparent("http")},
        timeout=60,
    )
    assert "division by zero" in answer.text


def fail_over_flight(stack: Stack) -> None:
    ticket = {"type": "GraphQLQuery", "query": QUERY, "variables": {"id": ORDER}}
    options = flight.FlightCallOptions(
        headers=[(b"traceparent", traceparent("flight").encode())], timeout=60
    )
    with flight.connect(stack.settings.flight_url) as client:
        reader = client.do_get(flight.Ticket(json.dumps(ticket).encode()), options)
        with pytest.raises(Exception, match="division by zero"):
            reader.read_all()


def command(stack: Stack, *words: str) -> str:
    """What a command prints."""
    lines = (stack.folder / "endpoints.env").read_text().splitlines()
    done = subprocess.run(
        [sys.executable, "-c", WHOLE, *words],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "COLUMNS": "200", **dict(line.split("=", 1) for line in lines)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def found(stack: Stack, *words: str) -> list[dict[str, Any]]:
    """The hits that the command line prints."""
    printed = command(stack, "search", *words, "--format", "json")
    return [json.loads(line) for line in printed.splitlines()]


def arrived(stack: Stack, count: int, **parameters: str) -> bool:
    """Whether a search over HTTP has so many hits. An index in the making is unavailable."""
    answer = httpx.get(f"{stack.settings.http_url}/search", params=parameters, timeout=60)
    return answer.status_code == 200 and len(answer.json()["hits"]) == count


def over_http(stack: Stack, **parameters: str) -> list[dict[str, Any]]:
    """The hits that `curl` gets."""
    answer = httpx.get(f"{stack.settings.http_url}/search", params=parameters, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()["hits"]


def test_a_failed_request_is_found_by_its_error_and_leads_to_its_order(stack: Stack) -> None:
    wait_until(lambda: arrived(stack, 2, q="division"), stack.printed)
    wait_until(lambda: arrived(stack, 2, entity=ORDER, kinds="events"), stack.printed)
    by_command = found(stack, "division", "--requests", "--since", "1h")
    assert {hit["transport"] for hit in by_command} == {"http", "flight"}
    assert {hit["operation_name"] for hit in by_command} == {"PriceOf"}
    order = json.loads(by_command[0]["variables"])["id"]
    timeline = found(stack, "--id", order)
    assert [hit["kind"] for hit in timeline] == ["event", "event", "request", "request"]
    assert timeline == sorted(timeline, key=lambda hit: hit["timestamp"])
    assert [hit["event_type"] for hit in timeline[:2]] == ["INSERT", "UPDATE"]
    hit, *_ = over_http(stack, q="division", since="1h")
    assert "<em>division</em>" in " ".join(hit["highlights"])
    assert [each["id"] for each in over_http(stack, id=hit["variables"]["id"])] == [
        each["id"] for each in timeline
    ]
    shown = command(stack, "search", "--id", order)
    assert "PriceOf error" in shown
    assert "Order INSERT" in shown


def test_a_failed_request_is_found_by_its_trace_id(stack: Stack) -> None:
    for transport, trace in TRACES.items():
        wait_until(lambda trace=trace: arrived(stack, 1, id=trace), stack.printed)
        [hit] = over_http(stack, id=trace)
        assert (hit["transport"], hit["trace_id"]) == (transport, trace)


def test_similar_failed_requests_are_found_and_counted(stack: Stack) -> None:
    wait_until(lambda: arrived(stack, 2, q="division"), stack.printed)
    one, other = found(stack, "--failed")
    assert [hit["id"] for hit in found(stack, "--similar", one["id"])] == [other["id"]]
    [counted] = found(stack, "--count", "error")
    assert (counted["kind"], counted["count"]) == ("request", 2)
    by_type = {
        (each["kind"], each["key"]): each["count"] for each in found(stack, "--count", "type")
    }
    assert by_type["request", "query"] == 2
    assert by_type["event", "Order.UPDATE"] == 1


def test_requests_are_an_asset_over_flight_and_counted_by_status(stack: Stack) -> None:
    wait_until(lambda: arrived(stack, 2, q="division"), stack.printed)
    with flight.connect(stack.settings.flight_url) as client:
        for path in (("operational", "requests"), ("stream", "requests")):
            info = client.get_flight_info(flight.FlightDescriptor.for_path(*path))
            tables = [client.do_get(end.ticket).read_all() for end in info.endpoints]
            assert all(table.schema == REQUEST_SCHEMA for table in tables)
            assert sum(table.num_rows for table in tables) == 2
    status = json.loads(command(stack, "status", "--json"))
    [of_plane] = status["requests"]["planes"]
    assert (of_plane["plane"], of_plane["rows"], of_plane["behind"]) == ("operational", 2, 0)
    assert "operational/requests" in command(stack, "status")
    assert "operational plane, requests" in command(stack, "doctor")
