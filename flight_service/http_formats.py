"""The requested format of an HTTP response, and its entity tag."""

import hmac

import pyarrow as pa

from flight_service.authentication import Principal
from flight_service.errors import InvalidRequest
from flight_service.formats import CSV, FORMATS, JSON, NDJSON, Format
from flight_service.identity.signing import fingerprint
from flight_service.tickets import Ticket


def type_header(format: Format) -> dict[str, str]:
    """The header with the media type of a format."""
    is_text = format.media_type.startswith("text/") or "json" in format.media_type
    return {"content-type": f"{format.media_type}{'; charset=utf-8' if is_text else ''}"}


_ACCEPTED = {
    **{one.media_type: one for one in FORMATS.values()},
    "application/jsonl": NDJSON,
    "application/x-jsonlines": NDJSON,
    "*/*": JSON,
    "application/*": JSON,
    "text/*": CSV,
}


def chosen_format(name: str | None, accept: str | None) -> Format:
    """The format of the parameter, or the one that the client prefers, or JSON."""
    if name is not None:
        if name not in FORMATS:
            raise InvalidRequest(f"The parameter format is one of {', '.join(FORMATS)}.")
        return FORMATS[name]
    best, weight = JSON, 0.0
    for part in (accept or "").lower().split(","):
        kind, *parameters = (one.strip() for one in part.split(";"))
        quality = next((one[2:] for one in parameters if one.startswith("q=")), "1")
        try:
            found = float(quality)
        except ValueError:
            continue
        if kind in _ACCEPTED and found > weight:
            best, weight = _ACCEPTED[kind], found
    return best


def entity_tag(
    key: bytes,
    version: str,
    ticket: Ticket,
    principal: Principal,
    format: Format,
    options: pa.ipc.IpcWriteOptions,
) -> str:
    """The entity tag. It is weak, because a proxy may compress the content. It is a keyed hash, so
    that it does not disclose how much a plane or the log holds."""
    parts = (version, ticket.encode(), fingerprint(principal), format.name)
    text = repr((*parts, str(options.compression))).encode()
    return f'W/"{hmac.digest(key, text, "sha256").hex()[:32]}"'


def matches(given: str | None, tag: str) -> bool:
    """Whether `If-None-Match` names the tag."""
    known = [one.strip().removeprefix("W/") for one in (given or "").split(",")]
    return "*" in known or tag.removeprefix("W/") in known
