"""A GraphQL request fails, and a person on call follows it to the events of its order."""

import asyncio
import json
from typing import Any

import pyarrow.compute as pc
import pytest
import requests
from command_line import invoke
from order_view import ORDER
from pyarrow import flight
from stacks import Stack, wait_until

from fraiseql_assets.events.encode import Outgoing
from fraiseql_assets.requests.schema import REQUEST_SCHEMA
from fraiseql_assets.stream.connection import connect
from fraiseql_assets.stream.publish import publish

pytestmark = pytest.mark.timeout(300)

TRACES = {"http": "4bf92f3577b34da6a3ce929d0e0e4736", "flight": "a" * 32}
QUERY = "query PriceOf($id: ID!) { orders(where: {id: {eq: $id}}) { id price } }"


@pytest.fixture(scope="module", autouse=True)
def failures(stack: Stack) -> None:
    """Requests that fail on an order, which two events are about."""
    asyncio.run(publish_events(stack))
    fail_over_http(stack)
    fail_over_flight(stack)


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
    answer = requests.post(
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
    variables = dict(line.split("=", 1) for line in lines)
    done = invoke({**variables, "COLUMNS": "200"}, *words)
    assert done.exit_code == 0, done.output
    return done.stdout


def found(stack: Stack, *words: str) -> list[dict[str, Any]]:
    """The hits that the command line prints."""
    printed = command(stack, "search", *words, "--format", "json")
    return [json.loads(line) for line in printed.splitlines()]


def arrived(stack: Stack, count: int, **parameters: str) -> bool:
    """Whether a search over HTTP has so many hits. An index in the making is unavailable."""
    answer = requests.get(f"{stack.settings.http_url}/search", params=parameters, timeout=60)
    return answer.status_code == 200 and len(answer.json()["hits"]) == count


def over_http(stack: Stack, **parameters: str) -> list[dict[str, Any]]:
    """The hits that `curl` gets."""
    answer = requests.get(f"{stack.settings.http_url}/search", params=parameters, timeout=60)
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
    # Other tests have published other events and requests into the same planes.
    of_order = ("--id", ORDER)
    one, other = found(stack, "--failed", *of_order)
    assert [hit["id"] for hit in found(stack, "--similar", one["id"])] == [other["id"]]
    [counted] = found(stack, "--count", "error", *of_order)
    assert (counted["kind"], counted["count"]) == ("request", 2)
    by_type = {
        (each["kind"], each["key"]): each["count"]
        for each in found(stack, "--count", "type", *of_order)
    }
    assert by_type["request", "query"] == 2
    assert by_type["event", "Order.UPDATE"] == 1


def test_requests_are_an_asset_over_flight_and_counted_by_status(stack: Stack) -> None:
    wait_until(lambda: arrived(stack, 2, q="division"), stack.printed)
    rows: dict[str, int] = {}
    with flight.connect(stack.settings.flight_url) as client:
        for path in (("operational", "requests"), ("stream", "requests")):
            info = client.get_flight_info(flight.FlightDescriptor.for_path(*path))
            tables = [client.do_get(end.ticket).read_all() for end in info.endpoints]
            assert all(table.schema == REQUEST_SCHEMA for table in tables)
            rows[path[0]] = sum(table.num_rows for table in tables)
            mine = pc.field("trace_id").isin([*TRACES.values()])
            assert sum(table.filter(mine).num_rows for table in tables) == 2
    status = json.loads(command(stack, "status", "--json"))
    [of_plane] = status["requests"]["planes"]
    assert (of_plane["plane"], of_plane["rows"], of_plane["behind"]) == (
        "operational", rows["operational"], 0
    )  # fmt: skip
    assert "operational/requests" in command(stack, "status")
    assert "operational plane, requests" in command(stack, "doctor")
