"""Each sample query, planned and executed over the demo's database, against SQL written by hand.

It has one hand-written statement for each sample query, so it is longer than others.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import adbc_driver_postgresql.dbapi as dbapi
import pyarrow as pa
import pytest
from demo_tables import tables_of
from pydantic import SecretStr

from flight_service.authentication import Principal
from flight_service.graphql.errors import NotAuthorised
from flight_service.graphql.service import GraphQL, Prepared, Request
from fraiseql_assets.settings import Settings
from local_stack.demo import COMPILED_SCHEMA, QUERIES, on_database
from local_stack.demo.database import load

SCALE = 0.01
CALLER = Principal(roles=frozenset(("auditor",)), claims={"tenant_id": "building"})

Rows = list[dict[str, Any]]
Select = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture(scope="module")
def demo_url(database_url: str) -> str:
    url = on_database(database_url, "demo")
    load(url, SCALE, tables=tables_of(SCALE))
    return url


@pytest.fixture(scope="module")
def select(demo_url: str) -> Iterator[Select]:
    """Runs a statement. Amounts are cast to text in it; an order by one names its table."""
    with dbapi.connect(demo_url) as connection, connection.cursor() as cursor:

        def run(sql: str) -> list[tuple[Any, ...]]:
            cursor.execute(sql)
            return cursor.fetchall()

        yield run


@dataclass(frozen=True)
class Samples:
    """The sample queries over the demo's database."""

    service: GraphQL

    def prepared(
        self, name: str, variables: dict[str, Any] | None = None, principal: Principal = CALLER
    ) -> Prepared:
        text = (QUERIES / f"{name}.graphql").read_text()
        return self.service.prepare(Request(text, variables or {}), principal)

    def rows(self, name: str, variables: dict[str, Any] | None = None) -> Rows:
        prepared = self.prepared(name, variables)
        schema = self.service.schema(prepared)
        return pa.Table.from_batches(self.service.batches(prepared), schema).to_pylist()

    def source(self, name: str) -> tuple[str, str]:
        """Where a query of one root is read from, and how."""
        [root] = self.service.explain(self.prepared(name))["roots"]
        return root["source"], root["reads"]


@pytest.fixture(scope="module")
def samples(demo_url: str) -> Iterator[Samples]:
    service = GraphQL(Settings(database_url=SecretStr(demo_url), schema_path=COMPILED_SCHEMA))
    yield Samples(service)
    service.close()


def records(select: Select, names: str, sql: str) -> Rows:
    """Rows as dictionaries; a name that ends in ! holds an amount."""
    keys = names.split()
    return [
        {
            key.removesuffix("!"): Decimal(value) if key.endswith("!") else value
            for key, value in zip(keys, row, strict=True)
        }
        for row in select(sql)
    ]


def expected_open_orders(select: Select) -> Rows:
    found = records(
        select,
        "orderKey status totalPrice! orderDate placedAt customer segment nation region",
        "SELECT o.pk_order, o.status, o.total_price::text, o.order_date, o.placed_at, c.name, "
        "c.market_segment, n.name, r.name FROM tb_order o "
        "JOIN tb_customer c ON pk_customer = fk_customer "
        "JOIN tb_nation n ON pk_nation = fk_nation JOIN tb_region r ON pk_region = fk_region "
        "WHERE o.status IN ('PAID', 'SHIPPING') AND o.total_price >= 100000 "
        "ORDER BY o.total_price DESC, o.pk_order LIMIT 20",
    )
    for one in found:
        nation = {"name": one.pop("nation"), "region": {"name": one.pop("region")}}
        one["customer"] = {
            "name": one["customer"], "marketSegment": one.pop("segment"), "nation": nation,
        }  # fmt: skip
    return found


def expected_order(select: Select) -> Rows:
    [order] = records(
        select,
        "id orderKey status priority totalPrice! placedAt paidAt completedAt customer",
        "SELECT o.id::text, pk_order, o.status, priority, total_price::text, placed_at, paid_at, "
        "completed_at, c.name FROM tb_order o JOIN tb_customer c ON pk_customer = fk_customer "
        "WHERE pk_order = 1",
    )
    lines = records(
        select,
        "lineNumber status quantity! extendedPrice! discount! shipDate late",
        "SELECT line_number, status, quantity::text, extended_price::text, discount::text, "
        "ship_date, receipt_date > commit_date FROM tb_line_item WHERE fk_order = 1 "
        "ORDER BY line_number",
    )
    return [{**order, "customer": {"name": order["customer"]}, "lineItems": lines}]


