"""The engine that a statement is planned for, with fake catalogues."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import pyarrow as pa
import pytest

from flight_service.access import SQL, check_scope, tenant_of
from flight_service.authentication import ANYONE, Principal
from flight_service.errors import Forbidden, InvalidRequest
from flight_service.sql.catalogue import (
    Binding,
    Dialect,
    Execution,
    Relation,
    Statement,
)
from flight_service.sql.engines.clickhouse_types import shown
from flight_service.sql.handles import Handle, Handles
from flight_service.sql.parameters import bound, example
from flight_service.sql.planning import Defaults, plan
from flight_service.sql.prepared import PreparedStatements
from flight_service.sql.recently_used import RecentlyUsed
from flight_service.sql.running_statements import RunningStatements, StatementCancelled
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.iterators import close_iterator
from fraiseql_assets.planes import PlaneUnavailable

COLUMNS = pa.schema([("id", pa.int64()), ("name", pa.string()), ("at", pa.timestamp("us", "UTC"))])


@dataclass
class Made:
    """A catalogue of fake relations."""

    name: str
    dialect: Dialect
    names: Sequence[str]
    is_down: bool = False
    asked: list[Statement] = field(default_factory=list)

    def relations(self, principal: Principal) -> Sequence[Relation]:
        if self.is_down:
            raise PlaneUnavailable(f"{self.name} does not answer.")
        return [
            Relation("public", name, "TABLE", COLUMNS, f"SELECT * FROM real_{name} WHERE mine")
            for name in self.names
        ]

    def execution(self, statement: Statement, binding: Binding, principal: Principal) -> Execution:
        raise AssertionError("nothing is executed here")


@pytest.fixture
def catalogues() -> list[Made]:
    return [
        Made("analytics", "clickhouse", ["events", "both"]),
        Made("fraiseql", "postgres", ["v_user", "both"]),
    ]


def engine(sql: str, catalogues: list[Made], defaults: Defaults = Defaults()) -> str:  # noqa: B008
    return plan(sql, catalogues, ANYONE, defaults).catalogue.name


@pytest.mark.parametrize(
    ("sql", "wanted"),
    [
        ("SELECT * FROM events", "analytics"),
        ("SELECT * FROM v_user", "fraiseql"),
        ("SELECT * FROM V_USER", "fraiseql"),
        ("SELECT * FROM fraiseql.public.both", "fraiseql"),
        ("SELECT * FROM both", "analytics"),
        ("SELECT 1", "analytics"),
        ("SELECT a->>'x' FROM v_user", "fraiseql"),
        ("WITH v_user AS (SELECT 1) SELECT * FROM v_user, events", "analytics"),
    ],
)
def test_a_statement_runs_on_the_engine_of_its_relations(
    catalogues: list[Made], sql: str, wanted: str
) -> None:
    assert engine(sql, catalogues) == wanted


def test_the_session_resolves_ambiguous_names(catalogues: list[Made]) -> None:
    chosen = Defaults("fraiseql")
    assert engine("SELECT * FROM both", catalogues, chosen) == "fraiseql"
    assert engine("SELECT 1", catalogues, chosen) == "fraiseql"
    assert engine("SELECT * FROM events", catalogues, chosen) == "analytics"


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("SELECT * FROM events, v_user", "one engine.*events of analytics; v_user of fraiseql"),
        ("SELECT * FROM nothing", "no relation nothing.*analytics has both, events; fraiseql has"),
        ("SELECT * FROM analytics.public.v_user", "no relation analytics.public.v_user"),
        ("SELECT * FROM real_events", "no relation real_events"),
        ("SELECT * FROM", "does not parse"),
    ],
)
def test_an_unknown_relation_is_refused_with_the_known_ones(
    catalogues: list[Made], sql: str, told: str
) -> None:
    with pytest.raises(InvalidRequest, match=told):
        engine(sql, catalogues)


def test_an_unavailable_engine_fails_only_its_own_statements(catalogues: list[Made]) -> None:
    catalogues[1].is_down = True
    assert engine("SELECT * FROM events", catalogues) == "analytics"
    with pytest.raises(PlaneUnavailable):
        engine("SELECT * FROM v_user", catalogues)


def test_a_statement_without_relations_runs_on_the_first_available_engine(
    catalogues: list[Made],
) -> None:
    asked: list[str] = []

    def execution(name: str, is_down: bool) -> Callable[..., Execution]:
        def answer(*_: object) -> Execution:
            asked.append(name)
            if is_down:
                raise PlaneUnavailable(f"{name} does not answer.")
            return Waiting()

        return answer

    catalogues[0].execution = execution("analytics", True)
    catalogues[1].execution = execution("fraiseql", False)
    plan("SELECT 1", catalogues, ANYONE, Defaults()).execution(ANYONE)
    assert asked == ["analytics", "fraiseql"]
    catalogues[1].execution = execution("fraiseql", True)
    with pytest.raises(PlaneUnavailable):
        plan("SELECT 1", catalogues, ANYONE, Defaults()).execution(ANYONE)


def test_relations_are_replaced_by_the_rows_of_the_principal(catalogues: list[Made]) -> None:
    sql = plan("SELECT events.id FROM events", catalogues, ANYONE, Defaults()).statement.sql
    assert sql == ('SELECT "events"."id" FROM (SELECT * FROM real_events WHERE mine) AS "events"')
    mentioned = "SELECT 'events', e.name FROM public.events AS e"
    sql = plan(mentioned, catalogues, ANYONE, Defaults()).statement.sql
    assert sql == (
        """SELECT 'events', "e"."name" FROM (SELECT * FROM real_events WHERE mine) AS "e\""""
    )


