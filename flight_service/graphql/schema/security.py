"""What a compiled schema says of who may see what: roles, scopes, tenants, session variables.

FraiseQL enforces these sections. What this service enforces as well is read; what it cannot enforce
makes the schema be refused, since to ignore it would be to serve what it protects.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import msgspec

from flight_service.graphql.errors import SchemaInvalid

Actor = Literal["human_user", "service_account", "ai_agent", "system_job"]
SETTING = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*(\.[A-Za-z_][A-Za-z0-9_$]*)+\Z")
RESERVED = re.compile(r"fraiseql\.(claims|p[0-9]+)\Z", re.IGNORECASE)
"""The settings that this service itself binds."""


class RoleDefinition(msgspec.Struct, frozen=True):
    """A role, and the scopes that it grants."""

    name: str
    scopes: tuple[str, ...] = ()
    description: str | None = None

    def grants(self, scope: str) -> bool:
        return any(_grants(own, scope) for own in self.scopes)


class Rls(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    enabled: bool = False


class Tenancy(msgspec.Struct, frozen=True):
    mode: Literal["none", "row", "schema"] = "none"
    tenant_claim: str = "tenant_id"


class Switch(msgspec.Struct, frozen=True):
    """A section that may be off."""

    enabled: bool = False
    mode: str | None = None


class Security(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section `security`. What is of type `Any` limits how much is asked or who may log in,
    never what a token that is accepted here may see."""

    role_definitions: tuple[RoleDefinition, ...] = ()
    default_role: str | None = None
    multi_tenant: bool = False
    rls: Rls = Rls()
    tenancy: Tenancy = Tenancy()
    default_policy: str | None = None
    rules: tuple[Any, ...] = ()
    policies: tuple[Any, ...] = ()
    field_auth: tuple[Any, ...] = ()
    token_revocation: Switch | None = None
    trusted_documents: Switch | None = None
    persisted_queries_only: bool = False
    cost_budget: Any = None
    enterprise: Any = None
    error_sanitization: Any = None
    rate_limiting: Any = None
    state_encryption: Any = None
    pkce: Any = None
    api_keys: Any = None
    service_accounts: Any = None

    @property
    def has_tenants(self) -> bool:
        return self.multi_tenant or self.tenancy.mode != "none"

    def granted(self, roles: Iterable[str], scopes: Iterable[str]) -> frozenset[str]:
        """Those of the scopes that the roles of a known principal grant."""
        held = set(roles) or {self.default_role}
        defined = [one for one in self.role_definitions if one.name in held]
        return frozenset(scope for scope in scopes if any(one.grants(scope) for one in defined))


class SessionVariable(msgspec.Struct, frozen=True):
    """A setting of the transaction, and where its value comes from."""

    name: str
    source: Literal["jwt", "header", "literal", "enrichment"]
    claim: str | None = None
    header: str | None = None
    value: str | None = None
    field: str | None = None


class SessionVariables(msgspec.Struct, frozen=True):
    variables: tuple[SessionVariable, ...] = ()
    inject_started_at: bool = True


def check_session_variables(found: SessionVariables) -> None:
    """Refuses variables that are not whole, or whose names are no settings of their own.

    Raises:
        SchemaInvalid: with the place in the file.
    """
    needed = {"jwt": "claim", "header": "header", "literal": "value", "enrichment": "field"}
    for n, one in enumerate(found.variables):
        place = f"$.session_variables.variables[{n}]"
        if getattr(one, needed[one.source]) is None:
            raise SchemaInvalid(
                f"the source {one.source!r} needs {needed[one.source]!r} - at `{place}`"
            )
        if not SETTING.match(one.name) or RESERVED.match(one.name):
            raise SchemaInvalid(
                f"{one.name!r} cannot be set; a name has a prefix of its own, such as "
                f"`app.tenant_id` - at `{place}.name`"
            )


def unenforced(security: Security | None, variables: SessionVariables) -> Iterator[str]:
    """What of these sections this service cannot enforce, with the place in the file."""
    if security is not None:
        for key in ("default_policy", "rules", "policies", "field_auth", "persisted_queries_only"):
            if getattr(security, key):
                yield f"`$.security.{key}`"
        if security.token_revocation is not None and security.token_revocation.enabled:
            yield "`$.security.token_revocation`"
        documents = security.trusted_documents
        if documents is not None and documents.enabled and documents.mode == "strict":
            yield "`$.security.trusted_documents`"
        if security.tenancy.mode == "schema":
            yield "`$.security.tenancy.mode` (a schema for each tenant)"
    for n, one in enumerate(variables.variables):
        if one.source in ("header", "enrichment"):
            yield f"`$.session_variables.variables[{n}]` (its source is {one.source!r})"


def _grants(own: str, scope: str) -> bool:
    """Whether a scope of a role covers another: itself, all, or all that begin as it does."""
    return own in ("*", scope) or (own.endswith((":*", ".*")) and scope.startswith(own[:-1]))
