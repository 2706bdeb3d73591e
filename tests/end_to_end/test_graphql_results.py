"""Results of queries on a real database: every source, every type, every kind of error.

All tests share one database and its schema, so the file is longer than others.
"""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import adbc_driver_postgresql.dbapi as postgresql
import graphql_shop as shop
import pyarrow as pa
import pytest
from pydantic import SecretStr

from flight_service.authentication import ANYONE, Principal
from flight_service.graphql.errors import (
    BadDocument,
    Cancelled,
    DatabaseUnavailable,
    DeadlinePassed,
    GraphQLFailure,
    LimitExceeded,
    NotAuthorised,
    QueryRefused,
)
from flight_service.graphql.service import GraphQL, Request
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.settings import Settings

ALL = "id name age score balance active born wakes joinedAt followers meta tags mood"


@pytest.fixture(scope="module")
def base(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    shop.create(database_url)
    path = shop.write_schema(tmp_path_factory.mktemp("schema"))
    return Settings(database_url=SecretStr(database_url), schema_path=path, batch_rows=7)


@pytest.fixture(scope="module")
def graphql(base: Settings) -> Iterator[GraphQL]:
    made = GraphQL(base)
    yield made
    made.close()


def noon(hours: float) -> datetime:
    """A time that many hours after noon."""
    return datetime(2026, 1, 31, 12, tzinfo=UTC) + timedelta(hours=hours)


def limited(base: Settings, **limits: Any) -> GraphQL:
    return GraphQL(base.model_copy(update=limits))


def table(
    graphql: GraphQL, query: str, principal: Principal = ANYONE, **variables: Any
) -> pa.Table:
    prepared = graphql.prepare(Request(query, variables), principal)
    return pa.Table.from_batches(graphql.batches(prepared), graphql.schema(prepared))


def rows(
    graphql: GraphQL, query: str, principal: Principal = ANYONE, **variables: Any
) -> list[Any]:
    return table(graphql, query, principal, **variables).to_pylist()


def data(graphql: GraphQL, query: str, **variables: Any) -> Any:
    prepared = graphql.prepare(Request(query, variables), ANYONE)
    return json.loads(b"{" + b"".join(graphql.json(prepared)) + b"}")


def source(graphql: GraphQL, query: str) -> str:
    [root] = graphql.explain(graphql.prepare(Request(query), ANYONE))["roots"]
    return f"{root['reads']} {root['source']}"


@pytest.fixture(scope="module")
def connection(database_url: str) -> Iterator[Any]:
    with postgresql.connect(database_url, autocommit=True) as one:
        yield one


@pytest.fixture
def things(connection: Any) -> Iterator[Any]:
    """Inserts documents into the table of things."""

    def put(*documents: Any) -> None:
        with connection.cursor() as run:
            run.execute("TRUNCATE graphql_tests.tv_thing")
            for number, document in enumerate(documents):
                run.execute(
                    "INSERT INTO graphql_tests.tv_thing VALUES ($1, $2::jsonb)",
                    (number, json.dumps({"id": number, "needed": "x"} | document)),
                )

    yield put
    put()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("{ authors { id tags } }", "the flat relation graphql_tests.va_author"),
        ("{ authors { place { zip } } }", "the expressions under its data graphql_tests.v_author"),
        (
            "{ storedAuthors { place { zip } } }",
            "documents, and the typed columns beside them graphql_tests.tv_author",
        ),
        ("{ posts { author { name } } }", "the expressions under its data graphql_tests.v_post"),
        ("{ pets { id } }", "documents, and the typed columns beside them graphql_tests.tv_pet"),
    ],
)
def test_the_fastest_source_that_covers_a_query_is_chosen(
    graphql: GraphQL, query: str, expected: str
) -> None:
    assert source(graphql, query) == expected


def test_all_three_sources_return_the_same(graphql: GraphQL) -> None:
    order = 'orderBy: [{field: "id", direction: ASC}]'
    flat = table(graphql, f"{{ authors({order}) {{ {ALL} }} }}")
    expressions = table(graphql, f"{{ authors({order}) {{ {ALL} place {{ city zip }} }} }}")
    documents = table(graphql, f"{{ storedAuthors({order}) {{ {ALL} place {{ city zip }} }} }}")
    assert flat.num_rows == 60
    assert expressions.equals(documents)
    assert flat.equals(documents.drop_columns(["place"]))


