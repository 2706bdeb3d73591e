"""Responses to `_bulk`: what the status and the error of an item mean for its document."""

from http import HTTPStatus
from typing import Any

from fraiseql_assets.one_line import one_line

NDJSON = {"Content-Type": "application/x-ndjson", "Accept": "application/json"}
ANSWER = "errors,items.*.status,items.*.error.type,items.*.error.reason,items.*.error.caused_by"
TRY_AGAIN = (
    HTTPStatus.NOT_FOUND,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
)
REFUSED = (
    "document_parsing_exception",
    "illegal_argument_exception",
    "mapper_parsing_exception",
    "strict_dynamic_mapping_exception",
    "x_content_parse_exception",
)
CLOSED = "index_closed_exception"
INDEX_GONE = ("index_not_found_exception", "unavailable_shards_exception")


def reason_of(result: dict[str, Any]) -> str:
    """Why the server refused a document, in one line."""
    error = result.get("error") or {}
    cause = (error.get("caused_by") or {}).get("reason")
    said = f"{error.get('type')}: {error.get('reason')}"
    return one_line(f"{said} ({cause})" if cause else said)
