"""The version of an asset's rows, from the ledger of its plane or the bounds of the log."""

import hashlib
from datetime import UTC, datetime

from fraiseql_assets.catalogue import BY_KEY, STREAM_EVENTS
from fraiseql_assets.ledger import row_of
from fraiseql_assets.settings import Settings
from fraiseql_assets.setup import open_plane
from fraiseql_assets.stream.log import Log


def version_of(asset: str, settings: Settings) -> str | None:
    """A string that changes whenever the asset's rows may have changed; None while rows are being
    written.

    The planes delete expired rows without a ledger entry, so a version is valid for the current UTC
    day.

    Raises:
        LogError, PlaneError: the server of the asset does not answer.
    """
    today = datetime.now(UTC).date()
    if asset == STREAM_EVENTS.key:
        with Log(settings, name="fraiseql flight") as log:
            return _digest(today, log.bounds())
    plane = open_plane(BY_KEY[asset].plane, settings)
    try:
        entries = plane.ledger(settings.stream)
    finally:
        plane.close()
    if any(entry.state != "committed" for entry in entries):
        return None
    return _digest(today, [row_of(entry) for entry in entries])


def _digest(*values: object) -> str:
    return hashlib.sha256(repr(values).encode()).hexdigest()[:32]
