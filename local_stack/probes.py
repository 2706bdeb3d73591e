"""Whether a server answers: quick looks that never raise."""

import socket
from http.client import HTTPConnection, HTTPException

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


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def is_taken(port: int) -> bool:
    """Whether a server that wants to listen on the port would be refused."""
    with socket.socket() as probe:
        # As servers do, so that connections of the last one that linger are no hindrance.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
        return False
