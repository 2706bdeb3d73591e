"""One GraphQL request as the service saw it, and the message that it becomes (shape E)."""

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from graphql import GraphQLError, OperationDefinitionNode, parse

from fraiseql_assets.events.encode import Outgoing
from fraiseql_assets.requests.redaction import Redaction

MOST_TEXT = 64 * 1024
"""Characters of a query, and bytes of variables, that are recorded."""
MOST_ERRORS = 20
UNKNOWN = "unknown"

Transport = Literal["http", "flight"]
Status = Literal["ok", "error", "cancelled"]


@dataclass(frozen=True, slots=True)
class RequestError:
    """One error of an answer."""

    message: str
    code: str | None = None


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """A request and its result, before redaction."""

    query: str
    transport: Transport
    status: Status
    duration_ms: float
    variables: Mapping[str, Any] | None = None
    operation_name: str | None = None
    user_id: str | None = None
    tenant_id: str | None = None
    errors: Sequence[RequestError] = ()
    rows: int | None = None
    bytes: int | None = None
    trace_id: str | None = None
    timestamp: datetime = field(default_factory=lambda: datetime.now(UTC))
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))


def message_of(record: RequestRecord, prefix: str, redacted_paths: Sequence[str]) -> Outgoing:
    """The message of a request, without secrets."""
    kind, name = _operation(record.query, record.operation_name)
    redaction = Redaction(redacted_paths)
    variables = redaction.variables(dict(record.variables)) if record.variables else None
    query = _short(redaction.query(record.query))
    errors = [
        {"message": _short(redaction.message(error.message)), "code": error.code}
        for error in record.errors[:MOST_ERRORS]
    ]
    body = {
        "id": record.request_id,
        "timestamp": record.timestamp,
        "operation_type": kind,
        "operation_name": name,
        "query": query,
        "query_hash": hashlib.sha256(query.encode(errors="replace")).hexdigest(),
        "variables": _bounded(variables),
        "user_id": record.user_id,
        "tenant_id": record.tenant_id,
        "transport": record.transport,
        "status": record.status,
        "errors": errors,
        "duration_ms": round(record.duration_ms, 3),
        "rows": record.rows,
        "bytes": record.bytes,
        "trace_id": record.trace_id,
    }
    payload = msgspec.json.encode(body)
    return Outgoing(f"{prefix}.{kind}", payload, {"Nats-Msg-Id": record.request_id})


def _operation(query: str, name: str | None) -> tuple[str, str | None]:
    """The type and name of the operation that is executed."""
    try:
        document = parse(query, no_location=True)
    except (GraphQLError, RecursionError):
        return UNKNOWN, name
    operations = [one for one in document.definitions if isinstance(one, OperationDefinitionNode)]
    for operation in operations:
        own = operation.name.value if operation.name else None
        if own == name or (name is None and len(operations) == 1):
            return operation.operation.value, own
    return UNKNOWN, name


def _bounded(variables: Any) -> Any:
    """The variables, or a placeholder with their size."""
    if variables is None:
        return None
    text = msgspec.json.encode(variables, enc_hook=str)
    return msgspec.Raw(text) if len(text) <= MOST_TEXT else {"too_large_bytes": len(text)}


def _short(text: str) -> str:
    # Half of a surrogate pair is not a character, and cannot be encoded.
    text = text.encode(errors="replace").decode()
    return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]}…"
