"""Authentication of HTTP requests, which never blocks the event loop."""

import math

import anyio
from anyio.to_thread import run_sync

from flight_service.authentication import Principal, authenticate
from flight_service.errors import ServiceError
from flight_service.identity.waiting import MustWait
from flight_service.monitoring.calls import current
from fraiseql_assets.settings import Settings


async def authenticated(authorization: str | None, settings: Settings) -> Principal:
    """The principal of a request; see `flight_service.authentication.authenticate`."""
    try:
        principal = await _principal(authorization, settings)
    except ServiceError as error:
        if (call := current.get()) is not None:
            call.refused(error)
        raise
    if (call := current.get()) is not None:
        call.principal = principal
    return principal


async def _principal(authorization: str | None, settings: Settings) -> Principal:
    try:
        return authenticate(authorization, settings, may_wait=False)
    except MustWait:
        # The number of waiting requests is limited elsewhere.
        limiter = anyio.CapacityLimiter(math.inf)
        return await run_sync(authenticate, authorization, settings, limiter=limiter)
