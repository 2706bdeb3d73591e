"""How far the bridge is behind, for `status` and `doctor`."""

import asyncio

from fraiseql_assets.bridge.errors import BridgeError, DatabaseUnavailable
from fraiseql_assets.bridge.lag import Lag, lag_if_used
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.connection import LogError, LogUnavailable


def bridge_lag(settings: Settings) -> tuple[Lag | None, str | None]:
    """The bridge's lag, and why it cannot be found out. Both are None where no bridge is used, or
    the log does not answer, which has an entry of its own."""
    try:
        return asyncio.run(lag_if_used(settings)), None
    except LogUnavailable:
        return None, None
    except (BridgeError, DatabaseUnavailable, LogError) as error:
        return None, str(error)
