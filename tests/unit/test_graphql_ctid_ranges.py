"""Adding ctids to the select list of a definition, unless that could change its result."""

import pytest

from flight_service.graphql.sources.ctid_ranges import CtidRange, RowsWithCtids, divided, with_ctids
from flight_service.graphql.sources.view_expansion import Definition, NotExpandable

TABLES = frozenset(("tb_author", "tb_post", "shop.tb_order"))
VIEWS = {
    "v_author": Definition(" SELECT a.pk,\n    a.name\n   FROM tb_author a;", True),
    "v_guarded": Definition(" SELECT a.pk FROM tb_author a;", False),
    "v_count": Definition(" SELECT count(*) AS n FROM tb_author;", True),
}


def test_a_table_returns_its_ctids() -> None:
    assert with_ctids('SELECT * FROM "shop"."tb_order"', VIEWS, TABLES) == RowsWithCtids(
        'SELECT "tb_order".ctid AS "graphql_ctid", * FROM "shop"."tb_order"', "shop.tb_order"
    )


def test_a_join_returns_the_ctids_of_its_first_table() -> None:
    sql = "SELECT p.x FROM ((tb_post p LEFT JOIN v_author ON ((v_author.pk = p.fk))) CROSS JOIN t)"
    found = with_ctids(sql, VIEWS, TABLES)
    assert found.table == "tb_post"
    assert found.select == sql.replace("SELECT ", 'SELECT "p".ctid AS "graphql_ctid", ', 1)


def test_a_view_is_replaced_by_its_definition_with_ctids() -> None:
    assert with_ctids("SELECT v_author.name FROM v_author", VIEWS, TABLES) == RowsWithCtids(
        'SELECT "v_author"."graphql_ctid" AS "graphql_ctid", v_author.name FROM '
        '(SELECT "a".ctid AS "graphql_ctid", a.pk,\n    a.name\n   FROM tb_author a) '
        'AS "v_author"',
        "tb_author",
    )


def test_a_sub_select_returns_the_ctids_of_its_table() -> None:
    sql = "SELECT l.id, upper((SELECT 'a')) AS u FROM (SELECT *, TRUE AS p FROM (%s) AS e) AS l"
    inner = "SELECT a.pk, (a.name || ')') AS n FROM tb_author AS a"
    found = with_ctids(sql % inner, VIEWS, TABLES)
    inner_with_ctids = inner.replace("SELECT ", 'SELECT "a".ctid AS "graphql_ctid", ')
    outer = sql.replace("SELECT ", 'SELECT "l"."graphql_ctid" AS "graphql_ctid", ', 1)
    assert found == RowsWithCtids(outer % inner_with_ctids, "tb_author")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT DISTINCT x FROM tb_post",
        "SELECT x FROM tb_post GROUP BY x",
        "SELECT count(*) AS n FROM tb_post",
        "SELECT row_number() OVER (ORDER BY x) AS n FROM tb_post",
        "SELECT x FROM tb_post LIMIT 3",
        "SELECT x FROM tb_post OFFSET 3",
        "SELECT x FROM tb_post UNION ALL SELECT x FROM tb_author",
        "WITH t AS (SELECT x FROM tb_post) SELECT x FROM t",
        "SELECT x FROM tb_post RIGHT JOIN tb_author ON TRUE",
        "SELECT x FROM tb_post FULL JOIN tb_author ON TRUE",
        "SELECT x FROM tb_post TABLESAMPLE bernoulli (10)",
        "SELECT n FROM generate_series(1, 9) AS n",
        "SELECT x FROM (SELECT DISTINCT x FROM tb_post) AS p",
        "SELECT p.* FROM (SELECT x FROM tb_post) AS p",
        "SELECT x FROM (SELECT x FROM tb_post) AS p(x)",
        "SELECT x FROM (VALUES (1)) AS p(x)",
        "SELECT 1 AS x",
        "SELECT x FROM v_guarded",
        "SELECT n FROM v_count",
        "SELECT x FROM a_table_that_is_not_known",
        "SELECT to_jsonb(v_author.*) AS data FROM v_author",
        "SELECT a.x FROM v_author a(x, y)",
    ],
)
def test_a_definition_that_another_column_could_change_is_refused(sql: str) -> None:
    with pytest.raises(NotExpandable):
        with_ctids(sql, VIEWS, TABLES)


@pytest.mark.parametrize("pages", [0, 1, 3, 4, 1001])
def test_ranges_have_no_gaps_and_no_overlaps(pages: int) -> None:
    ranges = divided(pages, 4)
    assert ranges[0].first_page == 0
    assert [one.end_page for one in ranges] == [*(one.first_page for one in ranges[1:]), None]


def test_a_range_is_a_condition_on_ctids() -> None:
    assert CtidRange(10, 20).condition("s") == (
        "s.\"graphql_ctid\" >= '(10,0)'::tid AND s.\"graphql_ctid\" < '(20,0)'::tid"
    )
