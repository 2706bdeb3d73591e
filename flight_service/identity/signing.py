"""Keys with which the service signs what it hands out, one for each purpose."""

import hmac
import secrets
from typing import Literal

from fraiseql_assets.settings import Settings

Purpose = Literal["sessions", "tickets", "statements", "entity tags"]

_OF_THIS_PROCESS = secrets.token_bytes(32)


def signing_key(settings: Settings, purpose: Purpose) -> bytes:
    """The key for a purpose. Processes with the same secret in their settings have the same keys;
    without one the keys last as long as the process."""
    secret = settings.session_secret or settings.jwt_secret
    given = _OF_THIS_PROCESS if secret is None else secret.get_secret_value().encode()
    return hmac.digest(given, f"fraiseql-assets {purpose}".encode(), "sha256")
