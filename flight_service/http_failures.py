"""Responses to HTTP requests for flights that failed."""

import msgspec

from flight_service.errors import (
    ServiceError,
    Unauthenticated,
    as_flight_error,
    client_message,
    sentence_of,
)
from flight_service.formats import JSON
from flight_service.http_formats import type_header
from flight_service.http_streams import ThreadsBusy
from fraiseql_assets.planes import PlaneError
from fraiseql_assets.stream.connection import LogError


class NotAllowed(Exception):
    """The HTTP method is not allowed."""

    def __init__(self, allowed: str) -> None:
        super().__init__(f"Send one of {allowed}.")
        self.allowed = allowed


def failure(error: Exception) -> tuple[int, list[bytes], dict[str, str]]:
    """The status, content and headers of the response to a request that failed."""
    headers: dict[str, str] = {}
    match error:
        case NotAllowed():
            status, message, headers = 405, str(error), {"allow": error.allowed}
        case Unauthenticated():
            status, message, headers = 401, str(error), {"www-authenticate": "Bearer"}
        case ServiceError():
            status, message = error.status.http, str(error)
        case PlaneError() | LogError():
            status, message = 503, client_message(error)
        case ThreadsBusy():
            status, message = 503, str(error)
        case _:
            status, message = 500, sentence_of(as_flight_error(error))
    if status == 503:
        headers = {"retry-after": "1"}
    content = msgspec.json.encode({"errors": [{"message": message}]})
    return status, [content], {**type_header(JSON), **headers}
