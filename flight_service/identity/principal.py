"""The client of a call, from the claims of its token."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ROLES = ("roles", "role", "fraiseql_roles")
"""The claims that hold roles."""


@dataclass(frozen=True, slots=True)
class Principal:
    """The client of a call, as its token describes it. Empty if no tokens are checked."""

    subject: str | None = None
    tenant: str | None = None
    roles: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    claims: Mapping[str, Any] = field(default_factory=dict)
    """Every claim of the token, unchanged."""
    authorization: str | None = field(default=None, repr=False, compare=False)
    """The header itself, to forward to a FraiseQL server. Not checked if there is no secret."""
    expires: int | None = field(default=None, repr=False, compare=False)
    """When the token expires, in seconds since 1970; None if it does not."""
    traceparent: str | None = field(default=None, repr=False, compare=False)
    """The trace that the call belongs to, as its W3C header says."""


ANYONE = Principal()


def principal_from(claims: dict[str, Any]) -> Principal:
    """The principal that a token's claims describe."""
    return Principal(
        subject=_text(claims.get("sub")),
        tenant=_text(_first(claims, "tenant_id", "org_id")),
        roles=frozenset().union(*(_names(claims.get(name)) for name in ROLES)),
        scopes=_names(claims.get("scopes", claims.get("scope"))),
        claims=claims,
    )


def _first(claims: dict[str, Any], *names: str) -> object:
    """The first of these claims that has a value."""
    return next((claims[name] for name in names if claims.get(name) is not None), None)


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _names(value: object) -> frozenset[str]:
    """Names in either form: a list, or one string separated by spaces."""
    if isinstance(value, str):
        return frozenset(value.split())
    return frozenset(map(str, value)) if isinstance(value, list) else frozenset()