def test_an_empty_result_has_the_full_schema(graphql: GraphQL) -> None:
    found = table(
        graphql,
        '{ posts(where: {title: {eq: "none"}}) '
        "{ id price author { id place { zip } } comments { body marks } } }",
    )
    place = pa.struct([pa.field("zip", pa.int32())])
    author = pa.struct([pa.field("id", pa.string(), nullable=False), pa.field("place", place)])
    comment = pa.struct([pa.field("body", pa.string()), pa.field("marks", pa.list_(pa.int32()))])
    assert found.num_rows == 0
    assert found.schema == pa.schema(
        [
            pa.field("id", pa.string(), nullable=False),
            pa.field("price", pa.decimal128(10, 3)),
            pa.field("author", author),
            pa.field("comments", pa.list_(comment)),
        ]
    )


def test_nested_lists_are_assembled(graphql: GraphQL) -> None:
    query = """{ posts(where: {title: {in: ["Post 1", "Post 5"]}}, orderBy: {words: ASC}) {
        author { name } comments { likes marks replies { body replies { body } } } } }"""
    first = rows(graphql, query)[0]
    assert first == {
        "author": {"name": 'Author "2" \\ x%_'},
        "comments": [
            {
                "likes": str(150 << 33),
                "marks": [150],
                "replies": [
                    {"body": None, "replies": None},
                    {"body": "Comment 450", "replies": None},
                ],
            },
            {
                "likes": str(300 << 33),
                "marks": [300],
                "replies": [{"body": "Comment 450", "replies": None}],
            },
            {"likes": str(450 << 33), "marks": [450], "replies": None},
        ],
    }
    assert data(graphql, query)["posts"][0] == first


def test_an_absent_object_is_null(graphql: GraphQL) -> None:
    query = '{ %s(where: {title: {eq: "Post 11"}}) { author { name place { zip } } } }'
    assert rows(graphql, query % "posts") == [{"author": None}]
    assert data(graphql, query % "posts") == {"posts": [{"author": None}]}


def test_members_of_a_union_are_distinguished(graphql: GraphQL) -> None:
    query = """{ beasts(limit: 2) {
        ... on Dog { barks name } ... on Cat { kind: __typename lives } } }"""
    assert rows(graphql, query) == [
        {"__typename": "Cat", "barks": None, "name": None, "kind": "Cat", "lives": 1},
        {"__typename": "Dog", "barks": 2, "name": "Dog 2", "kind": None, "lives": None},
    ]
    assert data(graphql, query)["beasts"] == [
        {"kind": "Cat", "lives": 1},
        {"barks": 2, "name": "Dog 2"},
    ]


def test_a_key_may_be_different_fields_in_different_members(graphql: GraphQL) -> None:
    query = "{ pets(limit: 2) { id ... on Dog { n: barks } ... on Cat { n: lives } } }"
    assert data(graphql, query) == {"pets": [{"id": 1, "n": 1}, {"id": 2, "n": 2}]}


def test_fragments_directives_and_variables_shape_the_result(graphql: GraphQL) -> None:
    query = """query Q($with: Boolean! = false, $without: Boolean!, $n: Int = 1) {
        authors(limit: $n, orderBy: {id: ASC}) { ...F name @include(if: $with) }
    } fragment F on Author { id: name mood @skip(if: $without) }"""
    assert data(graphql, query, without=True) == {"authors": [{"id": 'Author "1" \\ x%_'}]}


def test_an_empty_selection_has_all_rows(graphql: GraphQL) -> None:
    query = "{ authors(limit: 2) { id @skip(if: true) place { zip @skip(if: true) } } }"
    assert data(graphql, query) == {"authors": [{"place": {}}, {"place": {}}]}
    query = "{ authors(limit: 2) { id @skip(if: true) } }"
    assert data(graphql, query) == {"authors": [{}, {}]}


