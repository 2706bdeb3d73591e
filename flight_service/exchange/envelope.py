"""FraiseQL's envelope: JSON of requests and responses of DoExchange, in `app_metadata`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from flight_service.errors import InvalidRequest, reason_of

MAX_BYTES = 256 * 1024
ARROW = "application/vnd.apache.arrow.stream"

_Byte = Annotated[int, msgspec.Meta(ge=0, le=255)]
_Id = Annotated[str, msgspec.Meta(max_length=256)]
_ID = re.compile(rb'"correlation_id"\s*:\s*("(?:[^"\\]|\\.){0,256}")')
_LOOKED_FOR_IN = 4096
_FORMS = (
    'Send {"Request": {"correlation_id": …, "request_type": {…}}} with one of Query, Upload, '
    "Subscribe, Cancel"
)


class Query(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A GraphQL query, or the name of a flight."""

    query: str
    variables: dict[str, Any] | None = None
    operation_name: str | None = msgspec.field(default=None, name="operationName")


class Upload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rows to write: an Arrow stream, or the record batch of the message itself."""

    table: str
    batch: bytes | list[_Byte] | None = None
    """The bytes of the stream, as a list of numbers or as base64."""

    @property
    def stream(self) -> bytes | None:
        """The bytes of the Arrow stream."""
        return bytes(self.batch) if isinstance(self.batch, list) else self.batch


class Cancel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Cancels a running request."""

    correlation_id: _Id


class _Types(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="pascal"):
    query: Query | UnsetType = UNSET
    upload: Upload | UnsetType = UNSET
    subscribe: dict[str, Any] | UnsetType = UNSET
    cancel: Cancel | UnsetType = UNSET


class _Request(msgspec.Struct, frozen=True):
    correlation_id: _Id
    request_type: _Types


class _Complete(msgspec.Struct, frozen=True):
    correlation_id: str = ""


class _Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="pascal"):
    request: _Request | UnsetType = UNSET
    complete: _Complete | UnsetType = UNSET
    response: msgspec.Raw | UnsetType = UNSET


@dataclass(frozen=True, slots=True)
class Subscribe:
    """New events; the fields are those of a `Tail` ticket."""

    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """A request of the client."""

    correlation_id: str
    asked: Query | Upload | Subscribe | Cancel


@dataclass(frozen=True, slots=True)
class Complete:
    """The client sends no more requests."""


class InvalidEnvelope(InvalidRequest):
    """A message is not a valid request. Has its correlation id, empty if there is none."""

    def __init__(self, message: str, correlation_id: str) -> None:
        super().__init__(message)
        self.correlation_id = correlation_id


_decoder = msgspec.json.Decoder(_Message)


def decode(data: bytes) -> Request | Complete:
    """Parses the request in a message.

    Raises:
        InvalidEnvelope: the bytes are not a request; the message says why.
    """
    if len(data) > MAX_BYTES:
        raise InvalidEnvelope(
            f"An envelope has at most {MAX_BYTES:,} bytes, this one {len(data):,}. Rows of an "
            "Upload can be sent as the record batch of the message.",
            _correlation_id(data),
        )
    try:
        message = _decoder.decode(data)
        if not isinstance(message.request, UnsetType):
            return Request(message.request.correlation_id, _asked(message.request.request_type))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise InvalidEnvelope(
            f"The envelope cannot be read: {reason_of(error)}. {_FORMS}.",
            _correlation_id(data),
        ) from error
    if isinstance(message.complete, UnsetType):
        raise InvalidEnvelope(f"The envelope holds no request. {_FORMS}.", _correlation_id(data))
    return Complete()


def _asked(types: _Types) -> Query | Upload | Subscribe | Cancel:
    found = [
        one
        for one in (types.query, types.upload, types.subscribe, types.cancel)
        if not isinstance(one, UnsetType)
    ]
    if len(found) != 1:
        raise ValueError(f"request_type holds {len(found)} requests")
    return Subscribe(found[0]) if isinstance(found[0], dict) else found[0]


def _correlation_id(data: bytes) -> str:
    """The correlation id of an invalid message, empty if there is none."""
    found = _ID.search(data[:_LOOKED_FOR_IN])
    try:
        return msgspec.json.decode(found[1], type=str) if found else ""
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""


def ok(
    correlation_id: str,
    data: bytes = b"",
    *,
    content_type: str | None = None,
    about: Mapping[str, Any] | None = None,
) -> bytes:
    """A `Response` with bytes. Without bytes it is the metadata of a record batch."""
    response: dict[str, Any] = {"correlation_id": correlation_id, "result": {"Ok": list(data)}}
    if content_type:
        response["content_type"] = content_type
    if about:
        response["about"] = about
    return msgspec.json.encode({"Response": response})


def failed(correlation_id: str, message: str) -> bytes:
    """A `Response` with an error."""
    return msgspec.json.encode(
        {"Response": {"correlation_id": correlation_id, "result": {"Err": message}}}
    )


def complete(correlation_id: str) -> bytes:
    """The end of a request's rows."""
    return msgspec.json.encode({"Complete": {"correlation_id": correlation_id}})
