"""The demo's events are derived from TPC-H's tables: always the same, and consistent with them."""

import json
import uuid
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from decoding import messages

from fraiseql_assets.events.arrow_shape import PRODUCER_SCHEMA
from fraiseql_assets.events.decode import decode
from fraiseql_assets.events.encode import arrow_messages, cdc_messages, observer_messages
from local_stack.demo.feed import PAST_DAYS, timestamps
from local_stack.demo.hashing import below, hashed, uuid_bytes, uuid_texts
from local_stack.demo.history import (
    LATER,
    History,
    history_of,
    read_history,
    write_history,
)
from local_stack.demo.lifecycle import STEPS, statuses
from local_stack.demo.shop import NOW, TABLES, make_shop, moments
from local_stack.demo.tpch import make_tables

SCALE = 0.002
BEGAN = 1_780_000_000_000_000
"""A moment of May 2026, in microseconds."""


@pytest.fixture(scope="module")
def tables() -> dict[str, pa.Table]:
    return make_tables(SCALE, TABLES)


@pytest.fixture(scope="module")
def history(tables: dict[str, pa.Table]) -> History:
    return history_of(make_shop(tables))


@pytest.fixture(scope="module")
def years(history: History) -> list[dict]:
    """Every event of the shop's years, at the shop's own time."""
    return in_own_time(history, 0, history.index.num_rows).to_pylist()


def in_own_time(history: History, start: int, stop: int) -> pa.RecordBatch:
    return history.batch(start, stop, moments(history.moments(start, stop)))


def test_the_same_scale_and_seed_give_the_same_bytes(history: History) -> None:
    def sent(history: History) -> list[bytes]:
        batch = in_own_time(history, 5_000, 8_000)
        return [m.payload for m in arrow_messages(batch, "x", max_payload=2**20)]

    assert sent(history) == sent(history_of(make_shop(make_tables(SCALE, TABLES))))


def test_a_history_read_from_files_gives_the_same_events(history: History, tmp_path: Path) -> None:
    write_history(history, tmp_path)
    from_files = read_history(tmp_path, history.shop.seed)
    from_files.release()
    assert in_own_time(from_files, 5_000, 8_000).equals(in_own_time(history, 5_000, 8_000))


def test_another_seed_gives_other_events(tables: dict[str, pa.Table], history: History) -> None:
    ids = [
        set(in_own_time(h, 0, 1_000)["event_id"].to_pylist())
        for h in (history, history_of(make_shop(tables, seed=1)))
    ]
    assert ids[0].isdisjoint(ids[1])


def test_an_event_does_not_depend_on_its_batch(history: History) -> None:
    whole = in_own_time(history, 3_000, 3_400)
    parts = [in_own_time(history, n, n + 40) for n in range(3_000, 3_400, 40)]
    assert pa.Table.from_batches(parts) == pa.Table.from_batches([whole])


def test_event_ids_are_unique(years: list[dict]) -> None:
    assert len({event["event_id"] for event in years}) == len(years)


def test_events_are_in_order_of_time(years: list[dict]) -> None:
    times = [event["timestamp"] for event in years]
    assert times == sorted(times)


def test_an_entity_is_inserted_once_and_changes_status_in_order(
    years: list[dict],
) -> None:
    last: dict[str, str] = {}
    for event in years:
        entity, status = event["entity_id"], json.loads(event["data"])["status"]
        if event["event_type"] == "INSERT":
            assert (entity not in last, status) == (True, STEPS[event["entity_type"]][0])
            assert event["changes"] is None
        else:
            assert json.loads(event["changes"]) == {"status": {"old": last[entity], "new": status}}
        last[entity] = status


def test_inserts_agree_with_the_tables(years: list[dict], tables: dict[str, pa.Table]) -> None:
    inserts = Counter(e["entity_type"] for e in years if e["event_type"] == "INSERT")
    assert inserts == {
        "Customer": tables["customer"].num_rows,
        "Order": tables["orders"].num_rows,
        "LineItem": tables["lineitem"].num_rows,
    }


def test_documents_agree_with_the_tables(years: list[dict], tables: dict[str, pa.Table]) -> None:
    placed = [e for e in years if (e["entity_type"], e["event_type"]) == ("Order", "INSERT")]
    shown = {
        (d["order_key"], d["total_price"], d["order_date"], d["comment"])
        for d in (json.loads(e["data"], parse_float=Decimal) for e in placed)
    }
    columns = ("o_orderkey", "o_totalprice", "o_orderdate", "o_comment")
    rows = zip(*(tables["orders"][name].to_pylist() for name in columns), strict=True)
    assert shown == {(key, price, day.isoformat(), text) for key, price, day, text in rows}


