"""Search on the command line, over HTTP and over Flight: the same results."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest
import requests
from command_line import invoke
from event_tables import DAY, block, event
from flights import Service, environment, serving
from pyarrow import flight
from pydantic import SecretStr
from tokens import signed
from typer.testing import Result

from flight_service.errors import sentence_of
from fraiseql_assets.operational.client import connect
from fraiseql_assets.operational.plane import OperationalPlane
from fraiseql_assets.operational.search.schema import COUNT_SCHEMA, HIT_SCHEMA
from fraiseql_assets.settings import Settings

SECRET = "a secret that is long enough for HS256"
ORDER = "8f14e45f-ceea-467f-a0c4-5f7d1c5b6c1e"


def token(**claims: Any) -> str:
    return signed(SECRET, **{"sub": "ada", **claims})


@pytest.fixture(scope="module")
def service(module_settings: Settings) -> Iterator[Service]:
    plane = OperationalPlane(module_settings)
    plane.setup()
    plane.write(
        block(
            [
                event(1, entity_id=ORDER, data='{"note":"payment declined"}'),
                event(2, entity_id=ORDER, event_type="UPDATE"),
                event(3, tenant_id="other", data='{"note":"payment taken"}'),
            ]
        )
    )
    assert plane.count(DAY).rows == 3
    with serving(module_settings, jwt_secret=SecretStr(SECRET)) as service:
        yield service
    plane.close()


def over_http(service: Service, parameters: dict[str, Any], **claims: Any) -> requests.Response:
    headers = {"authorization": f"Bearer {token(**claims)}"}
    url = f"{service.settings.http_url}/search"
    return requests.get(url, params=parameters, headers=headers, timeout=60)


def over_flight(service: Service, ticket: dict[str, Any], **claims: Any) -> pa.Table:
    header = (b"authorization", f"Bearer {token(**claims)}".encode())
    options = flight.FlightCallOptions(headers=[header])
    data = json.dumps({"type": "Search", **ticket}).encode()
    info = service.client.get_flight_info(flight.FlightDescriptor.for_command(data), options)
    table = service.client.do_get(info.endpoints[0].ticket, options).read_all()
    assert table.schema == info.schema
    return table


def on_the_command_line(service: Service, *arguments: str, **claims: Any) -> Result:
    settings = service.settings.model_copy(
        update={"jwt_secret": None, "flight_token": SecretStr(token(**claims))}
    )
    return invoke({**environment(settings), "COLUMNS": "200"}, "search", *arguments)


def test_all_three_interfaces_return_the_same_hits(service: Service) -> None:
    hits = over_http(service, {"q": "payment", "limit": 10}).json()["hits"]
    table = over_flight(service, {"query": "payment"})
    printed = on_the_command_line(service, "payment", "--format", "json")
    lines = [json.loads(line) for line in printed.stdout.splitlines()]
    assert table.schema == HIT_SCHEMA
    assert [hit["id"] for hit in hits] == ["e-3", "e-1"]
    assert table["id"].to_pylist() == [line["id"] for line in lines] == ["e-3", "e-1"]
    assert hits[1]["data"] == {"note": "payment declined"}
    assert hits[1]["highlights"] == table["highlights"][1].as_py()


def test_a_tenant_finds_only_its_own_rows_over_every_interface(service: Service) -> None:
    query = "tenant_id:other OR payment"
    hits = over_http(service, {"q": query}, tenant_id="acme").json()["hits"]
    table = over_flight(service, {"query": query}, tenant_id="acme")
    printed = on_the_command_line(service, query, "--format", "json", tenant_id="acme")
    assert [hit["id"] for hit in hits] == table["id"].to_pylist() == ["e-1"]
    assert [json.loads(line)["id"] for line in printed.stdout.splitlines()] == ["e-1"]


def test_the_timeline_of_an_id_is_in_order_of_time(service: Service) -> None:
    printed = on_the_command_line(service, "--id", ORDER)
    lines = printed.stdout.splitlines()
    assert ["INSERT" in line for line in lines] == [True, False], printed
    assert "e-1" in lines[0]
    assert "e-2" in lines[1]


def test_pages_are_resumed_over_http_and_on_the_command_line(service: Service) -> None:
    first = over_http(service, {"limit": 2}).json()
    second = over_http(service, {"limit": 2, "cursor": first["cursor"]}).json()
    assert [hit["id"] for hit in (*first["hits"], *second["hits"])] == ["e-3", "e-2", "e-1"]
    assert second["cursor"] is None
    printed = on_the_command_line(service, "--limit", "2")
    cursor = printed.stderr.split()[-1]
    assert "e-1" in on_the_command_line(service, "--limit", "2", "--cursor", cursor).stdout


def test_hits_are_counted(service: Service) -> None:
    table = over_flight(service, {"count": "type"})
    assert table.schema == COUNT_SCHEMA
    groups = table.select(["kind", "key", "count"]).to_pylist()
    assert groups[0] == {"kind": "event", "key": "Order.INSERT", "count": 2}
    assert over_http(service, {"count": "type"}).json()["counts"] == groups
    assert "Order.INSERT" in on_the_command_line(service, "--count", "type").stdout


def test_arrow_is_available_over_http_and_on_the_command_line(service: Service) -> None:
    headers = {
        "authorization": f"Bearer {token()}",
        "accept": "application/vnd.apache.arrow.stream",
    }
    answer = requests.get(f"{service.settings.http_url}/search", headers=headers, timeout=60)
    assert pa.ipc.open_stream(answer.content).read_all().schema == HIT_SCHEMA


def test_arrow_can_be_requested_by_a_parameter(service: Service) -> None:
    answer = over_http(service, {"format": "arrow"})
    assert pa.ipc.open_stream(answer.content).read_all().schema == HIT_SCHEMA
    assert over_http(service, {"format": "xml"}).status_code == 400


def test_a_syntax_error_has_its_position_over_every_interface(service: Service) -> None:
    answer = over_http(service, {"q": "entty_type:Order"})
    [error] = answer.json()["errors"]
    assert answer.status_code == 400
    assert error["position"] == 0
    assert error["pointed"].splitlines()[1] == "^"
    with pytest.raises(pa.ArrowInvalid) as caught:
        over_flight(service, {"query": "entty_type:Order"})
    assert "Did you mean entity_type?" in sentence_of(caught.value)
    printed = on_the_command_line(service, "entty_type:Order")
    assert printed.exit_code == 1
    assert "Did you mean entity_type?" in printed.stderr


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"since": "yesterday"}, "since is 'yesterday'"),
        ({"limit": "0"}, "limit is 0"),
        ({"limit": "many"}, "does not fit"),
        ({"xyz": "1"}, "There is no parameter xyz. There are q, "),
        ({"columns": "id"}, "There is no parameter columns."),
        ({"endpoints": "1"}, "There is no parameter endpoints."),
        ({"entitytype": "Order"}, "no parameter entitytype. Did you mean entity_type?"),
        ({"count": "user"}, "count is 'user'. It is one of error, type, hour, tenant, operation."),
        ({"kinds": "event"}, "kinds is 'event'. It is one of both, events, requests."),
        ({"id": ""}, "id is empty"),
        ({"cursor": "x"}, "not a cursor"),
        ({"q": "a", "similar": "r"}, "exclude each other"),
    ],
)
def test_a_wrong_parameter_is_named(
    service: Service, parameters: dict[str, str], message: str
) -> None:
    answer = over_http(service, parameters)
    assert answer.status_code == 400
    assert message in answer.json()["errors"][0]["message"]


def test_json_ends_with_a_line_break(service: Service) -> None:
    for parameters in ({"limit": 1}, {"count": "type"}):
        assert over_http(service, parameters).text.endswith("}\n")


def test_the_command_line_says_why_something_may_not_be_found(service: Service) -> None:
    general = "`fraiseql-assets status` shows whether the operational plane is behind."
    exactly = "Values of fields are compared exactly: order is not Order."
    nothing = on_the_command_line(service, "nowhere")
    assert (nothing.exit_code, nothing.stdout) == (0, "")
    first, *hints = nothing.stderr.splitlines()
    assert first == "Nothing is found."
    assert general in hints[-1]
    assert exactly not in hints
    for arguments in (["--entity-type", "order"], ["entity_type:order"]):
        assert exactly in on_the_command_line(service, *arguments).stderr.splitlines()
    assert on_the_command_line(service, "nowhere", "--format", "json").stderr == ""


def test_search_needs_a_token_if_the_service_does(service: Service) -> None:
    assert requests.get(f"{service.settings.http_url}/search", timeout=60).status_code == 401


def test_an_unavailable_plane_is_a_one_line_error(module_settings: Settings) -> None:
    nowhere = SecretStr("http://127.0.0.1:9")
    with serving(module_settings, elasticsearch_url=nowhere) as service:
        answer = requests.get(f"{service.settings.http_url}/search", timeout=60)
        assert answer.status_code == 503
        assert "does not answer" in answer.json()["errors"][0]["message"]


@pytest.fixture
def lost_day(service: Service) -> Iterator[str]:
    """A day whose index cannot be started."""
    day, alias = DAY + timedelta(days=1), f"{service.settings.index_prefix}-events"
    index = f"{alias}-{day:%Y.%m.%d}-000001"
    with connect(service.settings, timeout=30) as client:
        client.indices.create(
            index=index,
            settings={"index.routing.allocation.require._name": "nobody"},
            aliases={alias: {}, f"{alias}-{day:%Y.%m.%d}": {}},
            wait_for_active_shards=0,
        )
        yield f"events of {day}"
        client.indices.delete(index=index)


def test_the_command_line_reports_a_missing_day_and_shows_the_others(
    service: Service, lost_day: str
) -> None:
    shown = on_the_command_line(service, "--events", tenant_id="other")
    assert shown.exit_code == 0
    assert shown.stdout.count("\n") == 1
    assert shown.stderr.startswith(f"PARTIAL  Not searched: {lost_day}.")
    refused = on_the_command_line(service, "--events", "--complete", tenant_id="other")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert lost_day in refused.stderr