def expected_line_items(select: Select) -> Rows:
    return records(
        select,
        "orderKey lineNumber quantity! extendedPrice! discount! shipDate shipMode",
        "SELECT fk_order, line_number, quantity::text, extended_price::text, discount::text, "
        "ship_date, ship_mode FROM tb_line_item ORDER BY 1, 2",
    )


def expected_late_returns(select: Select) -> Rows:
    return records(
        select,
        "id orderKey lineNumber shipMode quantity! commitDate receiptDate shippedAt returnedAt",
        "SELECT id::text, fk_order, line_number, ship_mode, quantity::text, commit_date, "
        "receipt_date, shipped_at, returned_at FROM tb_line_item "
        "WHERE receipt_date > commit_date AND status = 'RETURNED' "
        "AND shipped_at >= '1995-01-01T00:00:00Z' "
        "AND (ship_mode IN ('AIR', 'REG AIR') OR quantity > 45) "
        "AND NOT ship_instructions LIKE 'TAKE%' ORDER BY returned_at DESC, id LIMIT 100",
    )


def expected_indebted_customers(select: Select) -> Rows:
    found = records(
        select,
        "customerKey name status accountBalance! registeredAt nation",
        "SELECT pk_customer, c.name, status, account_balance::text, registered_at, n.name "
        "FROM tb_customer c JOIN tb_nation n ON pk_nation = fk_nation "
        "JOIN tb_region r ON pk_region = fk_region WHERE r.name = 'EUROPE' "
        "AND account_balance < 0 ORDER BY c.account_balance, pk_customer",
    )
    return [{**one, "nation": {"name": one["nation"]}} for one in found]


def expected_parts(select: Select) -> Rows:
    parts = records(
        select,
        "partKey name type retailPrice! size container",
        "SELECT pk_part, name, type, retail_price::text, size, container FROM tb_part "
        "WHERE name LIKE '%lace%' ORDER BY pk_part LIMIT 10 OFFSET 2",
    )
    for part in parts:
        offers = records(
            select,
            "supplyCost! availableQuantity supplier nation",
            "SELECT supply_cost::text, available_quantity, s.name, n.name FROM tb_offer o "
            "JOIN tb_supplier s ON pk_supplier = fk_supplier "
            "JOIN tb_nation n ON pk_nation = fk_nation "
            f"WHERE fk_part = {part['partKey']} ORDER BY o.supply_cost, fk_supplier",
        )
        part["markup"] = pytest.approx(float(part["retailPrice"] / offers[0]["supplyCost"]))
        part["keywords"] = part.pop("type").lower().split(" ")
        size, container = part.pop("size"), part.pop("container")
        part["attributes"] = {"size": size, "container": container}
        part["offers"] = [
            {**one, "supplier": {"name": one["supplier"], "nation": {"name": nation}}}
            for one, nation in ((one, one.pop("nation")) for one in offers)
        ]
    return parts


def expected_parties(select: Select) -> Rows:
    return records(
        select,
        "__typename id name accountBalance! customerKey status supplierKey",
        "SELECT * FROM (SELECT 'Customer', id::text, name, account_balance::text, pk_customer, "
        "status, NULL::bigint FROM tb_customer UNION ALL SELECT 'Supplier', id::text, name, "
        "account_balance::text, NULL, NULL, pk_supplier FROM tb_supplier) "
        "ORDER BY account_balance::numeric DESC, id LIMIT 25",
    )


def expected_my_orders(select: Select) -> Rows:
    return records(
        select,
        "orderKey tenantId status placedAt",
        "SELECT pk_order, tenant_id, status, placed_at FROM tb_order "
        "WHERE tenant_id = 'building' ORDER BY placed_at DESC LIMIT 20",
    )


def expected_audited_orders(select: Select) -> Rows:
    orders = records(
        select,
        "orderKey clerk customer",
        "SELECT pk_order, clerk, c.name FROM tb_order o "
        "JOIN tb_customer c ON pk_customer = fk_customer "
        "WHERE c.status = 'DORMANT' ORDER BY pk_order LIMIT 5",
    )
    for order in orders:
        order["customer"] = {"name": order["customer"], "status": "DORMANT"}
        order["lineItems"] = records(
            select,
            "lineNumber comment",
            "SELECT line_number, comment FROM tb_line_item "
            f"WHERE fk_order = {order['orderKey']} ORDER BY line_number",
        )
    return orders


