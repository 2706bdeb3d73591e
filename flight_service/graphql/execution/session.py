"""The settings of a transaction that tell the database for whom it reads."""

from collections.abc import Mapping
from typing import Any

import msgspec

from flight_service.authentication import Principal
from flight_service.graphql.schema.security import SessionVariable, SessionVariables

CLAIMS = "fraiseql.claims"
"""The setting in which row-security policies find all claims, as JSON."""
STANDARD = {"user_id": "sub", "display_name": "name"}
"""Other names of standard claims, which hold where a token has no claim of that name."""


def session_settings(variables: SessionVariables, principal: Principal) -> dict[str, str]:
    """The claims as one setting, and each session variable of the schema that has a value. Who is
    not known has no variables."""
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