@pytest.mark.parametrize(
    ("where", "count"),
    [
        ("{age: {eq: 8}}", 2),
        ("{age: {_gte: 45, _lt: 48}}", 3),
        ("{age: {isnull: true}}", 8),
        ("{age: {eq: null}}", 8),
        ("{age: {neq: 8}}", 50),
        ("{age: {nin: [8, 9]}}", 48),
        ("{_not: {age: {in: [8, 9]}}}", 48),
        ("{_or: [{age: {eq: 8}}, {mood: {eq: CALM}, score: {lt: 1.5}}]}", 4),
        ("{_and: [{age: {gt: 10}}, {_not: {mood: {eq: CALM}}}]}", 17),
        ("{_or: []}", 0),
        ("{_and: []}", 60),
        ('{name: {contains: "x%_"}}', 48),
        ('{name: {endswith: "😀"}}', 12),
        ('{name: {startswith: "Author \\"1\\""}}', 1),
        ('{name: {like: "%naïve%"}}', 12),
        ('{name: {ilike: "AUTHOR%"}}', 60),
        ('{balance: {gt: "65.9"}}', 1),
        ("{balance: {eq: 1.1}}", 1),
        ('{joinedAt: {lt: "2026-01-01T02:30:00+01:00"}}', 1),
        ('{born: {gte: "2000-03-01"}}', 1),
        ('{wakes: {gt: "08:00:58.5"}}', 2),
        ("{followers: {eq: 600000000000}}", 1),
        ("{active: {eq: true}}", 30),
        ('{meta: {eq: {n: 1, list: [1, null, "a"]}}}', 1),
        ('{place: {city: {eq: "City 0"}, zip: {gt: 20}}}', 10),
        ("{_or: [{place: {zip: {eq: 1}}}, {place: {zip: {eq: 2}}}]}", 2),
        ('{id: {in: ["00000000-0000-0000-0000-000000000007", "no uuid"]}}', 1),
        ('{id: {neq: "no uuid"}}', 60),
    ],
)
@pytest.mark.parametrize("query", ["authors", "storedAuthors"])
def test_filters_match_the_same_rows_as_sql(
    graphql: GraphQL, query: str, where: str, count: int
) -> None:
    assert len(rows(graphql, f"{{ {query}(where: {where}) {{ id place {{ zip }} }} }}")) == count


def test_arguments_filter_the_fields_of_their_names(graphql: GraphQL) -> None:
    assert len(rows(graphql, '{ authors(name: "Author \\"1\\" \\\\ x%_") { id } }')) == 1
    assert len(rows(graphql, "{ authors(filter: {mood: CALM, age: 8}) { id } }")) == 2


def test_order_keys_apply_in_their_order(graphql: GraphQL) -> None:
    query = "query ($o: [AuthorOrderBy!]) { authors(limit: 3, orderBy: $o) { mood age } }"
    by_age = rows(graphql, query, o=[{"age": "ASC", "mood": "DESC"}])
    by_mood = rows(graphql, query, o={"mood": "DESC", "age": "ASC"})
    assert [row["age"] for row in by_age] == [0, 1, 1]
    assert [(row["mood"], row["age"]) for row in by_mood] == [("WILD", 1), ("WILD", 1), ("WILD", 3)]


def test_an_order_may_use_a_path(graphql: GraphQL) -> None:
    query = "{ %s(limit: 2, offset: 1, orderBy: %s) { place { zip } } }"
    for name in ("authors", "storedAuthors"):
        for order in ('{field: "place.zip", direction: DESC}', "{place: {zip: DESC}}"):
            found = rows(graphql, query % (name, order))
            assert found == [{"place": {"zip": 59}}, {"place": {"zip": 58}}]


