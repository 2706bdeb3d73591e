"""What a principal may use of a schema: roles, scopes and kind of principal."""

from collections.abc import Sequence
from dataclasses import dataclass

from flight_service.authentication import Principal
from flight_service.graphql.errors import NotAuthorised
from flight_service.graphql.schema.compiled import Field, Query, roles
from flight_service.graphql.schema.graphql_schema import Schema

DELEGATION = "act"
"""The claim of a token that an agent uses on behalf of a person."""
SERVICE_ACCOUNT = "service_account"


@dataclass(frozen=True, slots=True)
class Access:
    """Roles, scopes and kind of a principal: all that a plan depends on, except claims."""

    roles: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    """The scopes that fields of the schema require and the principal's roles grant."""
    actor: str | None = None
    """The kind of principal; None if the principal is not known."""
    is_decided_elsewhere: bool = False
    """Whether a server behind this one decides who may see what, so that nothing is refused here.
    A field that the server may mask may still be null."""

    def check_query(self, query: Query) -> None:
        """Refuses a query that the principal may not use.

        Raises:
            NotAuthorised: names the role, or the kinds of principals that may use it.
        """
        self.check_roles(query.name, roles(query.requires_role))
        if self.is_decided_elsewhere:
            return
        if query.requires_actor and self.actor not in query.requires_actor:
            kinds = " or ".join(query.requires_actor)
            raise NotAuthorised(f"{query.name} is only for principals of the kind {kinds}.")

    def check_roles(self, what: str, required: Sequence[str]) -> None:
        """Refuses a principal without any of the required roles.

        Raises:
            NotAuthorised: names the roles.
        """
        if self.is_decided_elsewhere:
            return
        if required and self.roles.isdisjoint(required):
            raise NotAuthorised(f"{what} needs the role {' or '.join(map(repr, required))}.")

    def check_type(self, schema: Schema, name: str) -> None:
        """Refuses a type that the principal may not see.

        Raises:
            NotAuthorised: names the roles.
        """
        one = schema.types.get(name)
        if one is not None:
            self.check_roles(name, roles(one.requires_role))

    def check_field(self, owner: str, field: Field, *, shown: bool = False) -> None:
        """Refuses a field that the principal may not see. With `shown`, the field is only selected,
        and a masked field passes: it is null.

        Raises:
            NotAuthorised: names the roles or the scope.
        """
        name = f"{owner}.{field.name}"
        self.check_roles(name, roles(field.requires_role))
        if self.is_decided_elsewhere:
            return
        if self._lacks_scope(field) and not (shown and field.on_deny == "mask"):
            raise NotAuthorised(f"{name} needs the scope {field.requires_scope!r}.")

    def check_declarations(
        self, schema: Schema, type_name: str, name: str, *, shown: bool = False
    ) -> None:
        """Refuses a field that the principal may not see by one of its declarations: those of
        types, and of the interfaces that they implement. Only a type's can be masked.

        Raises:
            NotAuthorised: names the roles or the scope.
        """
        for owner, field in schema.declaring(type_name, name).items():
            self.check_field(owner, field, shown=shown and owner in schema.types)

    def is_masked(self, field: Field | None) -> bool:
        """Whether a field is null for the principal."""
        return field is not None and field.on_deny == "mask" and self._lacks_scope(field)

    def _lacks_scope(self, field: Field) -> bool:
        return field.requires_scope is not None and field.requires_scope not in self.scopes


def access_of(schema: Schema, principal: Principal) -> Access:
    """The access of a principal. Scopes follow from the roles, by the schema's definitions; a
    principal who is not known has none."""
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