def test_current_statuses_agree_with_the_flags_of_the_tables(
    history: History, tables: dict[str, pa.Table]
) -> None:
    orders = statuses(history.index, "Order", tables["orders"].num_rows).to_pylist()
    flags = tables["orders"]["o_orderstatus"].to_pylist()
    allowed = {"O": {"PLACED", "PAID"}, "P": {"SHIPPING"}, "F": {"SHIPPED", "COMPLETED"}}
    assert {f: {s for s, g in zip(orders, flags, strict=True) if g == f} for f in "OPF"} == allowed

    lines = Counter(statuses(history.index, "LineItem", tables["lineitem"].num_rows).to_pylist())
    flags = Counter(tables["lineitem"]["l_returnflag"].to_pylist())
    open_lines = Counter(tables["lineitem"]["l_linestatus"].to_pylist())["O"]
    assert (lines["RETURNED"], lines["RECEIVED"]) == (flags["R"], flags["A"])
    assert lines["ORDERED"] == open_lines


def test_an_order_is_complete_when_the_last_of_its_lines_is(years: list[dict]) -> None:
    still_open: Counter[int] = Counter()
    for event in years:
        kind, document = event["entity_type"], json.loads(event["data"])
        if kind == "LineItem" and document["status"] == "ORDERED":
            still_open[document["order_key"]] += 1
        elif kind == "LineItem" and document["status"] == "RECEIVED":
            still_open[document["order_key"]] -= 1
        elif kind == "Order" and document["status"] == "COMPLETED":
            assert still_open[document["order_key"]] == 0


def test_every_event_has_an_actor_and_a_tenant(years: list[dict]) -> None:
    types = Counter(event["actor_type"] for event in years)
    assert set(types) == {"human_user", "service_account", "ai_agent", "system_job"}
    assert all((e["acting_for"] is not None) == (e["actor_type"] == "ai_agent") for e in years)
    assert {e["tenant_id"] for e in years} == {
        "automobile", "building", "furniture", "household", "machinery",
    }  # fmt: skip


def test_every_event_decodes_in_every_shape(history: History) -> None:
    batch = in_own_time(history, 9_000, 10_000)
    own = batch.select([name for name in PRODUCER_SCHEMA.names if name != "event_id"])
    ids = batch["event_id"].to_pylist()
    cdc = [f"{kind}:{seq}" for kind, seq in zip(*names_of(batch), strict=True)]
    for outgoing, expected in (
        (list(arrow_messages(batch, "a", max_payload=2**20)), ids),
        (list(observer_messages(batch, "a")), ids),
        (list(cdc_messages(batch, "a.{table}")), cdc),
    ):
        decoded = decode(messages([m.payload for m in outgoing], [m.headers for m in outgoing]))
        assert decoded.rejects == []
        table = pa.Table.from_batches(decoded.batches)
        assert table["event_id"].to_pylist() == expected
        for name in ("entity_id", "data", "timestamp", "tenant_id", "seq"):
            assert table[name].to_pylist() == own[name].to_pylist()


def names_of(batch: pa.RecordBatch) -> tuple[list[str], list[int]]:
    return batch["entity_type"].to_pylist(), batch["seq"].to_pylist()


def test_the_history_repeats_with_later_keys(history: History) -> None:
    count = history.index.num_rows
    first, again = (in_own_time(history, 0, 50), history.batch(count, count + 50, pa.nulls(50)))
    assert set(first["event_id"].to_pylist()).isdisjoint(again["event_id"].to_pylist())
    assert keys_of(again) == [key + LATER for key in keys_of(first)]
    assert again["seq"].to_pylist() == list(range(count + 1, count + 51))


def keys_of(batch: pa.RecordBatch) -> list[int]:
    documents = map(json.loads, batch["data"].to_pylist())
    return [document.get("order_key", document.get("customer_key")) for document in documents]


def test_the_past_covers_the_last_three_days(history: History) -> None:
    start, stop = history.last_days(PAST_DAYS), history.present
    times = timestamps(history.moments(start, stop), BEGAN).cast(pa.int64()).to_pylist()
    assert times == sorted(times)
    assert times[0] >= BEGAN - 3 * 86_400_000_000
    assert times[-1] < BEGAN
    assert timestamps(pa.array([NOW]), BEGAN).cast(pa.int64()).to_pylist() == [BEGAN]


def test_hashed_ids_are_equal_as_text_and_as_bytes() -> None:
    words = hashed(pa.array([0, 1, 2**40]), 7)
    as_bytes = [uuid.UUID(bytes=value) for value in uuid_bytes(words).to_pylist()]
    assert list(map(str, as_bytes)) == uuid_texts(words).to_pylist()
    assert {value.version for value in as_bytes} == {8}


def test_hashed_numbers_are_evenly_distributed() -> None:
    day = 86_400_000_000
    numbers = below(hashed(pa.array(range(10_000)), 3), day).to_pylist()
    quarters = Counter(number * 4 // day for number in numbers)
    assert set(quarters) == {0, 1, 2, 3}
    assert all(2_300 < count < 2_700 for count in quarters.values())
