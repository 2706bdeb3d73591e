"""How the service is, the same over Flight and over HTTP."""

import time
from functools import cache
from importlib.metadata import version


def health() -> dict[str, str | int]:
    """That the service answers, at which second since 1970. A plane that is down is no fault of the
    service."""
    return {
        "status": "healthy",
        "version": _version(),
        "timestamp": int(time.time()),
    }


@cache
def _version() -> str:
    return version("fraiseql-assets")
