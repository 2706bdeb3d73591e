"""Real servers that ask for TLS, an nkey or a credentials file: both clients of the log get in."""

import asyncio
import base64
import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import nkeys
import pytest
from log_server import BATCHING, nats_server, payloads, settings_for, store_payloads
from pydantic import SecretStr

from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream import reader
from fraiseql_assets.stream.connection import ConnectionSettingError, LogUnavailable
from fraiseql_assets.stream.log import Log
from fraiseql_assets.stream.setup import setup_streams


def write_certificate(folder: Path) -> None:
    """A certificate for 127.0.0.1, its own authority, with its key."""
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=tests", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", folder / "key.pem", "-out", folder / "certificate.pem"]
    subprocess.run([*request, *names, *files], check=True, capture_output=True)


def key_pair(prefix: int) -> nkeys.KeyPair:
    return nkeys.from_seed(bytearray(nkeys.encode_seed(os.urandom(32), prefix)))


def name_of(pair: nkeys.KeyPair) -> str:
    return bytes(pair.public_key).decode()


def seed_of(pair: nkeys.KeyPair) -> str:
    return bytes(pair.seed).decode()


@contextmanager
def tls_server(folder: Path, configuration: str = "") -> Iterator[str]:
    write_certificate(folder)
    files = f'cert_file: "{folder}/certificate.pem", key_file: "{folder}/key.pem"'
    with nats_server(folder, f"tls {{ {files} }}\n{configuration}") as server:
        yield server.url.replace("nats://", "tls://")


def use(settings: Settings) -> None:
    """Stores two messages and reads them."""
    asyncio.run(setup_streams(settings))
    store_payloads(settings, [b"1", b"2"])
    with Log(settings, name="tests") as log:
        assert payloads(log.read(SequenceRange(1, 2), BATCHING, ahead=1)) == [b"1", b"2"]


def test_a_server_with_tls_and_nkey_is_used(tmp_path: Path) -> None:
    pair = key_pair(nkeys.PREFIX_BYTE_USER)
    (tmp_path / "seed").write_text(seed_of(pair))
    users = f"authorization {{ users = [ {{ nkey: {name_of(pair)} }} ] }}"
    with tls_server(tmp_path, users) as url:
        use(
            settings_for(
                url,
                nats_ca_file=tmp_path / "certificate.pem",
                nats_nkey_file=tmp_path / "seed",
            )
        )


def test_an_untrusted_certificate_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "GIVE_UP_SECONDS", 0.2)
    with tls_server(tmp_path) as url:
        settings = settings_for(url)
        with (
            pytest.raises(LogUnavailable, match="certificate verify failed"),
            Log(settings, name="tests"),
        ):
            pass
        with pytest.raises(LogUnavailable, match="certificate verify failed"):
            list(
                reader.read_range(
                    settings, "events", SequenceRange(1, 1), batch_messages=1, batch_bytes=1
                )
            )


def encoded(part: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


def jwt(issuer: nkeys.KeyPair, subject: nkeys.KeyPair, kind: str, **claims: Any) -> str:
    """A JWT of NATS: its subject and its issuer."""
    body: dict[str, Any] = {
        "iat": int(time.time()),
        "iss": name_of(issuer),
        "sub": name_of(subject),
        "name": kind,
        "nats": {"type": kind, "version": 2, **claims},
    }
    body["jti"] = base64.b32encode(sha256(json.dumps(body).encode()).digest()).decode()
    signed = f"{encoded({'typ': 'JWT', 'alg': 'ed25519-nkey'})}.{encoded(body)}"
    signature = base64.urlsafe_b64encode(issuer.sign(signed.encode())).decode().rstrip("=")
    return f"{signed}.{signature}"


def test_a_credentials_file_is_used(tmp_path: Path) -> None:
    operator = key_pair(nkeys.PREFIX_BYTE_OPERATOR)
    system, account = key_pair(nkeys.PREFIX_BYTE_ACCOUNT), key_pair(nkeys.PREFIX_BYTE_ACCOUNT)
    user = key_pair(nkeys.PREFIX_BYTE_USER)
    unlimited = {"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1}
    unlimited |= {"wildcards": True, "conn": -1, "leaf": -1}
    storage = {"mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1}
    limits = {"subs": -1, "data": -1, "payload": -1}
    (tmp_path / "user.creds").write_text(
        f"-----BEGIN NATS USER JWT-----\n{jwt(account, user, 'user', **limits)}\n"
        f"------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n{seed_of(user)}\n"
        "------END USER NKEY SEED------\n"
    )
    configuration = f"""
        operator: {jwt(operator, operator, "operator", system_account=name_of(system))}
        system_account: {name_of(system)}
        resolver: MEMORY
        resolver_preload: {{
            {name_of(system)}: {jwt(operator, system, "account", limits=unlimited)}
            {name_of(account)}: {jwt(operator, account, "account", limits=unlimited | storage)}
        }}
    """
    with nats_server(tmp_path, configuration) as server:
        use(settings_for(server.url, nats_credentials_file=tmp_path / "user.creds"))


def test_a_bad_address_is_an_error_that_names_the_setting() -> None:
    settings = Settings(nats_url=SecretStr("http://me:secret@127.0.0.1:4222"))
    with pytest.raises(ConnectionSettingError, match="FRAISEQL_NATS_URL") as said:
        Log(settings, name="tests").__enter__()
    assert "secret" not in str(said.value)
