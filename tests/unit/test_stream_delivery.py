"""Delivered messages become columns, with positions from their reply subjects."""

import pytest

from fraiseql_assets.events.messages import Messages
from fraiseql_assets.stream.delivery import columns_of
from fraiseql_assets.stream.wire import Frame

TIME = 1_772_000_000_123_456_789
FORMS = {
    "plain": b"$JS.ACK.log.consumer.1.%d.%d.%d.0",
    "of a domain": b"$JS.ACK.hub.ACCOUNT.log.consumer.1.%d.%d.%d.0.token",
}


def delivered(form: bytes, sequences: list[int]) -> list[Frame]:
    """Messages with these sequences, as the consumer's 11th delivery and the following."""
    return [
        (b"log.Order.%d" % (sequence % 2), form % (sequence, number, TIME + sequence), b"", b"{}")
        for number, sequence in enumerate(sequences, 11)
    ]


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize(
    "sequences", [[7], [7, 8, 9], [7, 9, 10], [7, 8, 40]], ids=["one", "all", "gap", "late gap"]
)
def test_the_columns_have_every_message(form: bytes, sequences: list[int]) -> None:
    messages, last = columns_of(delivered(form, sequences))
    assert last == 10 + len(sequences)
    assert messages == Messages(
        sequences,
        [TIME + sequence for sequence in sequences],
        [f"log.Order.{sequence % 2}" for sequence in sequences],
        [b""] * len(sequences),
        [b"{}"] * len(sequences),
    )


def test_a_subject_that_is_not_utf8_is_readable() -> None:
    [(_, reply, headers, payload)] = delivered(FORMS["plain"], [1])
    messages, _ = columns_of([(b"log.\xff", reply, headers, payload)])
    assert messages.subjects == ["log.\ufffd"]
