"""What the errors of PostgreSQL's driver mean.

Errors are distinguished by SQLSTATE, or by the driver's code if the server was not reached.
Messages are shown to clients and never matched, since they depend on the server's language.
"""

import logging

import adbc_driver_manager

from flight_service.address_redaction import without_addresses
from flight_service.graphql.errors import (
    Cancelled,
    DatabaseFailed,
    DatabaseUnavailable,
    DeadlinePassed,
    QueryRefused,
)

logger = logging.getLogger(__name__)

QUERY_CANCELED = "57014"
INSUFFICIENT_PRIVILEGE = "42501"
DATA_EXCEPTION = "22"
PATTERN_STATES = ("22025", "2201B")
"""The SQLSTATEs of an invalid LIKE pattern or regular expression. Only clients write these."""
CONNECTION_EXCEPTION = "08"
OPERATOR_INTERVENTION = "57P"
INSUFFICIENT_RESOURCES = "53"


class BadValue(DatabaseFailed):
    """A value could not be cast to its type."""


def state_of(error: BaseException) -> str:
    """The SQLSTATE of an error; empty without one."""
    return getattr(error, "sqlstate", None) or ""


def is_broken(error: BaseException) -> bool:
    """Whether the connection is lost, or the server stops or accepts no more connections."""
    state = state_of(error)
    if not state:
        status = getattr(error, "status_code", None)
        return status == adbc_driver_manager.AdbcStatusCode.IO
    return state.startswith((CONNECTION_EXCEPTION, OPERATOR_INTERVENTION, INSUFFICIENT_RESOURCES))


def failure_of(
    error: BaseException, *, is_cancelled: bool, is_late: bool, timeout_seconds: float
) -> DatabaseFailed | Cancelled | QueryRefused:
    """The error that a driver's error means. `is_cancelled` says that the client has disconnected,
    and `is_late` that the statement has run for its timeout."""
    state, message = state_of(error), message_of(error)
    if is_cancelled:
        return Cancelled("The client disconnected before the result was complete.")
    if state == QUERY_CANCELED and is_late:
        return DeadlinePassed(
            f"The query ran longer than the {timeout_seconds:g} s that "
            "FRAISEQL_GRAPHQL_TIMEOUT_SECONDS allows. Narrow it, or raise the limit."
        )
    if state in PATTERN_STATES:
        return QueryRefused(f"PostgreSQL cannot read a pattern: {message}")
    if state.startswith(DATA_EXCEPTION):
        return BadValue(f"PostgreSQL cannot read a value: {message}")
    if is_broken(error):
        logger.warning("The connection to PostgreSQL broke: %s", message)
        broken = without_addresses(message)
        return DatabaseUnavailable(f"The connection to PostgreSQL broke: {broken}")
    if state == INSUFFICIENT_PRIVILEGE:
        return DatabaseFailed(f"{message} Grant the service's role the right to SELECT.")
    return DatabaseFailed(f"PostgreSQL refused the query: {message}")


def message_of(error: BaseException) -> str:
    """PostgreSQL's message, or the first line of the driver's."""
    details = dict(getattr(error, "details", None) or ())
    primary = details.get(b"PG_DIAG_MESSAGE_PRIMARY", b"").decode(errors="replace")
    lines = str(error).strip().splitlines()
    text = primary or (lines[0] if lines else type(error).__name__)
    return text if text.endswith(".") else f"{text}."
