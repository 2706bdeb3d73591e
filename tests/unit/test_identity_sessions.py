"""Session tokens, and the ways of clients to get one."""

import base64
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pyarrow as pa
import pytest
from pyarrow import flight
from pydantic import SecretStr

from flight_service.authentication import authenticate
from flight_service.errors import Unauthenticated
from flight_service.identity.passwords import hashed
from flight_service.identity.sessions import claims_of_session, session_token
from flight_service.identity.signing import signing_key
from flight_service.identity.users import User, write_users
from flight_service.identity.verifier import verifier_of
from flight_service.monitoring.calls import Call, Observer
from flight_service.server import FlightServer
from fraiseql_assets.settings import Settings
from tests.tokens import signed
from tests.unit.flight_server import SECRET, Flights, start_server

PASSWORD = "correct: hörse"
KEY = b"k" * 32
WHOAMI = flight.Ticket(b'{"type":"Made","kind":"whoami"}')
ADA = "ada acme ['analyst']"


def header(name: str, password: str) -> bytes:
    """Credentials without padding, as ADBC sends them."""
    return b"Basic " + base64.b64encode(f"{name}:{password}".encode()).rstrip(b"=")


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("users") / "users.json"
    write_users(path, {"ada": User(hashed(PASSWORD, cost=16), "acme", ("analyst",), ("sql",))})
    return path


class Calls(Observer):
    """Keeps the calls that have ended."""

    def __init__(self) -> None:
        super().__init__()
        self.ended: list[tuple[Call, str]] = []

    def end_flight(self, call: Call, status: str) -> None:
        super().end_flight(call, status)
        self.ended.append((call, status))


