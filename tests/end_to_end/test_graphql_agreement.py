"""Arrow, JSON and a separate computation from the tables agree on random queries.

Queries are generated over the grammar that is supported; the third computation is written without
any of the code under test: plain Python over the rows of the tables.

The independent computation is part of it, so the file is longer than others.
"""

import json
from collections.abc import Callable, Iterator
from datetime import UTC
from functools import cmp_to_key
from typing import Any

import adbc_driver_postgresql.dbapi as postgresql
import graphql_shop as shop
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from flight_service.authentication import ANYONE
from flight_service.graphql.service import GraphQL, Request
from fraiseql_assets.settings import Settings

Row = dict[str, Any]
Truth = bool | None
"""As in SQL, a condition on null is neither true nor false."""

SCALARS = (
    "id",
    "name",
    "age",
    "score",
    "balance",
    "active",
    "born",
    "wakes",
    "joinedAt",
    "followers",
    "mood",
)


@pytest.fixture(scope="module")
def authors(database_url: str) -> list[Row]:
    """The authors from their table, with the values that GraphQL should return."""
    shop.create(database_url)
    with postgresql.connect(database_url) as one, one.cursor() as run:
        run.execute(
            "SELECT id::text, name, age, score, balance::text AS balance, active, born, wakes, "
            'joined_at AS "joinedAt", followers, tags, mood, pk_author '
            "FROM graphql_tests.tb_author ORDER BY pk_author"
        )
        found = run.fetch_arrow_table().to_pylist()
    for row in found:
        number = row.pop("pk_author")
        row["place"] = {"city": f"City {number % 4}", "zip": number}
    return found


@pytest.fixture(scope="module")
def graphql(
    authors: list[Row], database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GraphQL]:
    path = shop.write_schema(tmp_path_factory.mktemp("schema"))
    made = GraphQL(Settings(database_url=SecretStr(database_url), schema_path=path, batch_rows=13))
    yield made
    made.close()


# Queries as data: text for GraphQL, and a function for the separate computation.

Condition = tuple[str, Callable[[Row], Truth]]


def compared(name: str, operator: str, value: Any, get: Callable[[Row], Any]) -> Condition:
    tests: dict[str, Callable[[Any], bool]] = {
        "eq": lambda held: held == value,
        "neq": lambda held: held != value,
        "gt": lambda held: held > value,
        "gte": lambda held: held >= value,
        "lt": lambda held: held < value,
        "lte": lambda held: held <= value,
        "in": lambda held: held in value,
        "nin": lambda held: held not in value,
        "contains": lambda held: value in held,
        "startswith": lambda held: held.startswith(value),
        "endswith": lambda held: held.endswith(value),
    }
    if operator == "isnull":
        return f"{{isnull: {json.dumps(value)}}}", lambda row: (get(row) is None) == value

    def holds(row: Row) -> Truth:
        # No value, not even null, is in an empty list.
        unknown = get(row) is None and value != []
        return None if unknown else tests[operator](get(row))

    return f"{{{operator}: {json.dumps(value)}}}", holds


def field(name: str) -> Callable[[Row], Any]:
    return lambda row: row[name]


def within(name: str) -> Callable[[Row], Any]:
    return lambda row: row["place"][name]


ORDERED = st.sampled_from(["eq", "neq", "gt", "gte", "lt", "lte"])
TEXTS = st.one_of(
    st.sampled_from(["x%_", "Author", '"1', "\\", "naïve", "😀", "", "_", "%", "'"]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=3),
)


@st.composite
def leaf(draw: st.DrawFn) -> Condition:
    name = draw(st.sampled_from(["age", "name", "mood", "score", "active", "followers", "place"]))
    spelled = draw(st.sampled_from(["", "_"]))
    get = field(name)
    if draw(st.integers(0, 9)) == 0 and name != "place":
        made = compared(name, "isnull", draw(st.booleans()), get)
    elif name in ("age", "followers"):
        numbers = st.integers(-1, 60).map(lambda n: n * (10**10 if name == "followers" else 1))
        if draw(st.booleans()):
            made = compared(name, draw(ORDERED), draw(numbers), get)
        else:
            operator = draw(st.sampled_from(["in", "nin"]))
            made = compared(name, operator, draw(st.lists(numbers, max_size=4)), get)
    elif name == "score":
        made = compared(name, draw(ORDERED), draw(st.integers(0, 60)) / 3.0, get)
    elif name == "active":
        made = compared(name, draw(st.sampled_from(["eq", "neq"])), draw(st.booleans()), get)
    elif name == "mood":
        # Enum values have no quotes.
        wanted = draw(st.sampled_from(["CALM", "WILD"]))
        text, holds = compared(name, draw(st.sampled_from(["eq", "neq"])), wanted, get)
        made = text.replace('"', ""), holds
    elif name == "name":
        operator = draw(st.sampled_from(["contains", "startswith", "endswith", "eq", "neq"]))
        made = compared(name, operator, draw(TEXTS), get)
    else:
        text, holds = compared("zip", draw(ORDERED), draw(st.integers(0, 61)), within("zip"))
        return f"{{place: {{zip: {text}}}}}", holds
    return f"{{{name}: {made[0].replace('{', '{' + spelled, 1)}}}", made[1]


