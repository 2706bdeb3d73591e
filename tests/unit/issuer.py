"""An issuer of tokens with real keys, and the address of its public ones."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm


class Key:
    """A key pair of an issuer."""

    def __init__(self, kid: str | None, algorithm: str = "RS256") -> None:
        self.kid, self.algorithm = kid, algorithm
        if algorithm == "ES256":
            self.private: Any = ec.generate_private_key(ec.SECP256R1())
        else:
            self.private = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def public(self, **members: Any) -> dict[str, Any]:
        """The public key as a member of a JWKS."""
        kind = ECAlgorithm if self.algorithm == "ES256" else RSAAlgorithm
        found = json.loads(kind.to_jwk(self.private.public_key()))
        named = {} if self.kid is None else {"kid": self.kid}
        return {**found, **named, "use": "sig", **members}

    def token(self, **claims: Any) -> str:
        """A token that this key signs, valid for an hour unless `exp` says otherwise."""
        headers = {} if self.kid is None else {"kid": self.kid}
        claims = {"sub": "ada", "exp": int(time.time()) + 3600, **claims}
        return jwt.encode(claims, self.private, self.algorithm, headers)


def jwks(*keys: Key) -> bytes:
    """The public keys as an issuer publishes them."""
    return json.dumps({"keys": [key.public() for key in keys]}).encode()


class Issuer:
    """The response of an HTTP server to a request for keys."""

    def __init__(self, content: bytes) -> None:
        self.content, self.status = content, 200
        self.asked = 0
        self.answers = threading.Event()
        """While it is not set, the server does not answer."""
        self.answers.set()
        self.url = ""


@contextmanager
def serving_keys(content: bytes) -> Iterator[Issuer]:
    """An HTTP server that publishes keys for the length of the block."""
    issuer = Issuer(content)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.asked += 1
            issuer.answers.wait(30)
            self.send_response(issuer.status)
            self.send_header("content-length", str(len(issuer.content)))
            self.end_headers()
            self.wfile.write(issuer.content)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    issuer.url = f"http://127.0.0.1:{server.server_port}/jwks.json"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield issuer
    finally:
        issuer.answers.set()
        server.shutdown()
        server.server_close()