@pytest.fixture(scope="module", autouse=True)
def fast() -> Iterator[None]:
    """Hashes without the cost of scrypt."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("flight_service.identity.passwords.COST", 16)
        yield


@pytest.fixture(scope="module")
def served(users: Path) -> Iterator[tuple[FlightServer, Calls]]:
    calls = Calls()
    with start_server(Flights(), calls, users_file=users, jwt_secret=SECRET) as server:
        yield server, calls


class Payload(flight.ClientAuthHandler):
    """Sends a payload in Handshake, and its answer with every call."""

    def __init__(self, payload: bytes) -> None:
        super().__init__()
        self._payload, self._token = payload, b""

    def authenticate(self, outgoing: Any, incoming: Any) -> None:
        outgoing.write(self._payload)
        self._token = incoming.read()

    def get_token(self) -> bytes:
        return self._token


def who(client: flight.FlightClient, *headers: tuple[bytes, bytes]) -> str:
    options = flight.FlightCallOptions(headers=list(headers))
    return client.do_get(WHOAMI, options).read_all()["text"][0].as_py()


Served = tuple[FlightServer, Calls]


def test_pyarrow_exchanges_a_password_for_a_token(served: Served) -> None:
    with flight.connect(str(served[0].address)) as client:
        token = client.authenticate_basic_token("ada", PASSWORD)
        assert who(client, token) == ADA


@pytest.mark.parametrize(
    ("payload", "name"),
    [
        (b"Bearer " + signed(SECRET, sub="bob", tenant_id="t").encode(), "bob t []"),
        (signed(SECRET, sub="bob", role="r").encode(), "bob None ['r']"),
        (flight.BasicAuth("ada", PASSWORD).serialize(), ADA),
        (header("ada", PASSWORD), ADA),
    ],
)
def test_a_handshake_payload_is_exchanged_for_a_token(
    served: Served, payload: bytes, name: str
) -> None:
    with flight.connect(str(served[0].address)) as client:
        client.authenticate(Payload(payload))
        assert who(client) == name


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (b"", "Handshake takes `Bearer <JWT>`, a JWT, or a user name"),
        (b"\xff\xff", "Handshake takes `Bearer <JWT>`"),
        (b"x" * 70_000, "has at most 65,536 bytes"),
        (b"a.b.c", "not a valid JWT"),
        (flight.BasicAuth("ada", "wrong").serialize(), "The user name or the password is wrong"),
    ],
)
def test_an_invalid_handshake_payload_is_refused(served: Served, payload: bytes, said: str) -> None:
    with (
        flight.connect(str(served[0].address)) as client,
        pytest.raises(flight.FlightUnauthenticatedError, match=said),
    ):
        client.authenticate(Payload(payload))


def test_credentials_are_accepted_with_any_call(served: Served) -> None:
    with flight.connect(str(served[0].address)) as client:
        assert who(client, (b"authorization", header("ada", PASSWORD))) == ADA
        with pytest.raises(flight.FlightUnauthenticatedError, match="is wrong"):
            who(client, (b"authorization", header("ada", "nothing")))


def test_logins_and_failed_logins_are_logged(served: Served) -> None:
    server, calls = served
    with flight.connect(str(server.address)) as client:
        client.authenticate(Payload(flight.BasicAuth("ada", PASSWORD).serialize()))
    # A client of pyarrow that has done one aborts its process on the other.
    with flight.connect(str(server.address)) as client:
        client.authenticate_basic_token("ada", PASSWORD)
        for password in ("x", "y"):
            with pytest.raises(pa.ArrowException):
                client.authenticate(Payload(flight.BasicAuth("eve", password).serialize()))
        with pytest.raises(pa.ArrowException):
            client.authenticate_basic_token("mallory", "x")
    told = [
        (call.kind, call.principal.subject, call.what, status)
        for call, status in calls.ended
        if call.method == "handshake"
    ]
    assert told[-5:] == [
        ("Handshake", "ada", "", "ok"),
        ("Handshake", "ada", "", "ok"),
        ("Handshake", None, "eve", "unauthenticated"),
        ("Handshake", None, "eve", "unauthenticated"),
        ("unknown", None, "mallory", "unauthenticated"),
    ]


def test_without_authentication_every_handshake_gets_a_session() -> None:
    with start_server(Flights()) as server, flight.connect(str(server.address)) as client:
        assert client.authenticate_basic_token("a", "b") == (b"authorization", b"Bearer anonymous")
        client.authenticate(Payload(b"anything.at.all"))
        assert who(client) == "None None []"


def test_processes_with_one_secret_accept_each_others_sessions() -> None:
    given = Settings(jwt_secret=SecretStr(SECRET))
    token = verifier_of(given).session(authenticate(f"Bearer {signed(SECRET, sub='a')}", given))
    # Another process has other objects; the keys come from the settings alone.
    assert claims_of_session(token, signing_key(given, "sessions"))["sub"] == "a"
    other = Settings(jwt_secret=SecretStr(SECRET), session_secret=SecretStr("another " * 8))
    with pytest.raises(Unauthenticated, match="The session is not of this service"):
        authenticate(f"Bearer {token}", other)


def test_a_session_keeps_every_claim() -> None:
    given = Settings(jwt_secret=SecretStr(SECRET))
    first = authenticate(f"Bearer {signed(SECRET, sub='a', scope='x y', plan='gold')}", given)
    again = authenticate(f"Bearer {verifier_of(given).session(first)}", given)
    assert again == first
    assert again.claims["plan"] == "gold"


@pytest.mark.parametrize("kind", [int, str])
def test_a_session_expires_with_its_token_and_cannot_renew_itself(kind: type) -> None:
    given = Settings(jwt_secret=SecretStr(SECRET))
    until = int(time.time()) + 60
    first = authenticate(f"Bearer {signed(SECRET, sub='a', exp=kind(until))}", given)
    session = verifier_of(given).session(first)
    assert jwt.decode(session, options={"verify_signature": False})["exp"] == until
    again = authenticate(f"Bearer {session}", given)
    assert again.expires == until
    assert verifier_of(given).session(again) == session


def test_an_expired_or_altered_session_is_refused() -> None:
    token = session_token({"sub": "a"}, KEY, -10)
    with pytest.raises(Unauthenticated, match="The session has expired"):
        claims_of_session(token, KEY)
    with pytest.raises(Unauthenticated, match="The session is not of this service"):
        claims_of_session(session_token({"sub": "a"}, b"j" * 32, 60), KEY)


def test_the_secret_of_the_issuer_signs_no_sessions() -> None:
    given = Settings(jwt_secret=SecretStr(SECRET))
    forged = session_token({"sub": "root"}, SECRET.encode(), 60)
    with pytest.raises(Unauthenticated, match="The session is not of this service"):
        authenticate(f"Bearer {forged}", given)
