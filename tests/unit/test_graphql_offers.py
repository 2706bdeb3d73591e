"""Offers of large results in parts: how many are remembered, and whose."""

import time
from typing import Any, cast

from flight_service.authentication import ANYONE
from flight_service.graphql.execution.offers import MOST, Held, Offered, Offers
from flight_service.graphql.execution.session import Session


def offered(reader: str = "ann", size: int = 100, seconds: float = 60.0) -> Offered:
    nothing = cast(Any, None)
    session, ends = Session({}, reader), time.monotonic() + seconds
    return Offered(nothing, "t", ANYONE, session, nothing, size, ends, {0, 1})


def test_the_number_of_offers_is_limited() -> None:
    offers = Offers()
    for number in range(MOST + 10):
        offers.put(f"{number}", offered())
    assert offers.handles == [f"{number}" for number in range(10, MOST + 10)]


def test_offers_are_limited_in_bytes_per_reader() -> None:
    offers = Offers(most_bytes=1000)
    offers.put("other", offered("bob"))
    for number in range(20):
        offers.put(f"{number}", offered())
    assert offers.handles == ["other", *map(str, range(11, 20))]
    offers.put("large", offered("eve", size=2000))
    assert "large" not in offers.handles
    assert offers.handles


def test_an_offer_with_a_snapshot_is_kept() -> None:
    offers = Offers(most_bytes=1000)
    offers.put("first", offered())
    assert offers.hold("first", cast(Held, object()))
    for number in range(20):
        offers.put(f"{number}", offered())
    assert offers.get("first")
    assert offers.take("first")
    assert not offers.hold("first", cast(Held, object()))


def test_an_offer_expires() -> None:
    offers = Offers()
    offers.put("old", offered(seconds=-1.0))
    assert offers.get("old") is None
    offers.put("new", offered())
    assert offers.handles == ["new"]


def test_an_offer_is_done_when_all_parts_are_read() -> None:
    offers, one = Offers(), offered()
    assert [offers.has_read(one, number) for number in (0, 0, 1)] == [False, False, True]
