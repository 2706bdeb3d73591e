"""GraphQL over HTTP/JSON as other servers implement it, over the same database.

Each route answers a query for one list of scalars in a different way:

/resolvers  a Python GraphQL server: graphql-core resolves every field of every row from the view's
            documents, and `json` writes the response
/documents  a FraiseQL server: its statement projects the document of each row with
            `jsonb_build_object`, and the server copies the rows' text into the response
/aggregate  the fastest JSON: PostgreSQL reads each document once and builds the whole list, and
            the server passes it on
/lines      the same with one object per line, for clients that read NDJSON
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
"""Scalars that FraiseQL reads as text. The others keep their JSON type."""
SCHEMA = graphql.build_schema(SDL)


class Database:
    """PostgreSQL, with a connection pool."""

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
    """The response of a server with resolvers."""

    def documents(info: graphql.GraphQLResolveInfo, limit: int) -> list[dict[str, Any]]:
        source = RELATIONS[info.field_name]
        return [data for (data,) in database.rows(f"SELECT data FROM {source} LIMIT {limit}")]

    result = graphql.graphql_sync(SCHEMA, query, dict.fromkeys(RELATIONS, documents))
    return json.dumps(result.formatted).encode()


def from_documents(database: Database, query: str) -> bytes:
    """The response of a FraiseQL server, with the statement that it generates."""
    key, relation, limit, fields = _selected(query)
    pairs = ", ".join(
        f"'{name}', data{'->>' if kind in TEXTS else '->'}'{name}'" for name, kind in fields.items()
    )
    sql = f"SELECT jsonb_build_object({pairs})::text FROM {relation} LIMIT {limit}"
    rows = ",".join([text for (text,) in database.rows(sql)])
    return f'{{"data":{{"{key}":[{rows}]}}}}'.encode()


def aggregated(database: Database, query: str) -> bytes:
    """The response whose list PostgreSQL builds."""
    key, relation, limit, fields = _selected(query)
    pairs = ", ".join(f"'{name}', d.data->'{name}'" for name in fields)
    rows = f"(SELECT data FROM {relation} LIMIT {limit}) AS d"
    [(text,)] = database.rows(f"SELECT json_agg(json_build_object({pairs}))::text FROM {rows}")
    return f'{{"data":{{"{key}":{text}}}}}'.encode()


def lines(database: Database, query: str) -> bytes:
    """One object per line, built by PostgreSQL."""
    _, relation, limit, fields = _selected(query)
    pairs = ", ".join(f"'{name}', d.data->'{name}'" for name in fields)
    rows = f"(SELECT data FROM {relation} LIMIT {limit}) AS d"
    made = f"string_agg(json_build_object({pairs})::text, chr(10))"
    [(text,)] = database.rows(f"SELECT {made} FROM {rows}")
    return text.encode()


def _selected(query: str) -> tuple[str, str, int, dict[str, str]]:
    """The field, its relation, its limit, and the selected fields with their types."""
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
    """The application with all four routes."""

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
