"""SQL of principals who may not see everything: statements, and filters and orders of views.

As in `graphql_roles`, every statement has the same outcome over both databases, or it reveals what
the principal may not see.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from flight_service.authentication import Principal
from flight_service.errors import ServiceError
from flight_service.graphql.service import GraphQL
from flight_service.graphql.transport.flight import GraphQLFlights
from flight_service.sql.engines.postgres import FraiseqlCatalogue
from flight_service.sql.planning import Defaults, plan
from flight_service.views import OptimizedView, ViewFlights
from fraiseql_assets.cancellation import Cancellation
from tests.fuzz.graphql_roles import vault_settings
from tests.fuzz.servers import INNER
from tests.fuzz.target import Check, Target

ANN = Principal("ann", "t1", scopes=frozenset(("sql",)), claims={"sub": "ann", "tenant_id": "t1"})
RELATIONS = [
    *("v_person", "tv_person", "tv_being", "tv_card", "tv_secret", "tv_owned", "v_card"),
    *("va_person", "pg_class", "information_schema.tables", "nothing"),
]
COLUMNS = [
    *("id", "name", "rank", "born", "exact", "any", "mood", "salary", "email", "diary", "card"),
    *("data", "tenant_id", "number", "volts", "t", "tv_person", "v_person", "ctid", "tableoid"),
]
VALUES = ["1", "3", "5", "'e3'", "'e%'", "'t2'", "NULL", "true", "1.5", "'2000-01-02'"]


@st.composite
def expressions(draw: st.DrawFn, depth: int = 0) -> str:
    """A value: a column, a constant, or something made of them."""
    kind = draw(st.integers(0, 9 if depth < 2 else 4))
    if kind <= 2:
        return draw(st.sampled_from(COLUMNS))
    if kind == 3:
        return f"t.{draw(st.sampled_from(COLUMNS))}"
    if kind == 4:
        return draw(st.sampled_from(VALUES))
    one, other = draw(expressions(depth + 1)), draw(expressions(depth + 1))
    return draw(
        st.sampled_from(
            [
                f"coalesce({one}, {other})",
                f"CASE WHEN {one} = {other} THEN {other} END",
                f"({one})::text",
                f"row_to_json({one})",
                f"to_jsonb({one})",
                f"{one} ->> 'salary'",
                f"concat({one}, {other})",
                f"lower({one})",
                f"1 / ({one} - {other})",
                f"(SELECT max({one}) FROM {draw(st.sampled_from(RELATIONS))})",
                f"count({one}) OVER (PARTITION BY {other})",
                f"sum({one})",
            ]
        )
    )


@st.composite
def conditions(draw: st.DrawFn) -> str:
    one, other = draw(expressions(1)), draw(expressions(1))
    sign = draw(st.sampled_from(["=", "<>", ">", "<=", "LIKE", "IS DISTINCT FROM"]))
    made = f"{one} {sign} {other}"
    if draw(st.integers(0, 3)) == 0:
        joined = draw(st.sampled_from(["AND", "OR"]))
        made = f"({made} {joined} NOT {draw(expressions(1))} IS NULL)"
    return made


@st.composite
def statements(draw: st.DrawFn) -> str:
    """A SELECT over one or two relations."""
    shown = draw(st.lists(expressions() | st.just("*"), min_size=1, max_size=3))
    relation, other = draw(st.sampled_from(RELATIONS)), draw(st.sampled_from(RELATIONS))
    made = f"SELECT {', '.join(shown)} FROM {relation} AS t"
    if draw(st.integers(0, 4)) == 0:
        made += f" LEFT JOIN {other} AS u ON {draw(conditions())}"
    if draw(st.booleans()):
        made += f" WHERE {draw(conditions())}"
    if draw(st.integers(0, 4)) == 0:
        made = f"WITH {relation} AS (SELECT * FROM {other}) {made}"
    return made


@st.composite
def views(draw: st.DrawFn) -> OptimizedView:
    order = st.sampled_from([*COLUMNS, "salary DESC", "rank, name DESC NULLS LAST"])
    return OptimizedView(
        view=draw(st.sampled_from(RELATIONS)),
        filter=draw(st.none() | conditions()),
        order_by=draw(st.none() | order),
        limit=draw(st.none() | st.integers(0, 5)),
    )


@contextmanager
def _statements() -> Iterator[Check]:
    with vault_settings() as pair:
        made = [(GraphQL(one), one) for one in pair]
        reading = [(graphql, FraiseqlCatalogue(one, graphql)) for graphql, one in made]

        def check(example: str | OptimizedView) -> None:
            found, expected = (outcome(*one, example) for one in reading)
            assert found == expected, f"{found}\nis not\n{expected}"

        yield check
        for graphql, _ in made:
            graphql.close()


def outcome(graphql: GraphQL, catalogue: FraiseqlCatalogue, example: str | OptimizedView) -> Any:
    """The rows that a principal gets, or the error.

    Raises:
        AssertionError: it failed in a way that is not the statement's fault.
    """
    try:
        if isinstance(example, str):
            execution = plan(example, [catalogue], ANN, Defaults()).execution(ANN)
            schema, batches = execution.schema, execution.batches(Cancellation())
        else:
            queries = GraphQLFlights(graphql).resolve
            flights = ViewFlights(catalogue, queries, raw_sql=True, is_guarded=True)
            flight = flights.resolve(example, ANN)
            schema, batches = flight.schema, flight.stream(Cancellation())
        rows = pa.Table.from_batches(batches, schema).to_pylist()
    except ServiceError as error:
        told = str(error).replace("vault_3", "vault").replace("vault_5", "vault")
        assert not INNER.search(told), told
        assert len(told) < 4000, told
        return type(error).__name__, told
    return sorted(map(repr, rows))


STATEMENTS = Target(statements() | views(), _statements)
