"""The health of the service, for Flight and HTTP."""

import time
from functools import cache
from importlib.metadata import version


def health() -> dict[str, str | int]:
    """Status, version and time in seconds since 1970. The planes are not checked: the service is
    healthy even if one is down."""
    return {
        "status": "healthy",
        "version": _version(),
        "timestamp": int(time.time()),
    }


@cache
def _version() -> str:
    return version("fraiseql-assets")
