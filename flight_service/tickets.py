"""Parses tickets: JSON objects with a `type`, or only a name as the short form.

Descriptors have four equivalent forms: `PATH=[name]`, `PATH=["analytics", "events"]`,
`PATH=[ticket JSON]`, `CMD=ticket JSON`.

A name may be followed by `?endpoints=1`, which is the field `endpoints` of its ticket.

Other spellings of a field are accepted, see `flight_service.ticket_fields`. A field that the type
does not have is ignored, with a warning.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal, TypeVar

import msgspec
from pyarrow import flight

from flight_service.errors import InvalidRequest
from flight_service.ticket_fields import known_fields

MAX_BYTES = 256 * 1024
ENDPOINTS = "?endpoints="

_SHOWN = 60
_MOST_WARNINGS = 10


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

    older: ClassVar[Mapping[str, str]] = {}
    """Other names of fields, from older documents."""

    endpoints: Literal[1] | None = None
    """If true, the flight has one endpoint, for clients that read only the first."""
    columns: tuple[str, ...] | None = None
    """The selected columns, in this order; all if it is null."""

    def encode(self) -> bytes:
        """The ticket as bytes."""
        return msgspec.json.encode(self)


class _Short(msgspec.Struct):
    """The short form: a name, its variables, and the fields of its ticket beside them."""

    query: str
    variables: dict[str, Any] | None = None
    endpoints: Literal[1] | None = None


DATES = ("start_date", "end_date")
"""What older documents send beside the name of a query, whose ticket has no such fields."""

Named = Callable[[str, Mapping[str, Any]], Ticket]
"""Returns the ticket of a name and its variables."""


class TicketReader:
    """Parses tickets of the given types, from tickets and descriptors.

    Every method raises:
        InvalidRequest: the ticket is invalid; the message names the field and what is valid.
        UnknownName: no flight has this name.
    """

    def __init__(self, kinds: Sequence[type[Ticket]], named: Named) -> None:
        self._kinds = {kind.__name__: kind for kind in kinds}
        self._named = named

    def read(self, data: bytes, warnings: list[str] | None = None) -> Ticket:
        """The ticket in these bytes: a JSON object, or a name. A sentence about each field that is
        ignored is added to `warnings`."""
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
        try:
            fields = msgspec.json.decode(data, type=dict[str, Any])
        except msgspec.ValidationError as error:
            raise InvalidRequest(explained(error, Ticket)) from error
        except (msgspec.DecodeError, RecursionError) as error:
            raise InvalidRequest(f"The ticket is no JSON that can be read: {error}.") from error
        return self.read_fields(fields, warnings)

    def read_descriptor(
        self, descriptor: flight.FlightDescriptor, warnings: list[str] | None = None
    ) -> Ticket:
        """The ticket of a descriptor; see `read`."""
        if descriptor.descriptor_type == flight.DescriptorType.CMD:
            return self.read(descriptor.command, warnings)
        if descriptor.descriptor_type == flight.DescriptorType.PATH and descriptor.path:
            return self.read(b"/".join(descriptor.path), warnings)
        raise InvalidRequest(
            "The descriptor is empty. Give an asset's name or a ticket as its path, "
            "or a ticket as its command."
        )

    def read_fields(
        self, fields: Mapping[str, Any], warnings: list[str] | None = None, *, texts: bool = False
    ) -> Ticket:
        """The ticket with these fields; see `read`. With `texts`, numbers and booleans may be
        strings, as in a URL."""
        warnings = [] if warnings is None else warnings
        name = fields.get("type")
        if name is not None and not isinstance(name, str):
            raise InvalidRequest("The ticket's field type does not fit: it is a text.")
        if name is not None and name not in self._kinds:
            raise InvalidRequest(f"There is no ticket of type {shown(name)}. Send {self._forms()}.")
        if name is not None:
            return _converted(self._kinds[name], fields, warnings, texts=texts)
        if fields.get("query") is None:
            raise InvalidRequest(f"The ticket has no field type. Send {self._forms()}.")
        return self._read_short(fields, warnings, texts=texts)

    def _read_short(self, fields: Mapping[str, Any], warnings: list[str], *, texts: bool) -> Ticket:
        own = {key: fields[key] for key in _Short.__struct_fields__ if key in fields}
        beside = {key: value for key, value in fields.items() if key not in own and key != "type"}
        short = _converted(_Short, own, [], texts=texts)
        ticket = _with_endpoints(self._named(short.query, short.variables or {}), short.endpoints)
        if dates := self._dates_of(type(ticket), beside):
            if "{" in short.query:
                raise InvalidRequest(
                    f"A document has no {' or '.join(dates)}. Put the dates into its `where`."
                )
            beside = {key: value for key, value in beside.items() if key not in DATES}
            given = {**(short.variables or {}), **dates}
            ticket = _with_endpoints(self._named(short.query, given), short.endpoints)
        if not beside:
            return ticket
        return _converted(
            type(ticket), {**msgspec.to_builtins(ticket), **beside}, warnings, texts=texts
        )

    def _dates_of(self, kind: type[Ticket], beside: Mapping[str, Any]) -> dict[str, Any]:
        """The dates beside a name whose ticket has no fields for them: they are variables of it,
        since rows that they leave out may not be sent."""
        own = {*kind.older, *kind.__struct_fields__}
        return {key: beside[key] for key in DATES if beside.get(key) and key not in own}

    def _forms(self) -> str:
        return f'{{"type": …}} with one of {", ".join(sorted(self._kinds))}'


Made = TypeVar("Made", bound=msgspec.Struct)


def _converted(
    kind: type[Made], fields: Mapping[str, Any], warnings: list[str], *, texts: bool
) -> Made:
    """The struct with these fields. Unknown fields are ignored, with a warning."""
    older = kind.older if issubclass(kind, Ticket) else {}
    given = {older.get(key, key): value for key, value in fields.items()}
    known = known_fields(kind, given)
    unknown = [key for key in given if key not in known.all and key != "type"]
    for key in unknown[:_MOST_WARNINGS]:
        warnings.append(
            f"{kind.__name__} has no field {shown(key)}, which is ignored. It may have: "
            f"{', '.join(known.all)}."
        )
    tag = {"type": kind.__name__} if issubclass(kind, Ticket) else {}
    try:
        return msgspec.convert({**known.given, **tag}, kind, strict=not texts)
    except msgspec.ValidationError as error:
        raise InvalidRequest(explained(error, kind)) from error
    except RecursionError as error:
        raise InvalidRequest("The ticket is nested too deeply.") from error


def _with_endpoints(ticket: Ticket, endpoints: Literal[1] | None) -> Ticket:
    return msgspec.structs.replace(ticket, endpoints=endpoints) if endpoints else ticket


def shown(text: str) -> str:
    """Text of a client, quoted and truncated for a message."""
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


def explained(error: msgspec.ValidationError, kind: type[msgspec.Struct]) -> str:
    """A message that names the invalid field of a ticket and the reason."""
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