def expected_overview(select: Select) -> Rows:
    nations = records(
        select,
        "name region",
        "SELECT n.name, r.name FROM tb_nation n JOIN tb_region r ON pk_region = fk_region "
        "ORDER BY n.name",
    )
    regions = records(select, "name", "SELECT name FROM tb_region ORDER BY name")
    urgent = records(
        select,
        "key totalPrice!",
        "SELECT pk_order, total_price::text FROM tb_order o WHERE priority = 'URGENT' "
        "ORDER BY o.total_price DESC LIMIT 3",
    )
    completed = records(
        select,
        "key totalPrice! completedAt",
        "SELECT pk_order, total_price::text, completed_at FROM tb_order "
        "WHERE status = 'COMPLETED' ORDER BY completed_at DESC LIMIT 3",
    )
    nested = [{**one, "region": {"name": one["region"]}} for one in nations]
    return [{"regions": regions, "nations": nested, "urgent": urgent, "completed": completed}]


EXPECTED = {
    name.removeprefix("expected_"): function
    for name, function in list(globals().items())
    if name.startswith("expected_")
}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_sample_query_equals_hand_written_sql(
    samples: Samples, select: Select, name: str
) -> None:
    found = samples.rows(name)
    for row in found:
        if "attributes" in row:
            row["attributes"] = json.loads(row["attributes"])
    expected = EXPECTED[name](select)
    assert expected
    assert found == expected


def test_members_of_a_union_have_the_values_of_their_tables(
    samples: Samples, select: Select
) -> None:
    own = {"Customer": "market_segment", "Supplier": "phone", "Part": "brand"}
    fields = {"Customer": "marketSegment", "Supplier": "phone", "Part": "brand"}
    hits = samples.rows("search_hits")
    assert len(hits) == 50
    for hit in hits:
        kind = hit["__typename"]
        shown = {key: value for key, value in hit.items() if value is not None}
        [(name, value)] = select(
            f"SELECT name, {own[kind]} FROM tb_{kind.lower()} WHERE id = '{hit['id']}'"
        )
        assert shown == {
            "__typename": kind, "id": hit["id"], "name": name, fields[kind]: value,
        }  # fmt: skip


def test_pages_are_consecutive_to_the_end(samples: Samples, select: Select) -> None:
    seen: list[int] = []
    after, more = None, True
    while more:
        [page] = samples.rows("orders_page", {"size": 1_000, "after": after})
        seen += [edge["node"]["orderKey"] for edge in page["edges"]]
        more, after = page["pageInfo"]["hasNextPage"], page["pageInfo"]["endCursor"]
    urgent = "SELECT pk_order FROM tb_order WHERE priority = 'URGENT' ORDER BY pk_order"
    assert seen == [key for (key,) in select(urgent)]
    assert len(seen) > 2_000


def test_every_sample_query_is_tested() -> None:
    others = {"search_hits", "orders_page"}
    assert {path.stem for path in QUERIES.glob("*.graphql")} == EXPECTED.keys() | others


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("line_items", "va_line_item"),
        ("late_returns", "va_line_item"),
        ("my_orders", "va_order"),
        ("open_orders", "tv_order"),
        ("order", "tv_order"),
        ("indebted_customers", "v_customer"),
        ("parts", "v_part"),
    ],
)
def test_the_fastest_source_that_covers_a_selection_is_chosen(
    samples: Samples, name: str, source: str
) -> None:
    assert samples.source(name)[0] == source


@pytest.mark.parametrize("name", ["indebted_customers", "parts", "audited_orders"])
def test_a_view_is_read_through_the_expressions_of_its_documents(
    samples: Samples, name: str
) -> None:
    assert samples.source(name)[1] == "the expressions under its data"


@pytest.mark.parametrize(
    ("name", "principal", "message"),
    [
        ("my_orders", Principal(), "tenant_id"),
        ("audited_orders", Principal(roles=frozenset(("analyst",))), "auditor"),
    ],
)
def test_a_sample_query_is_refused_without_its_role(
    samples: Samples, name: str, principal: Principal, message: str
) -> None:
    with pytest.raises(NotAuthorised, match=message):
        samples.prepared(name, principal=principal)
