"""Who may use an embedded server: the checks that every guarded HTTP server makes.

A web page that a developer has open can send requests to servers on the same machine. It knows no
password, its requests carry an `Origin`, and a name that it has rebound to this machine is in
`Host`.
"""

import base64
import secrets
from collections.abc import Collection

from fraiseql_assets.addresses import host_of

CLICKHOUSE_PASSWORD = "FRAISEQL_LOCAL_CLICKHOUSE_PASSWORD"
SEARCH_PASSWORD = "FRAISEQL_LOCAL_SEARCH_PASSWORD"
"""The environment variables that hand a server its password, so that no command line shows it."""

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def authorization(user: str, password: str) -> str:
    """The value of the header `Authorization` for a user and a password."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def login(user: str, password: str) -> dict[str, str]:
    """The headers with which a request gives a user and a password."""
    return {"Authorization": authorization(user, password)}


def equal(given: str, expected: str) -> bool:
    """Whether two secrets are equal, in a time that does not tell where they differ."""
    return secrets.compare_digest(
        given.encode(errors="surrogateescape"), expected.encode(errors="surrogateescape")
    )


def refused_host(host: str | None, names: Collection[str]) -> str | None:
    """Why a request for this `Host` is refused; None where it names one of `names`."""
    if host_of(host) in names:
        return None
    return "The request's Host is not a name of this server. Use 127.0.0.1 or localhost."


def refused_origin(origin: str | None) -> str | None:
    """Why a request from a web page is refused; None where there is no `Origin`."""
    if origin is None:
        return None
    return "Requests from web pages are refused: the header Origin is not accepted."
