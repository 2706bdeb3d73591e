"""The action that explains how a query would be read, without reading rows."""

from typing import Any

import msgspec
import pyarrow as pa

from flight_service.actions import Action
from flight_service.authentication import Principal
from flight_service.errors import InvalidRequest
from flight_service.graphql.service import GraphQL, Request
from flight_service.graphql.transport.flight import GraphQLQuery
from flight_service.tickets import MAX_BYTES, explained

NAME = "ExplainGraphQLQuery"


def explain_action(graphql: GraphQL) -> Action:
    """The action. Its body is a `GraphQLQuery` ticket. Whoever may run the query may explain it."""
    return Action(
        NAME,
        "How a GraphQLQuery ticket would be read: for each root its source, the sources left out "
        "and why, its SQL and values; and the schema.",
        lambda body, principal: _explained(graphql, body, principal),
    )


def _explained(graphql: GraphQL, body: bytes, principal: Principal) -> dict[str, Any]:
    ticket = _ticket(body)
    request = Request(ticket.query, ticket.variables or {}, ticket.operation_name)
    prepared = graphql.prepare(request, principal)
    schema = graphql.schema(prepared, ticket.field)
    return {**graphql.explain(prepared), "schema": [_field(one) for one in schema]}


def _ticket(body: bytes) -> GraphQLQuery:
    if len(body) > MAX_BYTES:
        raise InvalidRequest(
            f"The action's body has at most {MAX_BYTES:,} bytes, this one {len(body):,}."
        )
    try:
        return msgspec.json.decode(body, type=GraphQLQuery)
    except msgspec.ValidationError as error:
        raise InvalidRequest(explained(error, GraphQLQuery)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"The action's body is no JSON that can be read: {error}.") from error


def _field(field: pa.Field) -> dict[str, Any]:
    return {"name": field.name, "type": str(field.type), "nullable": field.nullable}
