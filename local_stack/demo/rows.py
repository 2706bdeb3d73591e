# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute makes its functions at import, out of a type checker's sight)
"""The rows of the demo's database at TPC-H's present, table by table."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from local_stack.demo.hashing import Column, uuid_bytes
from local_stack.demo.history import History
from local_stack.demo.lifecycle import statuses
from local_stack.demo.shop import NOW, entity_words, moments

PLAIN = {
    "tb_region": ("Region", "region", "pk_region name comment"),
    "tb_nation": ("Nation", "nation", "pk_nation name fk_region comment"),
    "tb_supplier": (
        "Supplier",
        "supplier",
        "pk_supplier name address fk_nation phone account_balance comment",
    ),
    "tb_part": (
        "Part",
        "part",
        "pk_part name manufacturer brand type size container retail_price comment",
    ),
    "tb_offer": (None, "partsupp", "fk_part fk_supplier available_quantity supply_cost comment"),
}
"""Tables copied from TPC-H: entity, TPC-H's name, and the columns in TPC-H's order."""

LIVING = {
    "tb_customer": ("Customer", "pk_customer", ("nation", "region")),
    "tb_order": ("Order", "pk_order", ("customer_row", "shipping_at", "shipped_at")),
    "tb_line_item": ("LineItem", "pk_line_item", ("order_row", "ordered_at")),
}
"""Tables with a lifecycle: entity, key, and columns that the database does not need."""

AHEAD = ("paid_at", "completed_at", "shipped_at", "received_at", "returned_at")
"""Columns that are null until their time has come."""


def rows(tables: dict[str, pa.Table], history: History) -> Iterator[tuple[str, pa.Table]]:
    """The name and rows of each table, with the column names and types of the database."""
    seed = history.shop.seed
    for name, (entity, source, words) in PLAIN.items():
        columns = words.split()
        table = tables[source].rename_columns(columns)
        yield name, table if entity is None else _identified(table, entity, columns[0], seed)
    shop = history.shop
    for (name, (entity, key, unneeded)), table in zip(
        LIVING.items(), (shop.customers, shop.orders, shop.lines), strict=True
    ):
        status = statuses(history.index, entity, table.num_rows)
        table = table.drop_columns(list(unneeded)).append_column("status", status)
        yield name, _in_time(_identified(table, entity, key, seed))


def _identified(table: pa.Table, entity: str, key: str, seed: int) -> pa.Table:
    return table.append_column("id", uuid_bytes(entity_words(entity, table[key], seed)))


def _in_time(table: pa.Table) -> pa.Table:
    """Converts times to timestamps. Future times become null."""
    for number, name in enumerate(table.column_names):
        if name.endswith("_at"):
            column: Column = table[name]
            if name in AHEAD:
                column = pc.if_else(pc.less(column, NOW), column, None)
            table = table.set_column(number, name, moments(column))
    return table
