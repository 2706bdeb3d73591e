import contextlib
from datetime import date

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import flight

from flight_service.assets import Asset, named
from flight_service.errors import InvalidRequest
from flight_service.observer_events import ObserverEvents
from flight_service.tail import Tail
from flight_service.tickets import MAX_BYTES, Ticket, TicketReader

READER = TicketReader([Asset, ObserverEvents, Tail], named)
EVENTS = Asset(asset="analytics/events")


def refusal(data: bytes) -> str:
    with pytest.raises(InvalidRequest) as caught:
        READER.read(data)
    return str(caught.value)


def test_the_documented_form_of_observer_events_is_parsed() -> None:
    ticket = READER.read(
        b'{"type":"ObserverEvents","entity_type":"Order","start_date":"2026-01-01",'
        b'"end_date":null,"limit":10000}'
    )
    assert ticket == ObserverEvents(entity_type="Order", start_date="2026-01-01", limit=10_000)


def test_an_asset_ticket_is_parsed() -> None:
    ticket = READER.read(
        b'{"type":"Asset","asset":"analytics/events","partition":"2026-11-24","start":null}'
    )
    assert ticket == Asset(asset="analytics/events", partition=date(2026, 11, 24))


@pytest.mark.parametrize(
    "data",
    [
        b"analytics/events",
        b" analytics/events\n",
        b'{"query":"analytics/events"}',
        b'{"query":"analytics/events","variables":null}',
        b'{"query":"analytics/events","variables":{}}',
    ],
)
def test_a_name_is_a_short_ticket(data: bytes) -> None:
    assert READER.read(data) == EVENTS


def test_a_table_name_of_the_analytics_plane_is_its_asset() -> None:
    assert READER.read(b'{"query":"fraiseql_org_daily"}') == Asset(asset="analytics/org_daily")


def test_variables_of_a_short_ticket_set_its_fields() -> None:
    data = b'{"query":"analytics/events","variables":{"partition":"2026-11-24"}}'
    assert READER.read(data) == Asset(asset="analytics/events", partition=date(2026, 11, 24))


@pytest.mark.parametrize(
    "data",
    [
        b"analytics/events?endpoints=1",
        b'{"query":"analytics/events","endpoints":1}',
        b'{"type":"Asset","asset":"analytics/events","endpoints":1}',
    ],
)
def test_one_endpoint_can_be_requested_in_every_form(data: bytes) -> None:
    assert READER.read(data) == Asset(asset="analytics/events", endpoints=1)


@pytest.mark.parametrize(
    "data",
    [
        b"analytics/events?endpoints=2",
        b"analytics/events?endpoints=",
        b'{"type":"Asset","asset":"analytics/events","endpoints":2}',
        b'{"query":"analytics/events","endpoints":"1"}',
    ],
)
def test_other_numbers_of_endpoints_are_refused(data: bytes) -> None:
    assert "endpoints" in refusal(data)


@pytest.mark.parametrize(
    "descriptor",
    [
        flight.FlightDescriptor.for_path("analytics/events"),
        flight.FlightDescriptor.for_path("analytics", "events"),
        flight.FlightDescriptor.for_path(EVENTS.encode()),
        flight.FlightDescriptor.for_command(EVENTS.encode()),
        flight.FlightDescriptor.for_command(b"analytics/events"),
    ],
)
def test_every_form_of_descriptor_gives_the_same_ticket(
    descriptor: flight.FlightDescriptor,
) -> None:
    assert READER.read_descriptor(descriptor) == EVENTS


def test_an_empty_descriptor_is_refused_with_the_valid_forms() -> None:
    with pytest.raises(InvalidRequest, match="Give an asset's name or a ticket"):
        READER.read_descriptor(flight.FlightDescriptor.for_path())


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "The ticket is empty."),
        (b"{}", "The ticket has no field type."),
        (b'{"type":"Foo"}', "There is no ticket of type 'Foo'."),
        (b'{"type":3}', "field type does not fit: it is a text"),
        (b"[1]", "expected `object`, got `array`"),
        (b'"a"', "expected `object`, got `str`"),
        (b"\xff", "A ticket is JSON in UTF-8"),
        (b'{"type":', "The ticket is no JSON that can be read"),
        (b"[" * 100_000, "The ticket does not fit"),
        (b'{"type":"Asset"}', "The ticket lacks the field `asset`"),
        (b'{"type":"Asset","asset":"a","partition":"2026-13-01"}', "field partition does not fit"),
        (b'{"type":"ObserverEvents","limit":-1}', "field limit does not fit: expected `int` >= 0"),
        (b'{"type":"ObserverEvents","limit":1.5}', "field limit does not fit: expected `int"),
        (b'{"type":"Tail","entity_type":1}', "field entity_type does not fit"),
        (b'{"query":"a","variables":{"day":1}}', "unknown field `day`"),
    ],
)
def test_an_invalid_ticket_is_refused_with_the_reason(data: bytes, said: str) -> None:
    assert said in refusal(data)


