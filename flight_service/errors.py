"""Error classes, and the status and sentence that a client gets for each.

The service raises these classes:

ServiceError
├── Refused                the client must change the call
│   ├── InvalidRequest     INVALID_ARGUMENT: an invalid ticket, descriptor or action
│   │   └── UnknownName    NOT_FOUND: an unknown name
│   ├── Unauthenticated    UNAUTHENTICATED: no token, or one that is not valid
│   └── Forbidden          PERMISSION_DENIED: the principal may not see it
├── Stopping               UNAVAILABLE: the service is being stopped
├── HttpRefused            what only HTTP can get wrong; see `flight_service.http_failures`
└── GraphQLFailure         see `flight_service.graphql.errors`

If a plane or the log fails, the client gets UNAVAILABLE and the plane's message without addresses.
All other errors are INTERNAL: the traceback goes to the service's log under a number, and the
client gets the number. No other module names the number of a status.
"""

import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import ClassVar

import pyarrow as pa
from pyarrow import flight

from flight_service.address_redaction import without_addresses
from fraiseql_assets.one_line import one_line
from fraiseql_assets.planes import PlaneError
from fraiseql_assets.stream.connection import LogError

logger = logging.getLogger(__name__)


class _Bare(Exception):
    """Keeps a traceback out of the status.

    Arrow has no Flight error for these two statuses, only exceptions, and appends the exception's
    formatted traceback to the message. Where formatting fails it appends the type's name alone.
    """

    @property
    def __cause__(self) -> BaseException | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        raise AttributeError("formatted by its message alone")


class SettingError(Exception):
    """The service cannot start because of a setting; the message names it and says what to do."""


class InvalidArgument(_Bare, pa.ArrowInvalid):
    """INVALID_ARGUMENT, on its way to the client."""


class NotFound(_Bare, pa.ArrowKeyError):
    """NOT_FOUND, on its way to the client."""


class Unimplemented(_Bare, pa.ArrowNotImplementedError):
    """UNIMPLEMENTED, on its way to the client."""


@dataclass(frozen=True, slots=True)
class Status:
    """The status of an error, in Flight and over HTTP."""

    name: str
    """Its name in gRPC, in lower case."""
    http: int
    flight: type[Exception]
    """The exception with which pyarrow sends it."""
    received: type[BaseException]
    """The exception with which pyarrow reports it."""


UNAUTHENTICATED = Status(
    "unauthenticated", 401, flight.FlightUnauthenticatedError, flight.FlightUnauthenticatedError
)
PERMISSION_DENIED = Status(
    "permission_denied", 403, flight.FlightUnauthorizedError, flight.FlightUnauthorizedError
)
UNAVAILABLE = Status(
    "unavailable", 503, flight.FlightUnavailableError, flight.FlightUnavailableError
)
DEADLINE_EXCEEDED = Status(
    "deadline_exceeded", 504, flight.FlightTimedOutError, flight.FlightTimedOutError
)
CANCELLED = Status("cancelled", 499, flight.FlightCancelledError, flight.FlightCancelledError)
NOT_FOUND = Status("not_found", 404, NotFound, pa.ArrowKeyError)
INVALID_ARGUMENT = Status("invalid_argument", 400, InvalidArgument, pa.ArrowInvalid)
UNIMPLEMENTED = Status("unimplemented", 501, Unimplemented, NotImplementedError)
INTERNAL = Status("internal", 500, flight.FlightInternalError, flight.FlightError)

STATUSES = (
    UNAUTHENTICATED,
    PERMISSION_DENIED,
    UNAVAILABLE,
    DEADLINE_EXCEEDED,
    CANCELLED,
    NOT_FOUND,
    INVALID_ARGUMENT,
    UNIMPLEMENTED,
    INTERNAL,
)
"""All statuses, the most general last."""