def test_pages_follow_each_other_in_both_directions(graphql: GraphQL) -> None:
    query = """query ($first: Int, $after: String, $last: Int, $before: String) {
        authorPages(first: $first, after: $after, last: $last, before: $before) {
            edges { node { place { zip } } } pageInfo {
                hasNextPage hasPreviousPage startCursor endCursor } } }"""

    def page(**arguments: Any) -> tuple[list[int], dict[str, Any]]:
        found = data(graphql, query, **arguments)["authorPages"]
        assert rows(graphql, query, **arguments) == [found]
        return [edge["node"]["place"]["zip"] for edge in found["edges"]], found["pageInfo"]

    first, info = page(first=25)
    second, info = page(first=25, after=info["endCursor"])
    third, last_info = page(first=25, after=info["endCursor"])
    assert first + second + third == list(range(1, 61))
    assert (info["hasNextPage"], last_info["hasNextPage"]) == (True, False)
    back, info = page(last=10, before=info["startCursor"])
    assert back == list(range(16, 26))
    assert info["hasPreviousPage"] is True


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ('{ authorPages(after: "%") { edges { cursor } } }', "is no cursor"),
        ("{ authorPages(first: 1, last: 1) { edges { cursor } } }", "contradict"),
        ("{ authors(limit: -1) { id } }", "limit is -1"),
        ("{ authors(where: {age: {gt: null}}) { id } }", "where.age.gt is null"),
        ('{ authors(orderBy: {field: "tags"}) { id } }', "no scalar that has an order"),
        ('{ authors(orderBy: {field: "no.such"}) { id } }', "has no field 'no'"),
        ('{ authors(where: {name: {eq: "\\u0000"}}) { id } }', "U+0000"),
        ('{ authors(where: {born: {eq: "2026-02-30"}}) { id } }', "YYYY-MM-DD"),
        ('{ authors(where: {wakes: {eq: "late"}}) { id } }', "hh:mm:ss"),
        ("{ authors(where: {age: {eq: 9223372036854775808}}) { id } }", "64 bits"),
        ("{ secrets { id } }", "needs the role 'admin'"),
    ],
)
def test_an_invalid_query_is_refused_in_one_sentence(
    graphql: GraphQL, query: str, message: str
) -> None:
    with pytest.raises((QueryRefused, NotAuthorised)) as error:
        rows(graphql, query)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("limit", "query"),
    [
        ({"graphql_max_depth": 2}, "{ posts { author { place { zip } } } }"),
        ({"graphql_max_fields": 3}, "{ authors { id name age } }"),
        ({"graphql_max_fields": 3}, "{ authors { " + "id " * 70 + "} }"),
        ({"graphql_max_complexity": 30}, "{ posts { comments { replies { body } } } }"),
        ({"graphql_max_rows": 10}, "{ authors(limit: 11) { id } }"),
        ({"graphql_max_rows": 10}, "{ authors { id } }"),
    ],
)
def test_a_limit_that_is_exceeded_is_named(base: Settings, limit: Any, query: str) -> None:
    graphql = limited(base, **limit)
    with pytest.raises(LimitExceeded) as error:
        rows(graphql, query)
    [name] = limit
    assert f"FRAISEQL_{name.upper()}" in str(error.value)
    graphql.close()


@pytest.mark.parametrize(
    ("document", "selection", "path", "value"),
    [
        ({"whole": "twelve"}, "whole", "whole", "'twelve'"),
        ({"whole": 1.5}, "whole", "whole", "'1.5'"),
        ({"whole": 2**63}, "whole", "whole", "'9223372036854775808'"),
        ({"number": "x"}, "number", "number", "'x'"),
        ({"flag": 7}, "flag", "flag", "'7'"),
        ({"at": "yesterweek"}, "at", "at", "'yesterweek'"),
        ({"exact": "1.23456789012"}, "exact", "exact", "'1.23456789012'"),
        ({"text": {"a": 1}}, "text", "text", "no String"),
        ({"text": [1]}, "text", "text", "no String"),
        ({"inner": 5}, "inner { text }", "inner", "no object"),
        ({"inner": {"whole": "x"}}, "inner { whole }", "inner.whole", "'x'"),
        ({"many": {}}, "many { text }", "many", "no list"),
        ({"many": [{"needed": "y"}, 3]}, "many { text }", "many.1", "no object"),
        ({"many": [{}, {"whole": "x"}]}, "many { whole }", "many.1.whole", "'x'"),
        ({"many": [{"needed": "y"}, {}]}, "many { needed }", "many.1.needed", "never is"),
        ({"grid": [[1], ["x"]]}, "grid", "grid.1.0", "'x'"),
        ({"grid": [[1], 2]}, "grid", "grid.1", "no list"),
        ({"needed": None}, "needed", "needed", "never is"),
    ],
)
def test_a_document_of_the_wrong_type_is_an_error_with_path_and_row(
    graphql: GraphQL, things: Any, document: Any, selection: str, path: str, value: str
) -> None:
    things(*[{}] * 8, document, {})
    query = f"{{ things(orderBy: {{id: ASC}}) {{ id {selection} }} }}"
    for read in (rows, data):
        with pytest.raises(BadDocument) as error:
            read(graphql, query)
        assert f"things, row 8, {path}: " in str(error.value)
        assert value in str(error.value)
        parts = (int(one) if one.isdigit() else one for one in path.split("."))
        assert error.value.path == ("things", 8, *parts)


