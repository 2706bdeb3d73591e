# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute makes its functions at import, out of a type checker's sight)
"""The shop's history as observer events, numbered from 0 in order of time.

After the last event the history repeats with later keys.
"""

from dataclasses import dataclass
from mmap import ACCESS_READ, MADV_DONTNEED, mmap
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from fraiseql_assets.events.arrow_shape import PRODUCER_SCHEMA
from local_stack.demo.documents import documents
from local_stack.demo.hashing import Column, below, hashed, uuid_texts
from local_stack.demo.lifecycle import KINDS, STEPS, lifecycles
from local_stack.demo.shop import DAY, NOW, Shop, entity_words

LATER = 1_000_000_000
"""Added to every key each time the history repeats."""

ACTORS = {
    "Customer": ("human_user", "system_job", "system_job"),
    "Order": ("human_user", "service_account", "system_job", "system_job", "system_job"),
    "LineItem": ("human_user", "human_user", "service_account", "human_user"),
}
"""The type of actor of each step."""

AGENT = "shopping-assistant"
"""An AI agent that places one order in ten for its customer."""

FILES = ("customers", "orders", "lines", "index")
"""The tables of a history that is stored in files."""


@dataclass(frozen=True)
class History:
    """All events of the shop. An event is computed from its number."""

    shop: Shop
    index: pa.Table
    """One row per event, without repetitions."""
    files: tuple[mmap, ...] = ()
    """What the tables are read from; nothing if they are in memory."""

    def release(self) -> None:
        """Gives back the memory of what was read from files; it is read again when needed."""
        for file in self.files:
            file.madvise(MADV_DONTNEED)
        pa.default_memory_pool().release_unused()

    def first_from(self, moment: int) -> int:
        """The number of the first event at or after a time of the shop."""
        return pc.sum(pc.less(self.index["at"], moment)).as_py()

    @property
    def present(self) -> int:
        """The number of the first event after TPC-H's present."""
        return self.first_from(NOW)

    def last_days(self, days: int) -> int:
        """The number of the first event in the last `days` before the present."""
        return self.first_from(NOW - days * DAY)

    def moments(self, start: int, stop: int) -> pa.Array:
        """The times of events on the shop's clock, in microseconds."""
        return self.index["at"].slice(start, stop - start).combine_chunks()

    def batch(self, start: int, stop: int, timestamps: pa.Array) -> pa.RecordBatch:
        """The events numbered from `start` to `stop - 1`, in the producers' schema.

        The same numbers always give the same events, except for the given timestamps.
        """
        count, parts, done = self.index.num_rows, [], start
        while done < stop:
            again, first = divmod(done, count)
            rows = min(count - first, stop - done)
            parts.append(self._events(self.index.slice(first, rows), again * LATER))
            done += rows
        table = pa.concat_tables(parts)
        table = table.append_column("timestamp", timestamps)
        table = table.append_column("seq", pa.array(range(start + 1, stop + 1), pa.int64()))
        columns = [table[name].combine_chunks() for name in PRODUCER_SCHEMA.names]
        return pa.RecordBatch.from_arrays(columns, schema=PRODUCER_SCHEMA)

    def _events(self, index: pa.Table, later: int) -> pa.Table:
        """The columns of events, without times and sequences, for rows of the index."""
        places, parts = [], []
        for number, kind in enumerate(KINDS):
            chosen = pc.equal(index["kind"], number)
            places.append(pc.indices_nonzero(chosen))
            if len(places[-1]):
                parts.append(_of_kind(kind, self.shop, index.filter(chosen), later))
        return pa.concat_tables(parts).take(pc.sort_indices(pa.concat_arrays(places)))


def history_of(shop: Shop) -> History:
    """The history of this shop."""
    return History(shop, lifecycles(shop))


def write_history(history: History, folder: Path) -> None:
    """Writes a history to files of a folder."""
    tables = {"index": history.index}
    tables |= {name: getattr(history.shop, name) for name in FILES if name not in tables}
    for name, table in tables.items():
        with (
            pa.OSFile(f"{folder / name}.arrow", "wb") as file,
            pa.ipc.new_file(file, table.schema) as writer,
        ):
            writer.write_table(table)


