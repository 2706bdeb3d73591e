"""Flight SQL's messages: a `google.protobuf.Any` whose type URL names one of them."""

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
"""Where the type URL begins, at the latest: behind its field's tag and length."""

Some = TypeVar("Some", bound=Message)


class SqlCommand(Ticket, frozen=True):
    """A Flight SQL command, of a descriptor or a ticket, as it travels."""

    packed: bytes
    session: str = ""
    """The session that it is sent in."""

    def encode(self) -> bytes:
        return self.packed


def is_command(data: bytes) -> bool:
    """Whether bytes are a Flight SQL message, whole or broken, and no ticket in JSON."""
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
    """The message that is packed in the bytes.

    Raises:
        InvalidRequest: they are broken, too long, or name a message that there is not.
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
    """The message of this kind that is packed in the bytes.

    Raises:
        InvalidRequest: it is another, or none.
    """
    found = decode(data)
    if not isinstance(found, kind):
        raise InvalidRequest(f"This takes {kind.DESCRIPTOR.name}, and got {found.DESCRIPTOR.name}.")
    return found


def parsed(kind: type[Some], data: bytes) -> Some:
    """A message that travels without an `Any`.

    Raises:
        InvalidRequest: the bytes are broken.
    """
    return _parsed(kind, data)


def pack(message: Message) -> bytes:
    """A message as it travels."""
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
