"""Signs data for one principal, and derives the keys for signing."""

import hmac
import secrets
from typing import Literal

import msgspec

from flight_service.identity.principal import Principal
from fraiseql_assets.settings import Settings

Purpose = Literal["sessions", "tickets", "statements", "entity tags"]

SIGNATURE_BYTES = 32

_OF_THIS_PROCESS = secrets.token_bytes(32)


def signing_key(settings: Settings, purpose: Purpose) -> bytes:
    """The key for a purpose. Processes with the same secret in their settings have the same keys;
    without one the keys last as long as the process."""
    secret = settings.session_secret or settings.jwt_secret
    given = _OF_THIS_PROCESS if secret is None else secret.get_secret_value().encode()
    return hmac.digest(given, f"fraiseql-assets {purpose}".encode(), "sha256")


class Signer:
    """Signs data that only one principal may send back."""

    def __init__(self, key: bytes | None = None) -> None:
        """Without a key, a random one is used."""
        self._key = key or secrets.token_bytes(32)

    def sign(self, body: bytes, principal: Principal) -> bytes:
        """The signature, followed by the body."""
        return self._signature(body, principal) + body

    def verify(self, signed: bytes, principal: Principal) -> bytes | None:
        """The body that was signed for the principal; None if it was not, or was altered."""
        signature, body = signed[:SIGNATURE_BYTES], signed[SIGNATURE_BYTES:]
        is_right = hmac.compare_digest(signature, self._signature(body, principal))
        return body if is_right else None

    def _signature(self, body: bytes, principal: Principal) -> bytes:
        return hmac.digest(self._key, fingerprint(principal) + body, "sha256")


def fingerprint(principal: Principal) -> bytes:
    """Identifies a principal across its tokens."""
    who = [
        principal.subject,
        principal.tenant,
        sorted(principal.roles),
        sorted(principal.scopes),
    ]
    encoded = msgspec.json.encode(who)
    return len(encoded).to_bytes(4, "big") + encoded
