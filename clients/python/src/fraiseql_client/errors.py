"""What can go wrong, and what to do.

FraiseqlError
├── InvalidRequest     a query, a name of a column or another argument is invalid
│   └── NotFound       no asset, query or view has this name
├── Unauthenticated    the token is missing, expired or of another service
├── Forbidden          the token may not read this
├── Unavailable        the service, or a server behind it, does not answer; asked again by itself
├── ServiceFailed      an error inside the service
└── Incomplete         fewer rows arrived than were announced

The message is the service's sentence, and what this client can do about it.
"""

import re

import pyarrow as pa
from pyarrow import flight

_DETAIL = re.compile(r"\. (?:Detail|gRPC client debug context): .*", re.DOTALL)
_NO_SERVICE = re.compile(
    r"failed to connect|connection refused|name resolution|dns|unreachable|handshake|"
    r"certificate|ssl|socket closed|deadline",
    re.IGNORECASE,
)
_NO_TRUST = re.compile(r"certificate|ssl_|handshake|peer.*tls", re.IGNORECASE)


class FraiseqlError(Exception):
    """Base class of this package's errors."""


class InvalidRequest(FraiseqlError):
    """The request is invalid; the message names what, and what is valid."""


class NotFound(InvalidRequest):
    """No asset, query or view has this name; the message lists the names."""


class Unauthenticated(FraiseqlError):
    """The token is missing or not valid."""


class Forbidden(FraiseqlError):
    """The token may not read this."""


class Unavailable(FraiseqlError):
    """The service, or a server behind it, does not answer now."""


class ServiceFailed(FraiseqlError):
    """An error inside the service. Its log has the number in the message."""


class Incomplete(FraiseqlError):
    """Fewer rows arrived than were announced."""


_KINDS: tuple[tuple[type[Exception], type[FraiseqlError]], ...] = (
    (flight.FlightUnauthenticatedError, Unauthenticated),
    (flight.FlightUnauthorizedError, Forbidden),
    (flight.FlightUnavailableError, Unavailable),
    (flight.FlightTimedOutError, Unavailable),
    (pa.ArrowKeyError, NotFound),
    (pa.ArrowInvalid, InvalidRequest),
    (pa.ArrowNotImplementedError, InvalidRequest),
)


def translated(error: Exception, url: str) -> FraiseqlError:
    """The error of this package for one that pyarrow raised."""
    if isinstance(error, FraiseqlError):
        return error
    kind = next((ours for theirs, ours in _KINDS if isinstance(error, theirs)), ServiceFailed)
    sentence = _DETAIL.sub("", str(error)).strip().removesuffix(".") + "."
    return kind(f"{sentence}{_advice(kind, sentence, url)}")


def _advice(kind: type[FraiseqlError], sentence: str, url: str) -> str:
    if kind is Unauthenticated:
        return " Pass token=… to connect(), or set FRAISEQL_FLIGHT_TOKEN."
    if kind is not Unavailable or not _NO_SERVICE.search(sentence):
        return ""
    if url.startswith("grpc+tls") and _NO_TRUST.search(sentence):
        return (
            f" The certificate of {url} is not trusted: pass tls_ca=… to connect(), or set "
            "FRAISEQL_FLIGHT_CA_FILE, with the file of its certificate authority."
        )
    return (
        f" No service answers at {url}: start it, or pass its url=… to connect(), or set "
        "FRAISEQL_FLIGHT_URL."
    )
