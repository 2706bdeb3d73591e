"""Error classes of HTTP alone, and the responses to requests that failed.

HttpRefused                 the client must change the HTTP request
├── MethodNotAllowed        405
├── NotAcceptable           406: it accepts none of the content types
├── BodyTooLate             408: the body did not arrive in time
├── BodyTooLarge            413
└── UnsupportedMediaType    415: the content type of the body
"""

import msgspec
from starlette.responses import PlainTextResponse, Response

from flight_service.errors import (
    CONTENT_TOO_LARGE,
    METHOD_NOT_ALLOWED,
    NOT_ACCEPTABLE,
    REQUEST_TIMEOUT,
    UNAVAILABLE,
    UNSUPPORTED_MEDIA_TYPE,
    InvalidRequest,
    ServiceError,
    Unauthenticated,
    as_flight_error,
    client_message,
    sentence_of,
    status_of,
)
from fraiseql_assets.planes import PlaneError
from fraiseql_assets.stream.connection import LogError

CHALLENGE = {"www-authenticate": "Bearer"}
"""The header of a response with the status 401. It does not offer Basic: browsers would ask for a
password, and send it with the requests of every web page."""


class HttpRefused(InvalidRequest):
    """The route does not accept the HTTP request."""


class MethodNotAllowed(HttpRefused):
    """The route has no such method."""

    status = METHOD_NOT_ALLOWED

    def __init__(self, message: str, allowed: str) -> None:
        super().__init__(message)
        self.allowed = allowed


class NotAcceptable(HttpRefused):
    """The client accepts none of the available content types."""

    status = NOT_ACCEPTABLE


class BodyTooLate(HttpRefused):
    """The body did not arrive in time."""

    status = REQUEST_TIMEOUT


class BodyTooLarge(HttpRefused):
    """The body is larger than the route accepts."""

    status = CONTENT_TOO_LARGE


class UnsupportedMediaType(HttpRefused):
    """The route does not read bodies of this content type."""

    status = UNSUPPORTED_MEDIA_TYPE


def failure(error: Exception) -> tuple[int, list[bytes], dict[str, str]]:
    """The status, content and headers of the response to a request that failed."""
    match error:
        case ServiceError():
            message = str(error)
        case PlaneError() | LogError():
            message = client_message(error)
        case _:
            message = sentence_of(as_flight_error(error))
    content = msgspec.json.encode({"errors": [{"message": message}]})
    json = {"content-type": "application/json; charset=utf-8"}
    return status_of(error).http, [content], {**json, **_headers(error)}


def failed(error: Exception) -> Response:
    """The response to a request that failed."""
    status, content, headers = failure(error)
    return Response(b"".join(content), status, headers)


def failed_as_text(error: ServiceError) -> Response:
    """The response to a request that failed, for clients that show its content as it is."""
    return PlainTextResponse(str(error), error.status.http, _headers(error))


def _headers(error: Exception) -> dict[str, str]:
    match error:
        case MethodNotAllowed():
            return {"allow": error.allowed}
        case Unauthenticated():
            return CHALLENGE
    return {"retry-after": "1"} if status_of(error).http == UNAVAILABLE.http else {}
