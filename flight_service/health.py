"""How the service is, the same over Flight and over HTTP."""

from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version


def health() -> dict[str, str]:
    """That the service answers. A plane that is down is no fault of the service."""
    return {
        "status": "healthy",
        "version": _version(),
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }


@cache
def _version() -> str:
    return version("fraiseql-assets")