@pytest.mark.parametrize(
    ("data", "meant"),
    [
        (
            b'{"type":"ObserverEvents","entity_type":"Order","start_date":{},"end_date":{},"limit":1e5}',
            ObserverEvents(entity_type="Order", limit=100_000),
        ),
        (b'{"type":"ObserverEvents","limit":100000.0}', ObserverEvents(limit=100_000)),
        (b'{"type":"ObserverEvents","limit":[],"newest":{}}', ObserverEvents()),
        (
            b'{"type":"ObserverEvents","limit":1,"endpoints":1.0}',
            ObserverEvents(limit=1, endpoints=1),
        ),
        (b'{"type":"Asset","asset":"a","columns":"seq"}', Asset(asset="a", columns=("seq",))),
        (b'{"type":"Asset","asset":"a","columns":{}}', Asset(asset="a")),
        (b'{"query":"analytics/events","variables":[]}', EVENTS),
        (b'{"query":"analytics/events","variables":{},"columns":{}}', EVENTS),
    ],
)
def test_json_as_written_by_r_is_parsed(data: bytes, meant: Ticket) -> None:
    warnings: list[str] = []
    assert READER.read(data, warnings) == meant
    assert warnings == []


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'{"type":"Asset","asset":{}}', "field asset does not fit: expected `str`, got `object`"),
        (b'{"type":"Asset","asset":"a","start":1e5}', "field start does not fit"),
        (b'{"type":"ObserverEvents","limit":{"n":1}}', "field limit does not fit"),
        (b'{"type":"ObserverEvents","limit":"1"}', "field limit does not fit"),
        (b'{"type":"ObserverEvents","limit":1e300}', "field limit does not fit"),
        (b'{"type":"ObserverEvents","entity_type":["a"]}', "field entity_type does not fit"),
        (b'{"type":"asset","asset":"a"}', "There is no ticket of type 'asset'."),
    ],
)
def test_values_of_a_wrong_type_are_refused(data: bytes, said: str) -> None:
    assert said in refusal(data)


def test_older_fields_of_a_short_ticket_are_parsed() -> None:
    data = (
        b'{"query":"analytics/events","columns":["seq"],"start_date":"2026-01-01","end_date":null}'
    )
    meant = Asset(asset="analytics/events", columns=("seq",), start=date(2026, 1, 1))
    assert READER.read(data) == meant


@pytest.mark.parametrize(
    ("data", "meant"),
    [
        (b'{"type":"Asset","asset":"a","day":1}', Asset(asset="a")),
        (b'{"query":"a","day":{"x":1}}', Asset(asset="a")),
    ],
)
def test_an_unknown_field_is_ignored_with_a_warning(data: bytes, meant: Ticket) -> None:
    warnings: list[str] = []
    assert READER.read(data, warnings) == meant
    assert len(warnings) == 1
    assert warnings[0].startswith("Asset has no field 'day', which is ignored. It may have: ")


def test_the_warnings_of_one_ticket_are_few_and_short() -> None:
    fields = ",".join(f'"{"x" * 100}{n}":1' for n in range(1000))
    warnings: list[str] = []
    READER.read(b'{"type":"Tail",%b}' % fields.encode(), warnings)
    assert len("".join(warnings)) < 3000


def test_an_unknown_type_is_refused_with_the_known_types() -> None:
    assert "Asset, ObserverEvents, Tail" in refusal(b'{"type":"asset"}')


def test_the_size_of_a_ticket_is_limited() -> None:
    text = b'{"type":"Tail"}'
    assert READER.read(text.ljust(MAX_BYTES)) == Tail()
    assert "at most 262,144 bytes, this one 262,145" in refusal(text.ljust(MAX_BYTES + 1))


def test_quoted_client_text_is_truncated() -> None:
    assert len(refusal(b'{"type":"' + b"x" * 10_000 + b'"}')) < 300


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_parsed_or_refused(data: bytes) -> None:
    with contextlib.suppress(InvalidRequest):
        assert isinstance(READER.read(data), Ticket)


@given(
    st.builds(
        Asset,
        asset=st.text(),
        partition=st.none() | st.dates(),
        start=st.none() | st.dates(),
        end=st.none() | st.dates(),
    )
)
def test_a_ticket_round_trips(ticket: Asset) -> None:
    assert READER.read(ticket.encode()) == ticket
    assert msgspec.json.decode(ticket.encode())["type"] == "Asset"
