"""What can go wrong with a call, and how it crosses to the client: as one sentence with a status.

Raised within the service:

Refused                the call cannot be answered as it stands
├── InvalidRequest     INVALID_ARGUMENT: a ticket, descriptor or action that does not fit
├── Unauthenticated    UNAUTHENTICATED: no token, or one that is not valid
└── Forbidden          PERMISSION_DENIED: the principal may not see it

A plane or log that is down is UNAVAILABLE in its own words, as is a service that is stopping.
Everything else is INTERNAL: its traceback goes to the service's own log under a number that the
client is told.
"""

import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
from pyarrow import flight

from fraiseql_assets.planes import PlaneError
from fraiseql_assets.stream.connection import LogError

logger = logging.getLogger(__name__)


class Refused(Exception):
    """The call cannot be answered as it stands; the message says why and what to do."""


class InvalidRequest(Refused):
    """A ticket, descriptor or action that does not fit."""


class Unauthenticated(Refused):
    """There is no token where one is needed, or it is not valid."""


class Forbidden(Refused):
    """The principal is known and may not see this."""


class Stopping(Exception):
    """The service is being stopped while the call runs."""

    def __str__(self) -> str:
        return "The service is stopping. Ask again in a moment."


class _Bare(Exception):
    """Keeps a traceback out of the status.

    Arrow has no Flight error for these two statuses, only exceptions, and appends the exception's
    formatted traceback to the message. Where formatting fails it appends the type's name alone.
    """

    @property
    def __cause__(self) -> BaseException | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        raise AttributeError("formatted by its message alone")


class InvalidArgument(_Bare, pa.ArrowInvalid):
    """INVALID_ARGUMENT, on its way to the client."""


class Unimplemented(_Bare, pa.ArrowNotImplementedError):
    """UNIMPLEMENTED, on its way to the client."""


def as_flight_error(error: Exception) -> Exception:
    """The exception that gives the client this error's status and sentence."""
    # Arrow ends the message itself, with a full stop and the name of the status.
    sentence = " ".join(str(error).split()).removesuffix(".")
    match error:
        case InvalidRequest():
            return InvalidArgument(sentence)
        case Unauthenticated():
            return flight.FlightUnauthenticatedError(sentence)
        case Forbidden():
            return flight.FlightUnauthorizedError(sentence)
        case PlaneError() | LogError() | Stopping():
            return flight.FlightUnavailableError(sentence)
        case flight.FlightError() | InvalidArgument() | Unimplemented():
            return error
    number = secrets.token_hex(4)
    logger.error("Error %s", number, exc_info=error)
    return flight.FlightInternalError(
        f"The service failed on this call. Its log says why, under error {number}"
    )


@contextmanager
def answered() -> Iterator[None]:
    """Turns whatever the block raises into what the client shall see."""
    try:
        yield
    except Exception as error:
        raise as_flight_error(error) from None


def sentence_of(error: BaseException) -> str:
    """The service's own sentence out of an error that a client of pyarrow caught."""
    return str(error).partition(". Detail: ")[0].removesuffix(".") + "."