METHOD_NOT_ALLOWED = replace(INVALID_ARGUMENT, http=405)
NOT_ACCEPTABLE = replace(INVALID_ARGUMENT, http=406)
REQUEST_TIMEOUT = replace(INVALID_ARGUMENT, http=408)
CONTENT_TOO_LARGE = replace(INVALID_ARGUMENT, http=413)
UNSUPPORTED_MEDIA_TYPE = replace(INVALID_ARGUMENT, http=415)
HEAD_TOO_LARGE = replace(INVALID_ARGUMENT, http=431)
BAD_GATEWAY = replace(INTERNAL, http=502)
UPSTREAM_UNAVAILABLE = replace(UNAVAILABLE, http=502)


class ServiceError(Exception):
    """An error whose message is sent to the client, with the status of its class."""

    status: ClassVar[Status] = INTERNAL


class Refused(ServiceError):
    """The client must change the call; the message says why and how."""

    status = INVALID_ARGUMENT


class InvalidRequest(Refused):
    """A ticket, descriptor or action is invalid."""


class UnknownName(InvalidRequest):
    """No flight has this name."""

    status = NOT_FOUND


class Unauthenticated(Refused):
    """The token is missing or invalid."""

    status = UNAUTHENTICATED


class Forbidden(Refused):
    """The principal may not see this."""

    status = PERMISSION_DENIED


class Stopping(ServiceError):
    """The service stops while the call runs."""

    status = UNAVAILABLE

    def __str__(self) -> str:
        return "The service is stopping. Ask again in a moment."


def reason_of(error: Exception) -> str:
    """The error's message, to stand inside a sentence: on one line, without its full stop."""
    return one_line(error).removesuffix(".")


def client_message(error: PlaneError | LogError) -> str:
    """The message for clients about a server that failed. Its address is only logged."""
    logger.warning("%s", error)
    return _shortened(without_addresses(one_line(error)))


LONGEST = 2000
"""The maximum length of a message. gRPC carries it in the trailers, and a client that gets more
than 8 KB of them reports RESOURCE_EXHAUSTED instead of the error."""


def as_flight_error(error: Exception) -> Exception:
    """The exception with which pyarrow sends this error's status and sentence."""
    # Arrow ends the message itself, with a full stop and the name of the status.
    match error:
        case ServiceError():
            sentence = _shortened(reason_of(error))
        case PlaneError() | LogError():
            sentence = client_message(error).removesuffix(".")
        case flight.FlightError() | InvalidArgument() | NotFound() | Unimplemented():
            return error
        case _:
            number = secrets.token_hex(4)
            logger.error("Error %s", number, exc_info=error)
            sentence = f"The service failed on this call. Its log says why, under error {number}"
    return status_of(error).flight(sentence)


def status_of(error: Exception) -> Status:
    """The status that a client gets for an error."""
    match error:
        case ServiceError():
            return error.status
        case PlaneError() | LogError():
            return UNAVAILABLE
        case _:
            return INTERNAL


def reported_status(error: BaseException | None) -> str:
    """The gRPC status of an exception that pyarrow reports at the end of a call, in lower case."""
    # Errors of GetSchema no longer have their class here.
    for one in (error, error and error.__context__):
        for status in STATUSES:
            if isinstance(one, status.received):
                return status.name
    return "ok" if error is None else "unknown"


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


@contextmanager
def answered() -> Iterator[None]:
    """Raises every exception of the block as the error that the client gets."""
    try:
        yield
    except Exception as error:
        raise as_flight_error(error) from None


@contextmanager
def answered_by_sentence() -> Iterator[None]:
    """Like `answered`, for GetSchema, which pyarrow gives no Flight statuses."""
    try:
        with answered():
            yield
    except flight.FlightError as error:
        raise _unclassified(error) from None


def _unclassified(error: flight.FlightError) -> Exception:
    """The error as UNKNOWN, the one status that pyarrow gives a Flight error of GetSchema.

    The detail of the message names the status, as it does in every other method: Arrow adds the
    name of the exception's class.
    """
    name = type(error).__name__.removeprefix("Flight").removesuffix("Error")
    return type(name or "Failed", (_Bare, pa.ArrowException), {})(str(error))


def sentence_of(error: BaseException) -> str:
    """The service's sentence in an error that a pyarrow client raised."""
    return str(error).partition(". Detail: ")[0].removesuffix(".") + "."