@pytest.mark.parametrize(
    "document",
    [
        {"text": '[1, {"a": "}"}] \\ " \n\t\u0001\u007f\u2028 😀 \ud7ff'},
        {"text": None, "whole": None, "number": None, "exact": None, "flag": None, "at": None},
        {"whole": -(2**31), "number": 1e308, "exact": -12345678901234567890.5},
        {"whole": "12", "flag": "true", "number": "1.5"},
        {"number": 5e-324, "exact": 1e-10},
        {"exact": 0, "number": 0.1},
        {"any": {"a": [None, {"b": "c"}], "é": 1.5}},
        {"any": "text", "many": [], "grid": []},
        {"many": [None, {"needed": "a"}], "grid": [None, [], [1, None]]},
        {"inner": {"needed": "n", "inner": {"needed": "n", "many": [{"needed": "z"}]}}},
    ],
)
def test_arrow_and_json_have_the_values_of_the_document(
    graphql: GraphQL, things: Any, document: Any
) -> None:
    things(document)
    scalars = "text whole number exact flag at any needed"
    query = f"""{{ things {{ {scalars} grid many {{ {scalars} }} inner {{ {scalars}
        inner {{ {scalars} many {{ {scalars} }} }} }} }} }}"""
    [arrow] = rows(graphql, query)
    [shown] = data(graphql, query)["things"]
    for key, value in document.items():
        if key in ("many", "inner"):
            continue
        expected = value
        if isinstance(value, str) and key != "text":
            expected = value if key == "any" else json.loads(value)
        assert shown[key] == (pytest.approx(expected) if key == "exact" else expected)
        if key == "any":
            arrow[key] = json.loads(arrow[key])
        if key == "exact" and value is not None:
            assert arrow[key] == Decimal(str(value))
        else:
            assert arrow[key] == expected
    if "many" in document:
        assert [one and one["needed"] for one in arrow["many"]] == [
            one and one["needed"] for one in document["many"]
        ]
        assert shown["many"] == arrow["many"]
    if "inner" in document:
        assert arrow["inner"]["inner"]["many"][0]["needed"] == "z"


@pytest.mark.parametrize(
    ("field", "texts", "values"),
    [
        ("whole", [" +12 ", "7"], [12, 7]),
        ("flag", ["yes", "off", "t", "1", None], [True, False, True, True, None]),
        ("at", ["2026-01-31T12:00:00", "2026-01-31"], [noon(0), noon(-12)]),
        ("at", ["2026-01-31T12:00:00", "2026-01-31T12:00:00+05:30"], [noon(0), noon(-5.5)]),
        ("at", ["January 31 2026 12:00:00.0000004 UTC", None], [noon(0), None]),
    ],
)
def test_text_that_postgresql_can_cast_has_the_type(
    graphql: GraphQL, things: Any, field: str, texts: list[Any], values: list[Any]
) -> None:
    things(*[{field: text, "many": [{field: text, "needed": "y"}]} for text in texts])
    found = rows(graphql, f"{{ things(orderBy: {{id: ASC}}) {{ {field} many {{ {field} }} }} }}")
    assert [row[field] for row in found] == values
    assert [row["many"][0][field] for row in found] == values


def test_nan_is_an_error_only_in_json(graphql: GraphQL, things: Any) -> None:
    things({"number": "NaN"})
    assert str(rows(graphql, "{ things { number } }")[0]["number"]) == "nan"
    with pytest.raises(BadDocument, match="no number in JSON"):
        data(graphql, "{ things { number } }")


def test_batches_have_the_configured_size(graphql: GraphQL) -> None:
    prepared = graphql.prepare(Request("{ authors { id } }"), ANYONE)
    assert [batch.num_rows for batch in graphql.batches(prepared)] == [7] * 8 + [4]


