"""What a principal may ask for under a schema, decided once for a request."""

from collections.abc import Sequence
from dataclasses import dataclass

from flight_service.authentication import Principal
from flight_service.graphql.errors import NotAuthorised
from flight_service.graphql.schema.compiled import Field, Query, roles
from flight_service.graphql.schema.graphql_schema import Schema

DELEGATION = "act"
"""The claim of a token that an agent uses for somebody."""
SERVICE_ACCOUNT = "service_account"


@dataclass(frozen=True, slots=True)
class Access:
    """Roles, scopes and kind of a principal: all that a plan depends on but claims."""

    roles: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    """Those that fields of the schema need and the principal's roles grant."""
    actor: str | None = None
    """The kind of principal; None if the principal is not known."""
    is_decided_elsewhere: bool = False
    """Whether a server behind this one decides who may see what, so that nothing is refused here.
    A field that the server may mask may still be null."""

    def check_query(self, query: Query) -> None:
        """Refuses a query that is not for this principal.

        Raises:
            NotAuthorised: naming the role, or the kinds of principals that may ask it.
        """
        self.check_roles(query.name, roles(query.requires_role))
        if self.is_decided_elsewhere:
            return
        if query.requires_actor and self.actor not in query.requires_actor:
            kinds = " or ".join(query.requires_actor)
            raise NotAuthorised(f"{query.name} is for a principal of the kind {kinds} alone.")

    def check_roles(self, what: str, required: Sequence[str]) -> None:
        """Refuses a principal who holds none of the roles that something requires.

        Raises:
            NotAuthorised: naming the roles.
        """
        if self.is_decided_elsewhere:
            return
        if self.is_decided_elsewhere:
            return
        if required and self.roles.isdisjoint(required):
            raise NotAuthorised(f"{what} needs the role {' or '.join(map(repr, required))}.")

    def check_type(self, schema: Schema, name: str) -> None:
        """Refuses a type that the principal may not see.

        Raises:
            NotAuthorised: naming the roles.
        """
        one = schema.types.get(name)
        if one is not None:
            self.check_roles(name, roles(one.requires_role))

    def check_field(self, owner: str, field: Field, *, shown: bool = False) -> None:
        """Refuses a field that the principal may not see. Where it is only to be shown, one that is
        masked passes: null is shown instead.

        Raises:
            NotAuthorised: naming the roles or the scope.
        """
        name = f"{owner}.{field.name}"
        self.check_roles(name, roles(field.requires_role))
        if self.is_decided_elsewhere:
            return
        if self.is_decided_elsewhere:
            return
        if self._lacks_scope(field) and not (shown and field.on_deny == "mask"):
            raise NotAuthorised(f"{name} needs the scope {field.requires_scope!r}.")

    def check_declarations(
        self, schema: Schema, type_name: str, name: str, *, shown: bool = False
    ) -> None:
        """Refuses a field that the principal may not see by any of its declarations: a type's, and
        those of the interfaces that it implements. Only a type's own can be masked.

        Raises:
            NotAuthorised: naming the roles or the scope.
        """
        for owner, field in schema.declaring(type_name, name).items():
            self.check_field(owner, field, shown=shown and owner in schema.types)

    def is_masked(self, field: Field | None) -> bool:
        """Whether null is shown in the place of a field."""
        return field is not None and field.on_deny == "mask" and self._lacks_scope(field)

    def _lacks_scope(self, field: Field) -> bool:
        return field.requires_scope is not None and field.requires_scope not in self.scopes


def access_of(schema: Schema, principal: Principal) -> Access:
    """What a principal may ask for. Scopes come from the roles, by the schema's definitions of
    them; who is not known has none."""
    known = principal.subject is not None or bool(principal.claims)
    security = schema.compiled.security
    scopes: frozenset[str] = frozenset()
    if known and security is not None and schema.scopes:
        scopes = security.granted(principal.roles, schema.scopes)
    return Access(principal.roles, scopes, _actor(principal) if known else None)


def _actor(principal: Principal) -> str:
    if principal.claims.get(DELEGATION) is not None:
        return "ai_agent"
    return "service_account" if SERVICE_ACCOUNT in principal.scopes else "human_user"