def read_history(folder: Path, seed: int) -> History:
    """The history that `write_history` wrote. It stays in the files and is read as needed."""
    files: list[mmap] = []
    for name in FILES:
        with (folder / f"{name}.arrow").open("rb") as file:
            files.append(mmap(file.fileno(), 0, access=ACCESS_READ))
    customers, orders, lines, index = (
        pa.ipc.open_file(pa.py_buffer(file)).read_all() for file in files
    )
    return History(Shop(customers, orders, lines, seed), index, tuple(files))


def _of_kind(kind: str, shop: Shop, index: pa.Table, later: int) -> pa.Table:
    index = index.combine_chunks()
    at, rows, step, before, cause = (
        index[name].combine_chunks() for name in ("at", "row", "step", "before", "cause")
    )
    names = pa.array(STEPS[kind])
    status = names.take(step)
    keys, tenants = _keys(kind, shop, rows)
    words = entity_words(kind, pc.add(keys, later), shop.seed)
    event_words = hashed(words, pc.add(step, 1), cause)
    users, actors, acting_for = _who(kind, shop, rows, step, later)
    count = len(rows)
    return pa.table(
        {
            "event_id": uuid_texts(event_words),
            "event_type": pc.if_else(pc.is_null(before), "INSERT", "UPDATE"),
            "entity_type": pa.repeat(pa.scalar(kind), count),
            "entity_id": uuid_texts(words),
            "data": documents(kind, shop, rows, status, at, later),
            "user_id": users,
            "tenant_id": tenants,
            "changes": pc.binary_join_element_wise(
                '{"status":{"old":"', names.take(before), '","new":"', status, '"}}', ""
            ),
            "actor_type": actors,
            "acting_for": acting_for,
            "schema_version": pa.repeat(pa.scalar("1"), count),
            "cdc_source": pa.nulls(count, pa.utf8()),
            "duration_ms": _durations(event_words),
        }
    )


def _keys(kind: str, shop: Shop, rows: pa.Array) -> tuple[Column, Column]:
    tables = {
        "Customer": (shop.customers, "pk_customer"),
        "Order": (shop.orders, "pk_order"),
        "LineItem": (shop.lines, "pk_line_item"),
    }
    table, key = tables[kind]
    return table[key].take(rows), table["tenant_id"].take(rows)


def _who(
    kind: str, shop: Shop, rows: pa.Array, step: pa.Array, later: int
) -> tuple[Column, Column, Column]:
    """The user, the type of actor, and the customer for whom an agent acts."""
    actors, nobody = pa.array(ACTORS[kind]).take(step), pa.nulls(len(rows), pa.utf8())
    if kind == "Customer":
        customer = _named("customer-", pc.add(shop.customers["pk_customer"].take(rows), later))
        return pc.choose(step, customer, nobody, nobody), actors, nobody

    order_rows = rows if kind == "Order" else shop.lines["order_row"].take(rows)
    orders = shop.orders.select(["pk_order", "fk_customer", "clerk"]).take(order_rows)
    customer = _named("customer-", pc.add(orders["fk_customer"], later))
    chance = below(hashed(orders["pk_order"], 200, shop.seed), 10)
    by_agent = pc.and_(pc.equal(step, 0), pc.equal(chance, 0))
    buyer = pc.if_else(by_agent, AGENT, customer)
    if kind == "Order":
        users = pc.choose(step, buyer, "payments", "fulfilment", "fulfilment", "fulfilment")
    else:
        clerk = pc.utf8_lower(pc.replace_substring(orders["clerk"], "#", "-"))
        mode = pc.replace_substring(shop.lines["ship_mode"].take(rows), " ", "-")
        users = pc.choose(step, buyer, clerk, _named("carrier-", pc.utf8_lower(mode)), customer)
    return (
        users,
        pc.if_else(by_agent, "ai_agent", actors),
        pc.if_else(by_agent, customer, nobody),
    )


def _named(prefix: str, values: Column) -> Column:
    return pc.binary_join_element_wise(prefix, values.cast(pa.utf8()), "")


def _durations(words: Column) -> Column:
    """Milliseconds: 2 to 39, and 100 to 499 for one event in fifty."""
    slow = pc.equal(below(hashed(words, 1), 50), 0)
    return pc.if_else(slow, pc.add(below(words, 400), 100), pc.add(below(words, 38), 2))