@pytest.mark.parametrize("position", ["name", "alias", "string", "variable", "order", "claim"])
def test_no_string_position_allows_sql_injection(
    graphql: GraphQL, database_url: str, position: str
) -> None:
    for attack in (
        "'; DROP TABLE graphql_tests.tb_comment; --",
        'x" FROM pg_user; --',
        "$1) OR TRUE --",
        "\\'; SELECT 1/0; --",
        "x'::text) OR (TRUE",
    ):
        quoted = json.dumps(attack)
        queries: dict[str, tuple[str, dict[str, Any]]] = {
            "name": (f"{{ authors {{ {attack} }} }}", {}),
            "alias": (f"{{ {attack}: authors {{ id }} }}", {}),
            "string": (f"{{ authors(where: {{name: {{eq: {quoted}}}}}) {{ id }} }}", {}),
            "variable": (
                "query ($v: [String!]) { storedAuthors(where: {name: {in: $v}}) { id } }",
                {"v": [attack]},
            ),
            "order": (f"{{ authors(orderBy: {{field: {quoted}}}) {{ id }} }}", {}),
            "claim": ("{ myAuthors { id } }", {}),
        }
        query, variables = queries[position]
        try:
            found = rows(graphql, query, Principal(claims={"tenant_id": attack}), **variables)
        except QueryRefused:
            found = []
        assert found == []
    with postgresql.connect(database_url) as one, one.cursor() as run:
        run.execute("SELECT count(*) FROM graphql_tests.tb_comment")
        assert run.fetchone() == (500,)


@pytest.fixture
def endless(base: Settings, database_url: str, tmp_path: Any) -> Iterator[GraphQL]:
    """GraphQL over a view of nine million rows."""
    path = shop.create_endless(database_url, tmp_path)
    graphql = limited(base, schema_path=path, graphql_connections=1, batch_rows=1000)
    yield graphql
    graphql.close()


def test_closing_a_result_cancels_the_statement(endless: GraphQL, database_url: str) -> None:
    prepared = endless.prepare(Request("{ things { id needed } }"), ANYONE)
    batches = endless.batches(prepared)
    assert next(batches).num_rows == 1000
    assert shop.running(database_url) == 1
    batches.close()
    shop.until_stopped(database_url)
    assert len(
        list(endless.batches(endless.prepare(Request("{ things(limit: 3) { id } }"), ANYONE)))
    )


def test_a_disconnected_client_cancels_the_statement(endless: GraphQL, database_url: str) -> None:
    order = "{ things(orderBy: {needed: DESC}) { id needed } }"
    cancellation = Cancellation()
    threading.Timer(0.3, cancellation.cancel).start()
    with pytest.raises(Cancelled):
        list(endless.batches(endless.prepare(Request(order), ANYONE), cancellation=cancellation))
    shop.until_stopped(database_url)


@pytest.mark.usefixtures("endless")
def test_a_statement_that_runs_too_long_is_cancelled(base: Settings, tmp_path: Any) -> None:
    order = "{ things(orderBy: {needed: DESC}) { id needed } }"
    graphql = GraphQL(
        base.model_copy(
            update={
                "graphql_timeout_seconds": 0.2,
                "schema_path": tmp_path / "schema.compiled.json",
            }
        )
    )
    with pytest.raises(DeadlinePassed, match="FRAISEQL_GRAPHQL_TIMEOUT_SECONDS"):
        rows(graphql, order)
    graphql.close()


def test_busy_connections_are_an_error_that_says_so(base: Settings) -> None:
    graphql = limited(base, graphql_connections=1, graphql_wait_seconds=0.2)
    query = Request("{ authors { id } }")
    held = graphql.batches(graphql.prepare(query, ANYONE))
    next(held)
    with pytest.raises(DatabaseUnavailable, match="FRAISEQL_GRAPHQL_CONNECTIONS"):
        list(graphql.batches(graphql.prepare(query, ANYONE)))
    held.close()
    assert sum(b.num_rows for b in graphql.batches(graphql.prepare(query, ANYONE))) == 60
    graphql.close()


def test_an_unreachable_database_is_an_error_that_says_so(base: Settings) -> None:
    graphql = limited(base, database_url=SecretStr("postgresql://nobody@127.0.0.1:1/none"))
    with pytest.raises(DatabaseUnavailable, match="FRAISEQL_DATABASE_URL"):
        rows(graphql, "{ authors { id } }")


def test_errors_have_the_form_of_graphql(graphql: GraphQL) -> None:
    with pytest.raises(GraphQLFailure) as error:
        graphql.prepare(Request("{\n  authors(limit: -1) { id }\n}"), ANYONE)
    assert error.value.formatted() == [
        {
            "message": "limit is -1, and cannot be less than 0.",
            "code": "GRAPHQL_VALIDATION_FAILED",
            "locations": [{"line": 2, "column": 3}],
            "path": ["authors"],
            "extensions": {"code": "GRAPHQL_VALIDATION_FAILED"},
        }
    ]
