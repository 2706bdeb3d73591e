"""Sessions, identified by a cookie: the catalogue and schema that a client chose.

Arrow's clients store the cookie if configured, for example with ADBC's option
`adbc.flight.sql.rpc.with_cookie_middleware`.
"""

import secrets
from dataclasses import replace
from http.cookies import CookieError, SimpleCookie
from typing import cast

from pyarrow import flight

from flight_service.authentication import Principal
from flight_service.errors import InvalidRequest
from flight_service.identity.signing import fingerprint
from flight_service.sql.planning import Defaults
from flight_service.sql.protocol import Flight_pb2 as protocol
from flight_service.sql.recently_used import RecentlyUsed

COOKIE = "arrow_flight_session_id"
OPTIONS = ("catalog", "schema")
MOST_SESSIONS = 10_000
SESSION_BYTES = 2000
"""About how much a session takes."""
LONGEST = 256
"""Characters of a schema's name, and of a cookie."""


class SessionMiddleware(flight.ServerMiddleware):
    """Passes the session of a call to the method that handles it."""

    def __init__(self, id: str, *, is_new: bool) -> None:
        super().__init__()
        self.id = id
        self._is_new = is_new

    def sending_headers(self) -> dict[str, str]:
        return {"set-cookie": f"{COOKIE}={self.id}"} if self._is_new else {}


class SessionCookies(flight.ServerMiddlewareFactory):
    """Reads the cookie. For a client without one, an action may begin a session."""

    KEY = "sessions"

    def start_call(self, info: flight.CallInfo, headers: dict[str, list[str]]) -> SessionMiddleware:
        for text in headers.get("cookie", []):
            try:
                found = SimpleCookie(text).get(COOKIE)
            except CookieError:
                continue
            if found is not None and 0 < len(found.value) <= LONGEST:
                return SessionMiddleware(found.value, is_new=False)
        is_new = info.method == flight.FlightMethod.DO_ACTION
        return SessionMiddleware(secrets.token_hex(16), is_new=is_new)


def session_of(context: flight.ServerCallContext) -> str:
    """The id of the call's session, which may be empty."""
    return cast(SessionMiddleware, context.get_middleware(SessionCookies.KEY)).id


class Sessions:
    """The options of each session. Thread-safe."""

    def __init__(self, catalogues: tuple[str, ...]) -> None:
        self._catalogues = catalogues
        self._held: RecentlyUsed[Defaults] = RecentlyUsed(MOST_SESSIONS)

    def defaults(self, session: str, principal: Principal) -> Defaults:
        """The options of a session of the principal."""
        return self._held.get(_key(session, principal)) or Defaults()

    def set(
        self, session: str, principal: Principal, request: protocol.SetSessionOptionsRequest
    ) -> protocol.SetSessionOptionsResult:
        """Sets options. The result has the invalid ones with the reason."""
        result = protocol.SetSessionOptionsResult()
        chosen = self.defaults(session, principal)
        for name, option in request.session_options.items():
            kind = option.WhichOneof("option_value")
            if name not in OPTIONS:
                result.errors[name].value = protocol.SetSessionOptionsResult.INVALID_NAME
            elif (
                kind not in (None, "string_value")
                or len(option.string_value) > LONGEST
                or (name == "catalog" and option.string_value not in ("", *self._catalogues))
            ):
                result.errors[name].value = protocol.SetSessionOptionsResult.INVALID_VALUE
            elif name == "catalog":
                chosen = replace(chosen, catalogue=option.string_value or None)
            else:
                chosen = replace(chosen, schema=option.string_value or None)
        self._held.put(
            _key(session, principal), chosen, size=SESSION_BYTES, owner=principal.subject
        )
        return result

    def options(self, session: str, principal: Principal) -> protocol.GetSessionOptionsResult:
        """The options of a session.

        Raises:
            InvalidRequest: there is no session.
        """
        chosen = self._held.get(_key(session, principal))
        if chosen is None:
            raise InvalidRequest("There is no session. Begin one with SetSessionOptions.")
        result = protocol.GetSessionOptionsResult()
        for name, value in zip(OPTIONS, (chosen.catalogue, chosen.schema), strict=True):
            if value is not None:
                result.session_options[name].string_value = value
        return result

    def close(self, session: str, principal: Principal) -> protocol.CloseSessionResult:
        """Ends a session.

        Raises:
            InvalidRequest: there is none.
        """
        if self._held.take(_key(session, principal)) is None:
            raise InvalidRequest("There is no session to close.")
        return protocol.CloseSessionResult(status=protocol.CloseSessionResult.CLOSED)


def _key(session: str, principal: Principal) -> str:
    return f"{session}/{fingerprint(principal).hex()}"
