"""Access control for Dagster's web server, which has none of its own.

A web page that a user has open can send requests to any server that the user can reach. The guard
accepts a request only if it names a known host and does not come from another page. If a password
is set, the request must carry it.
"""

import base64
import secrets
from collections.abc import Iterable
from urllib.parse import parse_qs, urlsplit

import graphql
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from fraiseql_assets.addresses import host_of
from fraiseql_assets.settings import DAGSTER_USER, Settings, variable

LOOPBACK = ("127.0.0.1", "localhost", "::1")
POLICY_VIOLATION = 1008

Refusal = tuple[int, str]
"""An HTTP status and a message."""


class Guard:
    """An ASGI application that forwards only permitted requests to another."""

    def __init__(self, app: ASGIApp, hosts: Iterable[str], login: tuple[str, str] | None) -> None:
        """`hosts` are the accepted host names. `login` is a user and a password; without it,
        everyone who can reach the server may use it."""
        self._app = app
        self._hosts = frozenset(host.lower() for host in hosts)
        self._credentials = login and _basic(*login)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = None if scope["type"] == "lifespan" else self._refusal(scope)
        if refused is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            status, sentence = refused
            challenge = {"WWW-Authenticate": 'Basic realm="Dagster", charset="UTF-8"'}
            headers = challenge if status == 401 else None
            await PlainTextResponse(f"{sentence}\n", status, headers)(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})

    def _refusal(self, scope: Scope) -> Refusal | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if host_of(host) not in self._hosts:
            return 403, (
                "The request's Host is not a name of this server. "
                f"Add it to {variable('dagster_hosts')} if it should be one."
            )
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2].lower() != host.lower():
            return 403, "Requests from other web pages are refused."
        if self._credentials and not _equal(headers.get("authorization", ""), self._credentials):
            return (
                401,
                f"Give the user {DAGSTER_USER} and the password of {variable('dagster_password')}.",
            )
        if scope["type"] == "http" and scope["method"] != "POST" and _is_mutation(scope):
            return 405, "A mutation is accepted by POST only."
        return None


def guarded(app: ASGIApp, settings: Settings) -> Guard:
    """Wraps Dagster's application in a guard with the host names and password of the settings."""
    own = urlsplit(settings.dagster_url).hostname
    names = [*LOOPBACK, *settings.dagster_hosts, *([own] if own else [])]
    return Guard(app, names, settings.dagster_login)


def _is_mutation(scope: Scope) -> bool:
    """Whether the query in the URL is a mutation. Dagster reports a query that is not valid."""
    queries = parse_qs(scope["query_string"].decode("latin-1")).get("query", [])
    return any(map(_holds_mutation, queries))


def _holds_mutation(query: str) -> bool:
    try:
        document = graphql.parse(query)
    except graphql.GraphQLSyntaxError:
        return False
    return any(
        isinstance(one, graphql.OperationDefinitionNode)
        and one.operation is graphql.OperationType.MUTATION
        for one in document.definitions
    )


def _basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def _equal(given: str, expected: str) -> bool:
    return secrets.compare_digest(given.encode(), expected.encode())