@pytest.mark.parametrize(
    ("sql", "kinds"),
    [
        ("SELECT * FROM events WHERE id = ? AND name LIKE 'x' AND ? < at", ["int64", "timestamp"]),
        ("SELECT ? FROM events WHERE name IN (?, ?) LIMIT ?", ["string"] * 3 + ["int64"]),
        ("SELECT * FROM v_user WHERE id = $2 OR at > $1", ["timestamp", "int64"]),
        ("SELECT CAST(? AS DATE), '?' FROM events WHERE id BETWEEN ? AND ?",
         ["date32", "int64", "int64"]),
    ],
)  # fmt: skip
def test_parameters_have_the_type_of_the_compared_column(
    catalogues: list[Made], sql: str, kinds: list[str]
) -> None:
    found = plan(sql, catalogues, ANYONE, Defaults()).statement.parameters
    assert [one.name for one in found] == [f"{n}" for n in range(1, len(kinds) + 1)]
    for one, kind in zip(found, kinds, strict=True):
        assert str(one.type).startswith(kind)
    assert len(example(found).rows[0]) == len(kinds)


@pytest.mark.parametrize(
    "sql", ["SELECT ?, $1 FROM v_user", "SELECT $2 FROM v_user", "SELECT $0 FROM v_user"]
)
def test_a_wrong_number_of_parameters_is_refused(catalogues: list[Made], sql: str) -> None:
    with pytest.raises(InvalidRequest):
        engine(sql, [catalogues[1]])


def test_a_string_is_bound_with_the_type_of_the_parameter(catalogues: list[Made]) -> None:
    sql = "SELECT * FROM events WHERE id = ? AND at > ?"
    parameters = plan(sql, catalogues, ANYONE, Defaults()).statement.parameters
    values = pa.table({"a": ["5"], "b": ["2026-01-01T00:00:00Z"]})
    binding = bound(parameters, values)
    assert binding.types == (pa.int64(), pa.timestamp("us", "UTC"))
    assert binding.rows[0][0] == 5
    kept = bound(parameters, pa.table({"a": [Decimal("1.5")], "b": [None]}))
    assert kept.types[0] == pa.decimal128(2, 1)


def test_a_handle_belongs_to_one_principal_and_cannot_be_altered() -> None:
    signer, handle = Handles(), Handle("1", text="SELECT 1")
    someone = Principal(subject="someone", tenant="acme")
    signed = signer.sign(handle, someone)
    assert signer.verify(signed, someone) == handle
    for other in (ANYONE, Principal(subject="someone"), Principal(subject="else", tenant="acme")):
        with pytest.raises(InvalidRequest):
            signer.verify(signed, other)
    for altered in (signed[:-1], signed + b"x", b"x" + signed, b"", bytes(40)):
        with pytest.raises(InvalidRequest):
            signer.verify(altered, someone)
    with pytest.raises(InvalidRequest):
        Handles().verify(signed, someone)


def test_the_least_recently_used_entry_is_dropped() -> None:
    recent: RecentlyUsed[int] = RecentlyUsed(2)
    for number in range(3):
        recent.put(f"{number}", number)
        recent.get("0")
    assert (recent.get("0"), recent.get("1"), recent.take("2"), recent.take("2")) == (
        0,
        None,
        2,
        None,
    )