def joined(parts: list[Condition], key: str) -> Condition:
    def holds(row: Row) -> Truth:
        found = [one(row) for _, one in parts]
        decisive = key == "_or"
        if decisive in found:
            return decisive
        return None if None in found else not decisive

    return f"{{{key}: [{', '.join(text for text, _ in parts)}]}}", holds


def negated(part: Condition) -> Condition:
    def holds(row: Row) -> Truth:
        found = part[1](row)
        return None if found is None else not found

    return f"{{_not: {part[0]}}}", holds


CONDITIONS = st.recursive(
    leaf(),
    lambda inner: st.one_of(
        st.builds(joined, st.lists(inner, max_size=3), st.sampled_from(["_and", "_or"])),
        inner.map(negated),
    ),
    max_leaves=6,
)


@st.composite
def selections(draw: st.DrawFn) -> tuple[str, Callable[[Row], Row]]:
    """A selection with aliases and fragments, and the expected row."""
    names = draw(st.lists(st.sampled_from([*SCALARS, "tags", "place"]), min_size=1, max_size=6))
    parts, getters = [], {}
    for number, name in enumerate(names):
        key = f"k{number}" if draw(st.booleans()) else name
        part = f"{key}: {name}" if key != name else name
        get = field(name)
        if name == "place":
            inner = draw(
                st.lists(st.sampled_from(["city", "zip"]), min_size=1, max_size=2, unique=True)
            )
            part += f" {{ {' '.join(inner)} __typename }}"
            # Repeating a key adds to its selection.
            inner = [*getters.get(("place", key), []), *inner]
            getters["place", key] = inner
        parts.append(f"... on Author {{ {part} }}" if draw(st.booleans()) else part)
        getters.setdefault(key, get)

    def shown(row: Row) -> Row:
        made: Row = {}
        for key, get in getters.items():
            if isinstance(key, tuple):
                continue
            value = get(row)
            if ("place", key) in getters:
                value = {n: value[n] for n in getters["place", key]} | {"__typename": "Place"}
            made[key] = value
        return made

    return " ".join(parts), shown


ORDERS = st.lists(
    st.tuples(
        st.sampled_from(["age", "score", "active", "followers", "born"]),
        st.sampled_from(["ASC", "DESC"]),
    ),
    max_size=2,
    unique_by=lambda one: one[0],
)


def sorted_as_sql(rows: list[Row], order: list[tuple[str, str]]) -> list[Row]:
    """Nulls sort last; the id decides between equal keys."""

    def compare(one: Row, other: Row) -> int:
        for name, direction in [*order, ("id", "ASC")]:
            a, b = one[name], other[name]
            sign = (a is None) - (b is None) or (0 if a is None else (a > b) - (a < b))
            if sign:
                return sign if direction == "ASC" else -sign
        return 0

    return sorted(rows, key=cmp_to_key(compare))


def as_json(value: Any, name: str = "") -> Any:
    """An Arrow value as JSON has it."""
    if isinstance(value, dict):
        return {key: as_json(one) for key, one in value.items()}
    if isinstance(value, list):
        return [as_json(one) for one in value]
    if hasattr(value, "astimezone"):
        return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    if hasattr(value, "microsecond"):
        return value.isoformat(timespec="microseconds")
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return value


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    root=st.sampled_from(["authors", "storedAuthors"]),
    condition=CONDITIONS,
    selection=selections(),
    order=ORDERS,
    limit=st.none() | st.integers(0, 70),
    offset=st.none() | st.integers(0, 70),
)
def test_arrow_json_and_the_tables_agree(
    graphql: GraphQL,
    authors: list[Row],
    root: str,
    condition: Condition,
    selection: tuple[str, Callable[[Row], Row]],
    order: list[tuple[str, str]],
    limit: int | None,
    offset: int | None,
) -> None:
    wanted, shown = selection
    keys = ", ".join(f"{name}: {direction}" for name, direction in [*order, ("id", "ASC")])
    arguments = f"where: {condition[0]}, orderBy: {{{keys}}}"
    arguments += "" if limit is None else f", limit: {limit}"
    arguments += "" if offset is None else f", offset: {offset}"
    request = Request(f"{{ {root}({arguments}) {{ {wanted} }} }}")
    prepared = graphql.prepare(request, ANYONE)
    arrow = pa.Table.from_batches(graphql.batches(prepared), graphql.schema(prepared)).to_pylist()
    text = b"{" + b"".join(graphql.json(prepared)) + b"}"

    held = sorted_as_sql([row for row in authors if condition[1](row) is True], order)
    held = held[offset or 0 :][: len(held) if limit is None else limit]
    expected = [shown(row) for row in held]
    assert [as_json(plain(row)) for row in arrow] == [as_json(plain(row)) for row in expected]
    told = json.loads(text, parse_float=float)[root]
    assert [plain(row) for row in told] == [as_json(plain(row)) for row in expected]
    assert [list(row) for row in told] == [list(row) for row in expected]


def plain(row: Row) -> Row:
    """Decimals as floats: JSON has them as numbers, the table as text."""
    from decimal import Decimal

    made: Row = {}
    for key, value in row.items():
        is_exact = isinstance(value, Decimal) or (
            isinstance(value, str) and value.replace(".", "", 1).isdigit()
        )
        made[key] = float(value) if is_exact else value
    return made
