"""For whom a transaction reads: its settings with claims and session variables, and the reader."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from flight_service.authentication import Principal
from flight_service.graphql.schema.security import SessionVariable, SessionVariables
from flight_service.limits import reader_of

CLAIMS = "fraiseql.claims"
"""The setting with all claims as JSON, for policies of row security."""
STANDARD = {"user_id": "sub", "display_name": "name"}
"""Names for standard claims, for tokens without a claim of that name."""


@dataclass(frozen=True, slots=True)
class Session:
    """For whom a transaction reads."""

    settings: Mapping[str, str]
    """Of the transaction."""
    reader: Hashable | None
    """See `flight_service.limits.reader_of`."""


def session_of(variables: SessionVariables, principal: Principal, *, is_guarded: bool) -> Session:
    """The session of a principal. `is_guarded` says whether tokens are checked."""
    return Session(
        session_settings(variables, principal), reader_of(principal, is_guarded=is_guarded)
    )


def session_settings(variables: SessionVariables, principal: Principal) -> dict[str, str]:
    """The claims as one setting, and the schema's session variables that have a value. Principals
    who are not known have no variables."""
    settings = {CLAIMS: msgspec.json.encode(dict(principal.claims)).decode()}
    if principal.claims:
        for one in variables.variables:
            value = _value(one, principal.claims)
            if value is not None:
                settings[one.name] = value
    return settings


def _value(variable: SessionVariable, claims: Mapping[str, Any]) -> str | None:
    if variable.source == "literal":
        return variable.value
    name = variable.claim or ""
    found = claims[name] if name in claims else claims.get(STANDARD.get(name, name))
    if found is None or isinstance(found, str):
        return found
    return msgspec.json.encode(found).decode()