def test_cached_values_are_limited_in_bytes() -> None:
    recent: RecentlyUsed[int] = RecentlyUsed(100, most_bytes=1000)
    for number in range(50):
        recent.put(f"{number}", number, size=100)
        assert recent.bytes <= 1000
    assert [recent.get(f"{number}") for number in (39, 40, 49)] == [None, 40, 49]
    recent.put("49", 1, size=1)
    assert recent.bytes == 901
    recent.put("large", 1, size=1001)
    assert (recent.get("large"), recent.bytes) == (None, 901)


def test_a_principal_does_not_displace_values_of_others() -> None:
    for recent in (RecentlyUsed[int](10), RecentlyUsed[int](100, most_bytes=1000)):
        recent.put("mine", 1, size=100, owner="ann")
        for number in range(50):
            recent.put(f"{number}", number, size=100, owner="bob")
        assert (recent.get("mine"), recent.get("49"), recent.get("30")) == (1, 49, None)


def test_the_size_of_a_prepared_statement_includes_its_values() -> None:
    shop = Made("shop", "postgres", ["v_user"])
    planned = plan("SELECT id FROM v_user WHERE id = ?", [shop], ANYONE, Defaults())
    prepared = PreparedStatements()
    handle = prepared.add(planned, ANYONE)
    before = prepared.get(handle, ANYONE).size
    prepared.bind(handle, ANYONE, pa.table({"x": list(range(1000))}))
    assert prepared.get(handle, ANYONE).size >= before + 1000 * 64


def test_sql_needs_its_scope_if_tokens_are_checked() -> None:
    check_scope(ANYONE, SQL, "SQL", is_guarded=False)
    check_scope(Principal(scopes=frozenset(("sql",))), SQL, "SQL", is_guarded=True)
    with pytest.raises(Forbidden, match="'sql'"):
        check_scope(Principal(scopes=frozenset(("admin",))), SQL, "SQL", is_guarded=True)


def test_a_tenant_reads_its_own_rows() -> None:
    assert tenant_of(Principal(tenant="acme")) == "acme"
    assert tenant_of(Principal(tenant="acme", scopes=frozenset(("all_tenants",)))) is None
    assert tenant_of(ANYONE) is None


class Waiting:
    """An execution that gives a batch, and then waits until it is cancelled."""

    schema = pa.schema([("n", pa.int64())])

    def batches(self, cancellation: Cancellation) -> Iterator[pa.RecordBatch]:
        yield pa.record_batch([pa.array([1])], self.schema)
        assert cancellation.wait(10)
        raise RuntimeError("the engine says that its query was killed")


def test_a_statement_can_be_cancelled_at_every_stage() -> None:
    running = RunningStatements()
    rows = running.batches("a", Waiting(), Cancellation())
    assert next(rows).num_rows == 1
    running.cancel("a")
    with pytest.raises(StatementCancelled):
        next(rows)
    with pytest.raises(StatementCancelled):
        next(running.batches("a", Waiting(), Cancellation()))
    other = running.batches("b", Waiting(), Cancellation())
    assert next(other).num_rows == 1
    close_iterator(other)


def test_a_disconnect_cancels_the_statement() -> None:
    call = Cancellation()
    rows = RunningStatements().batches("a", Waiting(), call)
    next(rows)
    call.cancel()
    with pytest.raises(RuntimeError):
        next(rows)


@pytest.mark.parametrize(
    ("described", "kind", "nullable", "convert"),
    [
        ("UInt64", pa.uint64(), False, False),
        ("LowCardinality(Nullable(String))", pa.string(), True, False),
        ("DateTime64(6, \\'UTC\\')", pa.timestamp("us", "UTC"), False, False),
        ("DateTime64(2)", pa.timestamp("ms", "UTC"), False, False),
        ("Nullable(DateTime('Europe/Paris'))", pa.timestamp("s", "Europe/Paris"), True, True),
        ("Decimal(12, 2)", pa.decimal128(12, 2), False, False),
        ("Decimal(50, 2)", pa.decimal256(50, 2), False, False),
        ("Array(Nullable(Int32))", pa.list_(pa.field("item", pa.int32())), False, False),
        ("Array(UUID)", pa.string(), False, True),
        ("Enum8('a' = 1, 'b,)' = 2)", pa.string(), False, True),
        ("FixedString(3)", pa.string(), False, True),
        ("Nullable(Nothing)", pa.null(), True, False),
        (
            "Tuple(\n    x Int64,\n    y Nullable(String))",
            pa.struct([pa.field("x", pa.int64(), False), pa.field("y", pa.string())]),
            False,
            False,
        ),
    ],
)
def test_clickhouse_types_are_mapped_to_arrow(
    described: str, kind: pa.DataType, nullable: bool, convert: bool
) -> None:
    found = shown(described)
    assert (found.type, found.nullable, found.convert is not None) == (kind, nullable, convert)
