"""Tokens as an issuer signs them."""

import time

import jwt


def signed(secret: str, **claims: object) -> str:
    """A token with these claims that is valid for an hour, unless `exp` says otherwise."""
    return jwt.encode({"exp": int(time.time()) + 3600, **claims}, secret, "HS256")
