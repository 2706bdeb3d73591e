"""Error classes of HTTP alone, and the responses to requests that failed.

HttpRefused                 the client must change the HTTP request
├── Malformed               400: it is no HTTP request
├── UntrustedHost           400: `Host` names a host that is not trusted
├── CrossOriginRefused      400: a web page of another origin may not send it
├── UnknownPath             404
├── MethodNotAllowed        405
├── NotAcceptable           406: it accepts none of the content types
├── BodyTooLate             408: the body did not arrive in time
├── BodyTooLarge            413
├── UnsupportedMediaType    415: the content type of the body
└── HeadTooLarge            431: its URL and headers
TooManyConnections          503
"""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from flight_service.errors import (
    CONTENT_TOO_LARGE,
    HEAD_TOO_LARGE,
    METHOD_NOT_ALLOWED,
    NOT_ACCEPTABLE,
    NOT_FOUND,
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


class Malformed(HttpRefused):
    """These bytes are no HTTP request."""

    def __init__(self) -> None:
        super().__init__("This is no valid HTTP/1.1 request.")


class UntrustedHost(HttpRefused):
    """`Host` names a host that is not trusted."""

    def __init__(self) -> None:
        super().__init__(
            "The header Host names no trusted host. FRAISEQL_TRUSTED_HOSTS lists those of the "
            "service."
        )


class CrossOriginRefused(HttpRefused):
    """The web page's origin, or what it is about to send, is not allowed."""


class UnknownPath(HttpRefused):
    """The service has no such path."""

    status = NOT_FOUND


class MethodNotAllowed(HttpRefused):
    """The route has no such method."""

    status = METHOD_NOT_ALLOWED

    def __init__(self, allowed: str, message: str | None = None) -> None:
        super().__init__(message or f"Send one of {allowed}.")
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


class HeadTooLarge(HttpRefused):
    """The URL and the headers are too long."""

    status = HEAD_TOO_LARGE

    def __init__(self, most: int) -> None:
        super().__init__(f"The URL and headers of a request have at most {most:,} bytes.")


class TooManyConnections(ServiceError):
    """No more connections are served."""

    status = UNAVAILABLE

    def __init__(self) -> None:
        super().__init__(
            "All of FRAISEQL_HTTP_CONNECTIONS connections are open. Try again in a moment."
        )


Handler = Callable[[Request, Exception], Awaitable[Response]]


def failure_handlers() -> dict[Any, Handler]:
    """Responses to requests that reach no route, and to those whose route raised an error, by the
    error."""
    return {HTTPException: _without_route, Exception: _after_error}


async def _without_route(request: Request, error: Exception) -> Response:
    allowed = getattr(error, "headers", None) or {}
    if getattr(error, "status_code", None) == HTTPStatus.METHOD_NOT_ALLOWED:
        methods = ", ".join(sorted(allowed["Allow"].split(", ")))
        return failed(MethodNotAllowed(methods))
    paths = sorted({route.path for route in request.app.routes if isinstance(route, Route)})
    return failed(UnknownPath(f"There is no such path. There are {', '.join(paths)}."))


async def _after_error(request: Request, error: Exception) -> Response:
    return failed(error)


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


def _headers(error: Exception) -> dict[str, str]:
    match error:
        case MethodNotAllowed():
            return {"allow": error.allowed}
        case Unauthenticated():
            return CHALLENGE
    return {"retry-after": "1"} if status_of(error).http == UNAVAILABLE.http else {}
