"""Flight SQL's messages, each in a `google.protobuf.Any` with its type URL."""

from typing import TypeVar

from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.message import DecodeError, Message

from flight_service.errors import InvalidRequest
from flight_service.sql.protocol import FlightSql_pb2 as protocol
from flight_service.tickets import MAX_BYTES, Ticket, shown

TYPE_URL = b"type.googleapis.com/arrow.flight.protocol.sql."
PREFIX = "type.googleapis.com/"
STATEMENT = f"{PREFIX}{protocol.TicketStatementQuery.DESCRIPTOR.full_name}"
HEAD_BYTES = 16
"""The latest position of the type URL, after its field's tag and length."""

Some = TypeVar("Some", bound=Message)


class SqlCommand(Ticket, frozen=True):
    """The bytes of a Flight SQL command, from a descriptor or a ticket."""

    packed: bytes
    session: str = ""
    """The session of the call."""

    def encode(self) -> bytes:
        return self.packed


def is_command(data: bytes) -> bool:
    """Whether bytes are a Flight SQL message, complete or damaged, and not a ticket in JSON."""
    return data.startswith(b"\n") and data.find(TYPE_URL, 0, HEAD_BYTES + len(TYPE_URL)) > 0


def is_statement(data: bytes) -> bool:
    """Whether bytes are the ticket of a statement."""
    return type_url(data) == STATEMENT


def type_url(data: bytes) -> str:
    """What names the message that is packed in the bytes; empty if they are no command.

    Raises:
        InvalidRequest: they are broken.
    """
    return _parsed(Packed, data).type_url if is_command(data) else ""


def decode(data: bytes) -> Message:
    """Decodes the message in an `Any`.

    Raises:
        InvalidRequest: the bytes are damaged, too long, or name an unknown message.
    """
    if len(data) > MAX_BYTES:
        raise InvalidRequest(
            f"A Flight SQL command has at most {MAX_BYTES:,} bytes, this one {len(data):,}."
        )
    packed = _parsed(Packed, data)
    name = packed.type_url.rpartition(".")[2]
    kind = protocol.DESCRIPTOR.message_types_by_name.get(name)
    if kind is None or packed.type_url != f"{PREFIX}{kind.full_name}":
        raise InvalidRequest(f"There is no Flight SQL message {shown(packed.type_url)}.")
    return _parsed(getattr(protocol, name), packed.value)


def expected(data: bytes, kind: type[Some]) -> Some:
    """Decodes the message of this type in an `Any`.

    Raises:
        InvalidRequest: it is another message, or not a message.
    """
    found = decode(data)
    if not isinstance(found, kind):
        raise InvalidRequest(f"This takes {kind.DESCRIPTOR.name}, and got {found.DESCRIPTOR.name}.")
    return found


def parsed(kind: type[Some], data: bytes) -> Some:
    """Decodes a message without an `Any`.

    Raises:
        InvalidRequest: the bytes are damaged.
    """
    return _parsed(kind, data)


def pack(message: Message) -> bytes:
    """Encodes a message in an `Any`."""
    packed = Packed()
    packed.Pack(message)
    return packed.SerializeToString()


def _parsed(kind: type[Some], data: bytes) -> Some:
    message = kind()
    try:
        message.ParseFromString(data)
    except (DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise InvalidRequest(f"The bytes are no whole {kind.DESCRIPTOR.name}.") from error
    return message
