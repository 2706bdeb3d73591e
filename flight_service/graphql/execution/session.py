"""The settings of a transaction that say for whom it reads: claims and session variables."""

from collections.abc import Mapping
from typing import Any

import msgspec

from flight_service.authentication import Principal
from flight_service.graphql.schema.security import SessionVariable, SessionVariables

CLAIMS = "fraiseql.claims"
"""The setting with all claims as JSON, for policies of row security."""
STANDARD = {"user_id": "sub", "display_name": "name"}
"""Names for standard claims, for tokens without a claim of that name."""


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
