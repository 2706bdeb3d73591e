"""Whether a server answers: quick looks that never raise."""

import json
import socket
from collections.abc import Callable
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from typing import Any

SECONDS = 1.0
HOST = "127.0.0.1"


def accepts(port: int) -> bool:
    """Whether somebody takes connections on the port."""
    try:
        with socket.create_connection((HOST, port), timeout=SECONDS):
            return True
    except OSError:
        return False


def greets(port: int, greeting: bytes) -> bool:
    """Whether the server's first bytes are the greeting."""
    try:
        with socket.create_connection((HOST, port), timeout=SECONDS) as connection:
            return connection.recv(len(greeting)) == greeting
    except OSError:
        return False


def answers(port: int, path: str) -> bool:
    """Whether a GET of the path is answered with success."""
    connection = HTTPConnection(HOST, port, timeout=SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status < 300
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def is_settled(port: int) -> bool:
    """Whether a search engine has started the indices that it holds, as far as it can."""
    try:
        with closing(HTTPConnection(HOST, port, timeout=SECONDS)) as connection:
            connection.request("GET", "/_cluster/health")
            health = json.loads(connection.getresponse().read())
            # One that cannot be started must not keep the others from being used.
            under_way = (
                "initializing_shards",
                "number_of_in_flight_fetch",
                "number_of_pending_tasks",
            )
            return health["status"] != "red" or not any(health[name] for name in under_way)
    except (OSError, HTTPException, ValueError, KeyError):
        return False


def agrees(port: int, question: str, holds: Callable[[Any], bool]) -> bool:
    """Whether what Dagster's web server answers to a GraphQL query is as it should be."""
    connection = HTTPConnection(HOST, port, timeout=SECONDS)
    try:
        body = json.dumps({"query": question})
        connection.request("POST", "/graphql", body, {"Content-Type": "application/json"})
        return holds(json.loads(connection.getresponse().read()))
    except (OSError, HTTPException, ValueError, KeyError, TypeError):
        return False
    finally:
        connection.close()
