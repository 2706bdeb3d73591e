"""The places of rows, put beside what a definition selects, or not where that could change it."""

import pytest

from flight_service.graphql.sources.ctid_ranges import Pages, Placed, divided, placed
from flight_service.graphql.sources.view_expansion import Definition, NotTheSame

TABLES = frozenset(("tb_author", "tb_post", "shop.tb_order"))
VIEWS = {
    "v_author": Definition(" SELECT a.pk,\n    a.name\n   FROM tb_author a;", True),
    "v_guarded": Definition(" SELECT a.pk FROM tb_author a;", False),
    "v_count": Definition(" SELECT count(*) AS n FROM tb_author;", True),
}


def test_a_table_gives_its_places() -> None:
    assert placed('SELECT * FROM "shop"."tb_order"', VIEWS, TABLES) == Placed(
        'SELECT "tb_order".ctid AS "graphql_place", * FROM "shop"."tb_order"', "shop.tb_order"
    )


def test_of_joined_tables_the_first_gives_its_places() -> None:
    sql = "SELECT p.x FROM ((tb_post p LEFT JOIN v_author ON ((v_author.pk = p.fk))) CROSS JOIN t)"
    found = placed(sql, VIEWS, TABLES)
    assert found.table == "tb_post"
    assert found.select == sql.replace("SELECT ", 'SELECT "p".ctid AS "graphql_place", ', 1)


def test_a_view_is_replaced_by_its_definition_with_places() -> None:
    assert placed("SELECT v_author.name FROM v_author", VIEWS, TABLES) == Placed(
        'SELECT "v_author"."graphql_place" AS "graphql_place", v_author.name FROM '
        '(SELECT "a".ctid AS "graphql_place", a.pk,\n    a.name\n   FROM tb_author a) '
        'AS "v_author"',
        "tb_author",
    )


def test_a_sub_select_passes_places_on() -> None:
    sql = "SELECT l.id, upper((SELECT 'a')) AS u FROM (SELECT *, TRUE AS p FROM (%s) AS e) AS l"
    inner = "SELECT a.pk, (a.name || ')') AS n FROM tb_author AS a"
    found = placed(sql % inner, VIEWS, TABLES)
    with_places = inner.replace("SELECT ", 'SELECT "a".ctid AS "graphql_place", ')
    outer = sql.replace("SELECT ", 'SELECT "l"."graphql_place" AS "graphql_place", ', 1)
    assert found == Placed(outer % with_places, "tb_author")


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
def test_what_another_column_could_change_is_left_alone(sql: str) -> None:
    with pytest.raises(NotTheSame):
        placed(sql, VIEWS, TABLES)


@pytest.mark.parametrize("pages", [0, 1, 3, 4, 1001])
def test_ranges_are_without_gaps_or_overlaps(pages: int) -> None:
    ranges = divided(pages, 4)
    assert ranges[0].first == 0
    assert [one.end for one in ranges] == [*(one.first for one in ranges[1:]), None]


def test_a_range_is_a_condition_on_places() -> None:
    assert Pages(10, 20).holds("s") == (
        "s.\"graphql_place\" >= '(10,0)'::tid AND s.\"graphql_place\" < '(20,0)'::tid"
    )
