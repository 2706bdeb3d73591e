"""The required scope of each type of ticket, action and route.

`flight_service.access` has the service's own requirements. A setting adds further ones for ticket
types and actions; a route has the requirement of its ticket type. They are applied to the whole
registry, so nothing is served without them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from flight_service.access import check_scope
from flight_service.actions import AnyAction
from flight_service.authentication import Principal
from flight_service.errors import Forbidden, ServiceError, SettingError
from flight_service.flights import Flight, Listed, Listing, Resolver
from flight_service.http_authentication import authenticated
from flight_service.http_failures import failed
from flight_service.sql.commands import SqlCommand
from flight_service.tickets import Ticket
from fraiseql_assets.settings import Settings, variable

KIND_OF_ROUTE = {
    "/assets": "Asset",
    "/assets/{key:path}": "Asset",
    "/graphql": "GraphQLQuery",
    # The resolver of the ticket in the request checks the requirement.
    "/query": "",
    "/search": "Search",
}
"""The ticket type whose requirement applies to a route."""
KIND_OF_PART = {"GraphQLPart": "GraphQLQuery"}
"""The original ticket type of an endpoint's ticket."""


class RequiredScopes:
    """The scopes that the settings require."""

    def __init__(self, settings: Settings, kinds: Sequence[str]) -> None:
        """`kinds` are the existing ticket types and actions.

        Raises:
            SettingError: the setting has an unknown name.
        """
        self._settings = settings
        self._scopes: Mapping[str, str] = settings.required_scopes
        unknown = sorted(set(self._scopes) - set(kinds))
        if unknown:
            raise SettingError(
                f"{variable('required_scopes')} names {', '.join(map(repr, unknown))}. It may "
                f"name: {', '.join(sorted(kinds))}."
            )

    def check(self, kind: str, principal: Principal) -> None:
        """Refuses a principal without the scope for a ticket type or action.

        Raises:
            Forbidden: naming the scope.
        """
        scope = self._scopes.get(KIND_OF_PART.get(kind, kind))
        if scope is not None:
            check_scope(principal, scope, kind, is_guarded=self._settings.is_guarded)

    def resolver(self, kind: type[Ticket], resolve: Resolver) -> Resolver:
        """The resolver with the check."""

        def checked(ticket: Any, principal: Principal) -> Flight:
            self.check(kind.__name__, principal)
            return resolve(ticket, principal)

        return checked

    def listing(self, listing: Listing) -> Listing:
        """The listing with only the flights that the principal may read."""

        def permitted(principal: Principal) -> list[Listed]:
            found = listing(principal)
            kinds = {type(one.ticket).__name__ for one in found}
            refused = {kind for kind in kinds if self._refuses(kind, principal)}
            return [one for one in found if type(one.ticket).__name__ not in refused]

        return permitted

    def action(self, action: AnyAction) -> AnyAction:
        """The action with the check."""

        def checked(body: bytes, principal: Principal, *more: Any) -> Any:
            self.check(action.name, principal)
            return action.run(body, principal, *more)

        return replace(action, run=checked)

    def route(self, route: BaseRoute) -> BaseRoute:
        """The route with the check."""
        assert isinstance(route, Route), "every route has a path"
        assert route.path in KIND_OF_ROUTE, f"{route.path} is in KIND_OF_ROUTE"
        kind = KIND_OF_ROUTE[route.path]
        if kind not in self._scopes:
            return route
        endpoint = _Checked(route.app, partial(self.check, kind), self._settings)
        return Route(route.path, endpoint, methods=route.methods and list(route.methods))

    def _refuses(self, kind: str, principal: Principal) -> bool:
        try:
            self.check(kind, principal)
        except Forbidden:
            return True
        return False


class _Checked:
    """An ASGI application with a check of the principal."""

    def __init__(self, app: Any, check: Callable[[Principal], None], settings: Settings) -> None:
        self._app, self._check, self._settings = app, check, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = Request(scope).headers.get("authorization")
        try:
            self._check(await authenticated(given, self._settings))
        except ServiceError as error:
            # The route would authenticate once more, perhaps with success, and check no scope.
            await failed(error)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def kinds_of(resolvers: Mapping[type[Ticket], Resolver], actions: Sequence[AnyAction]) -> list[str]:
    """The ticket types and actions for which a scope may be set. Flight SQL has its own scope."""
    kinds = [kind.__name__ for kind in resolvers if kind is not SqlCommand]
    return [kind for kind in kinds if kind not in KIND_OF_PART] + [one.name for one in actions]
