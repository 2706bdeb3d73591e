"""FraiseQL's envelope: what is a request, and what is answered to anything else."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flight_service.exchange import envelope
from flight_service.exchange.envelope import (
    MAX_BYTES,
    Cancel,
    Complete,
    InvalidEnvelope,
    Query,
    Request,
    Subscribe,
    Upload,
    decode,
)


def request(**types: Any) -> bytes:
    return json.dumps({"Request": {"correlation_id": "u1", "request_type": types}}).encode()


@pytest.mark.parametrize(
    ("data", "asked"),
    [
        (request(Query={"query": "{users{id}}", "variables": None}), Query("{users{id}}")),
        (
            request(Query={"query": "q", "variables": {"a": 1}, "operationName": "b"}),
            Query("q", {"a": 1}, "b"),
        ),
        (request(Upload={"table": "t", "batch": [255]}), Upload("t", [255])),
        (request(Upload={"table": "t"}), Upload("t")),
        (
            request(Subscribe={"entity_type": "Order", "filter": "status = 'paid'"}),
            Subscribe({"entity_type": "Order", "filter": "status = 'paid'"}),
        ),
        (request(Cancel={"correlation_id": "u0"}), Cancel("u0")),
    ],
)
def test_a_request_is_parsed(data: bytes, asked: object) -> None:
    assert decode(data) == Request("u1", asked)  # pyright: ignore[reportArgumentType]


def test_upload_bytes_may_be_numbers_or_base64() -> None:
    for batch in ([104, 105], "aGk="):
        found = decode(request(Upload={"table": "t", "batch": batch}))
        assert isinstance(found, Request)
        assert isinstance(found.asked, Upload)
        assert found.asked.stream == b"hi"


def test_a_complete_message_is_parsed() -> None:
    assert decode(b'{"Complete":{"correlation_id":"u1"}}') == Complete()


@pytest.mark.parametrize(
    "data",
    [
        request(),
        request(Query={}),
        request(Query={"query": 1}),
        request(Query={"query": "q"}, Cancel={"correlation_id": "u0"}),
        request(Upload={"table": "t", "batch": [256]}),
        request(Upload={"table": "t", "batch": "§"}),
        request(Mutate={"query": "q"}),
        request(Subscribe=[]),
        b'{"Request":{"correlation_id":"u1"}}',
        b'{"Request":{"correlation_id":"u1","request_type":{"Query":{"query":"q"}}',
        b'{"Response":{"correlation_id":"u1","result":{"Ok":[]}}}',
        b'{"Requests":{"correlation_id":"u1"}}',
        b'{"Request":{"correlation_id":"u1","request_type":' + b"[" * 100_000,
        request(Query={"query": "x" * MAX_BYTES}),
    ],
)
def test_an_invalid_request_keeps_its_correlation_id(data: bytes) -> None:
    with pytest.raises(InvalidEnvelope) as caught:
        decode(data)
    assert caught.value.correlation_id == "u1"


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b"{}", b"\xff\xfe", b'{"Request":null}'])
def test_an_invalid_request_may_have_no_correlation_id(data: bytes) -> None:
    with pytest.raises(InvalidEnvelope) as caught:
        decode(data)
    assert caught.value.correlation_id == ""


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["Request", "correlation_id", "request_type", "Query", "query", "Upload", "table",
             "batch", "Subscribe", "Complete", "Response", "Cancel", "variables"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_a_request_or_an_error(data: bytes) -> None:
    try:
        found = decode(data)
    except InvalidEnvelope as error:
        assert isinstance(error.correlation_id, str)  # noqa: PT017 [either is right]
    else:
        assert isinstance(found, Request | Complete)


def test_answers_have_the_form_of_fraiseql() -> None:
    assert envelope.ok("u2", b"I") == (b'{"Response":{"correlation_id":"u2","result":{"Ok":[73]}}}')
    assert envelope.failed("u2", "message") == (
        b'{"Response":{"correlation_id":"u2","result":{"Err":"message"}}}'
    )
    assert envelope.complete("u1") == b'{"Complete":{"correlation_id":"u1"}}'
