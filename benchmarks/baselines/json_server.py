"""GraphQL over HTTP/JSON as it is served elsewhere, in front of the same database.

Each route answers a query of one list of scalars in a way of its own:

/resolvers  a Python GraphQL server: graphql-core executes over the documents that the view has, a
            resolver for every field of every row, and `json` writes the response;
/documents  a FraiseQL server: its own statement, which projects the document row by row with
            `jsonb_build_object`; the rows' text is put into the response as it comes;
/aggregate  the best that JSON can do: the document is built once for each row, and PostgreSQL
            makes the whole list, which is passed on;
/lines      the same, an object to a line, for clients that read NDJSON.
"""

import json
import sys
from typing import Any

import graphql
import uvicorn
from psycopg2.pool import ThreadedConnectionPool
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

SDL = """
type LineItem { id: ID! orderKey: Int! lineNumber: Int! extendedPrice: Float! late: Boolean!
  shippedAt: String shipMode: String! quantity: Float! shipDate: String! comment: String! }
type Query { lineItems(limit: Int!): [LineItem!]! builtItems(limit: Int!): [LineItem!]!
  storedItems(limit: Int!): [LineItem!]! }
"""
RELATIONS = {
    "lineItems": "v_line_item",
    "builtItems": "v_built_item",
    "storedItems": "tv_stored_item",
}
TEXTS = frozenset(("ID", "String"))
"""Scalars that FraiseQL reads as text; the others keep their JSON type."""
SCHEMA = graphql.build_schema(SDL)


class Database:
    """PostgreSQL, through a pool of connections."""

    def __init__(self, url: str) -> None:
        self._pool = ThreadedConnectionPool(1, 8, url)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """All rows of a statement."""
        connection = self._pool.getconn()
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall()
        finally:
            self._pool.putconn(connection)


def resolved(database: Database, query: str) -> bytes:
    """What a server of resolvers answers."""

    def documents(info: graphql.GraphQLResolveInfo, limit: int) -> list[dict[str, Any]]:
        source = RELATIONS[info.field_name]
        return [data for (data,) in database.rows(f"SELECT data FROM {source} LIMIT {limit}")]

    result = graphql.graphql_sync(SCHEMA, query, dict.fromkeys(RELATIONS, documents))
    return json.dumps(result.formatted).encode()


def from_documents(database: Database, query: str) -> bytes:
    """What a FraiseQL server answers, by the statement that it makes."""
    key, relation, limit, fields = _selected(query)
    pairs = ", ".join(
        f"'{name}', data{'->>' if kind in TEXTS else '->'}'{name}'" for name, kind in fields.items()
    )
    sql = f"SELECT jsonb_build_object({pairs})::text FROM {relation} LIMIT {limit}"
    rows = ",".join([text for (text,) in database.rows(sql)])
    return f'{{"data":{{"{key}":[{rows}]}}}}'.encode()


def aggregated(database: Database, query: str) -> bytes:
    """The list as PostgreSQL makes it."""
    key, relation, limit, fields = _selected(query)
    pairs = ", ".join(f"'{name}', d.data->'{name}'" for name in fields)
    rows = f"(SELECT data FROM {relation} LIMIT {limit}) AS d"
    [(text,)] = database.rows(f"SELECT json_agg(json_build_object({pairs}))::text FROM {rows}")
    return f'{{"data":{{"{key}":{text}}}}}'.encode()


def lines(database: Database, query: str) -> bytes:
    """An object to a line, as PostgreSQL makes them."""
    _, relation, limit, fields = _selected(query)
    pairs = ", ".join(f"'{name}', d.data->'{name}'" for name in fields)
    rows = f"(SELECT data FROM {relation} LIMIT {limit}) AS d"
    made = f"string_agg(json_build_object({pairs})::text, chr(10))"
    [(text,)] = database.rows(f"SELECT {made} FROM {rows}")
    return text.encode()


def _selected(query: str) -> tuple[str, str, int, dict[str, str]]:
    """The field, its relation and limit, and what is selected of it, with types."""
    document = graphql.parse(query)
    if errors := graphql.validate(SCHEMA, document):
        raise ValueError(str(errors[0]))
    [operation] = document.definitions
    [root] = operation.selection_set.selections  # pyright: ignore[reportAttributeAccessIssue]
    limit = int(root.arguments[0].value.value)
    kinds = SCHEMA.type_map["LineItem"].fields  # pyright: ignore[reportAttributeAccessIssue]
    names = [one.name.value for one in root.selection_set.selections]
    fields = {name: graphql.get_named_type(kinds[name].type).name for name in names}
    return root.name.value, RELATIONS[root.name.value], limit, fields


def application(database: Database) -> Starlette:
    """All four, each at its path."""

    def route(path: str, answer: Any) -> Route:
        async def endpoint(request: Request) -> Response:
            query = (await request.json())["query"]
            content = await run_in_threadpool(answer, database, query)
            return Response(content, media_type="application/json")

        return Route(path, endpoint, methods=["POST"])

    answers = {
        "/resolvers": resolved,
        "/documents": from_documents,
        "/aggregate": aggregated,
        "/lines": lines,
    }
    return Starlette(routes=[route(path, answer) for path, answer in answers.items()])


if __name__ == "__main__":
    served = application(Database(sys.argv[2]))
    uvicorn.run(served, port=int(sys.argv[1]), log_level="warning", access_log=False)
