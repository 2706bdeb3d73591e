"""Quick tests whether a server answers. They never raise."""

import json
import socket
from collections.abc import Callable, Mapping
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from typing import Any

SECONDS = 1.0
HOST = "127.0.0.1"


def accepts(port: int) -> bool:
    """Whether a server accepts connections on the port."""
    try:
        with socket.create_connection((HOST, port), timeout=SECONDS):
            return True
    except OSError:
        return False


def sends_greeting(port: int, greeting: bytes) -> bool:
    """Whether the first bytes that the server sends are the greeting."""
    try:
        with socket.create_connection((HOST, port), timeout=SECONDS) as connection:
            return connection.recv(len(greeting)) == greeting
    except OSError:
        return False


def answers(port: int, path: str, headers: Mapping[str, str] | None = None) -> bool:
    """Whether the response to a GET of the path has a status below 300."""
    connection = HTTPConnection(HOST, port, timeout=SECONDS)
    try:
        connection.request("GET", path, headers=dict(headers or {}))
        return connection.getresponse().status < 300
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def is_settled(port: int, headers: Mapping[str, str]) -> bool:
    """Whether a search engine has started its indices, except those that cannot be started."""
    try:
        with closing(HTTPConnection(HOST, port, timeout=SECONDS)) as connection:
            connection.request("GET", "/_cluster/health", headers=dict(headers))
            health = json.loads(connection.getresponse().read())
            # An index that cannot be started must not block the stack.
            under_way = (
                "initializing_shards",
                "number_of_in_flight_fetch",
                "number_of_pending_tasks",
            )
            return health["status"] != "red" or not any(health[name] for name in under_way)
    except (OSError, HTTPException, ValueError, KeyError):
        return False


def agrees(
    port: int, question: str, holds: Callable[[Any], bool], headers: Mapping[str, str] | None = None
) -> bool:
    """Whether `holds` accepts the response of Dagster's web server to a GraphQL query."""
    connection = HTTPConnection(HOST, port, timeout=SECONDS)
    try:
        body = json.dumps({"query": question})
        headers = {"Content-Type": "application/json", **(headers or {})}
        connection.request("POST", "/graphql", body, headers)
        return holds(json.loads(connection.getresponse().read()))
    except (OSError, HTTPException, ValueError, KeyError, TypeError):
        return False
    finally:
        connection.close()
