import pytest

from flight_service.graphql.sources.view_expansion import (
    Definition,
    ExpandedColumn,
    ExpandedObject,
    NotExpandable,
    expand,
    tables_of,
)

CUSTOMER = Definition(
    " SELECT c.pk,\n    jsonb_build_object('name', c.name) AS data\n   FROM tb_customer c;", True
)


def of(sql: str) -> dict[str, Definition]:
    return {"v": Definition(sql, True), "v_customer": CUSTOMER}


def test_each_member_becomes_a_column_beside_the_document() -> None:
    sql = "SELECT o.id, jsonb_build_object('id', o.id, 'half', (o.total / 2)) AS data FROM tb_o o"
    found = expand("v", "data", of(sql))
    assert found.select == (
        "SELECT o.id, jsonb_build_object('id', o.id, 'half', (o.total / 2)) AS data "
        ', o.id AS "graphql_0", o.total / 2 AS "graphql_1" FROM tb_o o'
    )
    assert found.document == ExpandedObject(
        {
            "id": ExpandedColumn("graphql_0", stored=True),
            "half": ExpandedColumn("graphql_1", stored=False),
        }
    )


def test_an_object_within_is_followed() -> None:
    sql = (
        "SELECT jsonb_build_object('a', jsonb_build_object('b', t.b)) AS data FROM t "
        "WHERE (t.c IS DISTINCT FROM 1)"
    )
    document = expand("v", "data", of(sql)).document
    assert document == ExpandedObject(
        {"a": ExpandedObject({"b": ExpandedColumn("graphql_0", stored=True)})}
    )


def test_another_view_s_document_is_expanded_where_it_stands() -> None:
    sql = (
        "SELECT jsonb_build_object('customer', v_customer.data) AS data "
        "FROM (tb_o o LEFT JOIN v_customer ON ((v_customer.pk = o.fk)))"
    )
    found = expand("v", "data", of(sql))
    assert (
        '(SELECT *, TRUE AS "graphql_present" FROM ('
        "SELECT c.pk,\n    jsonb_build_object('name', c.name) AS data\n   "
        ', c.name AS "graphql_0" FROM tb_customer c) AS expanded) AS "v_customer" ON'
    ) in found.select
    assert found.document == ExpandedObject(
        {
            "customer": ExpandedObject(
                {"name": ExpandedColumn("graphql_0", stored=True)}, present="graphql_1"
            )
        }
    )


def test_a_document_passed_on_from_the_one_view_there_is_is_expanded() -> None:
    found = expand("v", "data", of("SELECT pk,\n    data\n   FROM v_customer c"))
    assert found.document == ExpandedObject(
        {"name": ExpandedColumn("graphql_0", stored=True)}, present="graphql_1"
    )


def test_quotes_and_other_scripts_stay_as_they_are() -> None:
    sql = """SELECT jsonb_build_object('é', "Tä"."x y", 'it''s', 'a,b)'::text) AS data FROM "Tä\""""
    found = expand("v", "data", of(sql))
    assert found.document.members.keys() == {"é", "it's"}
    assert ', "Tä"."x y" AS "graphql_0", \'a,b)\'::text AS "graphql_1" FROM "Tä"' in found.select


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("SELECT t.data FROM t", "does not build"),
        ("SELECT data FROM t", "does not build"),
        ("SELECT jsonb_build_object('a', 1) AS other FROM t", "does not say"),
        ("SELECT DISTINCT jsonb_build_object('a', t.a) AS data FROM t", "DISTINCT"),
        ("WITH t AS (SELECT 1 AS a) SELECT jsonb_build_object('a', t.a) AS data FROM t", "WITH"),
        (
            "SELECT jsonb_build_object('a', t.a) AS data FROM t UNION ALL SELECT t.data FROM t",
            "more than one SELECT",
        ),
        ("SELECT jsonb_build_object(t.k, t.a) AS data FROM t", "computes a key"),
        ("SELECT jsonb_build_object('a', t.a, 'a', t.b) AS data FROM t", "twice"),
        ("SELECT jsonb_build_object('a', t.a) || t.x AS data FROM t", "does not build"),
        ("SELECT jsonb_build_object('a', 1) AS data", "no table"),
    ],
)
def test_what_is_not_surely_the_same_is_left_alone(sql: str, why: str) -> None:
    with pytest.raises(NotExpandable, match=why):
        expand("v", "data", of(sql))


def test_a_view_whose_tables_have_row_security_is_left_alone() -> None:
    sql = "SELECT jsonb_build_object('a', t.a) AS data FROM t"
    with pytest.raises(NotExpandable, match="row security"):
        expand("v", "data", {"v": Definition(sql, False)})


def test_tables_are_found_in_sub_selects_too() -> None:
    sql = "SELECT (SELECT max(y.a) FROM app.y) FROM x JOIN z ON z.a = x.a"
    assert tables_of(sql) == ["app.y", "x", "z"]
