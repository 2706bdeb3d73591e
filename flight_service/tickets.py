"""Parses tickets: JSON objects with a `type`, or a name alone as the short form.

Descriptors have four equivalent forms: `PATH=[name]`, `PATH=["analytics", "events"]`,
`PATH=[ticket JSON]`, `CMD=ticket JSON`.

A name may be followed by `?endpoints=1`, which is the field `endpoints` of its ticket.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Union

import msgspec
from pyarrow import flight

from flight_service.errors import InvalidRequest

MAX_BYTES = 256 * 1024
ENDPOINTS = "?endpoints="

_SHOWN = 60


class Ticket(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    tag=True,
    tag_field="type",
):
    """Base class of all tickets. The name of a class is its `type`."""

    endpoints: Literal[1] | None = None
    """Set, the flight has one endpoint, for clients that read the first alone."""

    def encode(self) -> bytes:
        """The ticket as bytes."""
        return msgspec.json.encode(self)


class _Head(msgspec.Struct):
    """The fields that determine the type of a ticket."""

    type: str | None = None
    query: str | None = None


class _Short(msgspec.Struct, forbid_unknown_fields=True):
    """The short form: a name, and the fields of its ticket."""

    query: str
    variables: dict[str, Any] | None = None
    endpoints: Literal[1] | None = None


Named = Callable[[str, Mapping[str, Any]], Ticket]
"""Makes the ticket of a name and the variables beside it."""


class TicketReader:
    """Parses tickets of the given types, from tickets and descriptors.

    Every method raises:
        InvalidRequest: the ticket is invalid; the message names the field and what is valid.
        UnknownName: no flight has this name.
    """

    def __init__(self, kinds: Sequence[type[Ticket]], named: Named) -> None:
        self._kinds = {kind.__name__: kind for kind in kinds}
        self._decoder = msgspec.json.Decoder(Union[tuple(kinds)])  # noqa: UP007 [made at run time]
        self._named = named

    def read(self, data: bytes) -> Ticket:
        """The ticket in these bytes: a JSON object, or a name."""
        if len(data) > MAX_BYTES:
            raise InvalidRequest(
                f"A ticket has at most {MAX_BYTES:,} bytes, this one {len(data):,}."
            )
        try:
            text = data.decode().strip()
        except UnicodeDecodeError as error:
            raise InvalidRequest(f"A ticket is JSON in UTF-8; this is not: {error}.") from error
        if not text:
            raise InvalidRequest(f"The ticket is empty. Send an asset's name, or {self._forms()}.")
        if text[0] not in '{["':
            name, asked, endpoints = text.partition(ENDPOINTS)
            if asked and endpoints != "1":
                raise InvalidRequest(f"The name {shown(text)} can end in {ENDPOINTS}1 only.")
            return _with_endpoints(self._named(name, {}), 1 if asked else None)
        return self._read_json(data)

    def read_descriptor(self, descriptor: flight.FlightDescriptor) -> Ticket:
        """The ticket of a descriptor."""
        if descriptor.descriptor_type == flight.DescriptorType.CMD:
            return self.read(descriptor.command)
        if descriptor.descriptor_type == flight.DescriptorType.PATH and descriptor.path:
            return self.read(b"/".join(descriptor.path))
        raise InvalidRequest(
            "The descriptor is empty. Give an asset's name or a ticket as its path, "
            "or a ticket as its command."
        )

    def _read_json(self, data: bytes) -> Ticket:
        kind: type[msgspec.Struct] = _Short
        try:
            head = msgspec.json.decode(data, type=_Head)
            if head.type is None and head.query is not None:
                short = msgspec.json.decode(data, type=_Short)
                named = self._named(short.query, short.variables or {})
                return _with_endpoints(named, short.endpoints)
            if head.type is None:
                raise InvalidRequest(f"The ticket has no field type. Send {self._forms()}.")
            if head.type not in self._kinds:
                raise InvalidRequest(
                    f"There is no ticket of type {shown(head.type)}. Send {self._forms()}."
                )
            kind = self._kinds[head.type]
            return self._decoder.decode(data)
        except msgspec.ValidationError as error:
            raise InvalidRequest(explained(error, kind)) from error
        except (msgspec.DecodeError, RecursionError) as error:
            raise InvalidRequest(f"The ticket is no JSON that can be read: {error}.") from error

    def _forms(self) -> str:
        return f'{{"type": …}} with one of {", ".join(sorted(self._kinds))}'


def _with_endpoints(ticket: Ticket, endpoints: Literal[1] | None) -> Ticket:
    return msgspec.structs.replace(ticket, endpoints=endpoints) if endpoints else ticket


def shown(text: str) -> str:
    """Text of a client, quoted and shortened for a message."""
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


def explained(error: msgspec.ValidationError, kind: type[msgspec.Struct]) -> str:
    """A sentence that names the invalid field of a ticket and what is wrong with it."""
    what, _, path = str(error).partition(" - at `$")
    field = path.removeprefix(".").rstrip("`")
    if field:
        return f"The ticket's field {field} does not fit: {what[0].lower()}{what[1:]}."
    if "unknown field" in what:
        fields = ", ".join(kind.__struct_fields__)
        return f"The ticket has the unknown field {what.split()[-1]}. It may have: {fields}."
    if "missing required field" in what:
        return f"The ticket lacks the field {what.split()[-1]}."
    return f"The ticket does not fit: {what[0].lower()}{what[1:]}."
