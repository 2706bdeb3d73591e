"""The parser of NATS' protocol: messages come out whole, however the bytes were split."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraiseql_assets.stream.wire import Frame, Parser, WireError

ACK = b"$JS.ACK.events.CONSUMER.1.42.7.1772000000123456789.0"
HEADER = b"NATS/1.0\r\nNats-Msg-Id: m-1\r\n\r\n"

tokens = st.binary(min_size=1, max_size=12).filter(
    lambda token: not set(token) & set(b" \t\r\n\x00")
)
payloads = st.binary(max_size=300) | st.sampled_from(
    [b"", b"\r\n", b"+OK\r\nPING\r\nMSG a 1 2\r\n", b"-ERR 'no'\r\n", b"{}\r\n" * 50]
)
frames = st.lists(
    st.tuples(tokens, st.just(b"") | tokens, st.just(b"") | st.just(HEADER), payloads),
    max_size=8,
)
noise = st.sampled_from([b"", b"PING\r\n", b"PONG\r\n", b"+OK\r\n", b'INFO {"max_payload":1}\r\n'])


def written(frame: Frame) -> bytes:
    """The frame as a server writes it."""
    subject, reply, header, payload = frame
    words = [b"HMSG" if header else b"MSG", subject, b"1"]
    words += [reply] if reply else []
    words += [str(len(header)).encode()] if header else []
    words += [str(len(header) + len(payload)).encode()]
    return b" ".join(words) + b"\r\n" + header + payload + b"\r\n"


@pytest.mark.parametrize(
    ("sent", "frame"),
    [
        (b"MSG s 1 5\r\nhello\r\n", (b"s", b"", b"", b"hello")),
        (b"MSG s 1 r 0\r\n\r\n", (b"s", b"r", b"", b"")),
        (b"HMSG s 1 30 30\r\n" + HEADER + b"\r\n", (b"s", b"", HEADER, b"")),
        (b"HMSG s 1 r 30 32\r\n" + HEADER + b"{}\r\n", (b"s", b"r", HEADER, b"{}")),
    ],
)
def test_all_four_forms_of_a_message_are_parsed(sent: bytes, frame: Frame) -> None:
    assert Parser().feed(sent) == [frame]


def test_a_message_split_at_any_byte_is_the_same_message() -> None:
    frame = (b"events.Order.INSERT", ACK, HEADER, b'{"a":"\r\nMSG x 1 1\r\n"}')
    sent = b"PING\r\n" + written(frame) + b"PING\r\n" + written(frame)
    for at in range(len(sent) + 1):
        parser = Parser()
        assert parser.feed(sent[:at]) + parser.feed(sent[at:]) == [frame, frame]
        assert parser.pings == 2


def test_a_message_received_byte_by_byte_is_the_same_message() -> None:
    frame = (b"s", ACK, HEADER, b"payload")
    parser = Parser()
    assert [f for byte in written(frame) for f in parser.feed(bytes([byte]))] == [frame]


@settings(max_examples=300)
@given(
    frames, st.lists(noise, min_size=8, max_size=8), st.lists(st.integers(0, 3_000), max_size=10)
)
def test_split_messages_between_other_lines_are_complete_and_in_order(
    sent: list[Frame], between: list[bytes], splits: list[int]
) -> None:
    whole = b"".join(
        line + written(frame) for line, frame in zip(between, sent, strict=False)
    ) + b"".join(between)
    parser, got, start = Parser(), [], 0
    for stop in [*sorted(splits), len(whole)]:
        got += parser.feed(whole[start:stop])
        start = max(start, stop)
    assert got == sent
    assert parser.pings == whole_lines(between, len(sent), b"PING\r\n")


def whole_lines(between: list[bytes], messages: int, line: bytes) -> int:
    return between[:messages].count(line) + between.count(line)


def test_the_info_of_the_server_is_kept() -> None:
    parser = Parser()
    parser.feed(b'INFO {"server_id":"x","max_payload":8388608} \r\n')
    assert parser.info == {"server_id": "x", "max_payload": 8_388_608}


def test_an_error_of_the_server_is_raised() -> None:
    with pytest.raises(WireError, match="NATS says 'Authorization Violation'"):
        Parser().feed(b"-ERR 'Authorization Violation'\r\n")


@pytest.mark.parametrize("sent", [b"HTTP/1.1 400 Bad Request\r\n", b"\r\n", b"MSG s 1\r\n"])
def test_another_protocol_is_refused(sent: bytes) -> None:
    with pytest.raises(WireError, match="does not speak the NATS protocol"):
        Parser().feed(sent)
