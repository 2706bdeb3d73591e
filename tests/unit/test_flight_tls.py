"""TLS and mutual TLS, over Flight and HTTP, and what is said of files that do not fit."""

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import adbc_driver_flightsql.dbapi as flightsql
import adbc_driver_manager
import pyarrow as pa
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import ec
from pyarrow import flight
from pydantic import SecretStr

from flight_service.addresses import Address
from flight_service.errors import SettingError
from flight_service.http import HttpServer, application
from flight_service.identity.passwords import hashed
from flight_service.identity.users import User, write_users
from flight_service.registry import registry
from flight_service.server import FlightServer
from flight_service.sql.commands import pack
from flight_service.sql.protocol import FlightSql_pb2 as protocol
from flight_service.tls import Tls, tls_of
from fraiseql_assets.cli.flight_client import FlightProblem, health
from fraiseql_assets.settings import Settings
from tests.certificates import Authority, private
from tests.tokens import signed
from tests.unit.flight_server import SECRET, Flights, start_server

FLIGHT = Address("grpc+tls", "127.0.0.1", 0, "FRAISEQL_FLIGHT_URL")
HTTP = Address("https", "127.0.0.1", 0, "FRAISEQL_HTTP_URL")
PLAIN = Address("grpc", "127.0.0.1", 0, "FRAISEQL_FLIGHT_URL")


class Files:
    """An authority, another, a certificate of the service's and one of a client's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority, self.other = Authority(folder), Authority(folder, "other")
        self.service, self.client = self.authority.sign("service"), self.authority.sign("client")
        self.stranger = self.other.sign("stranger")

    def settings(self, **changes: Any) -> Settings:
        certificate, key = self.service
        return Settings.model_validate({"tls_certificate": certificate, "tls_key": key, **changes})

    def mutual(self) -> Settings:
        return self.settings(tls_client_ca=self.authority.file)

    def tls(self, settings: Settings) -> Tls:
        found = tls_of(settings, FLIGHT, HTTP)
        assert found is not None
        return found


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("certificates"))


def listed(
    url: str,
    files: Files,
    pair: tuple[Path, Path] | None = None,
    *,
    trusting: Authority | None = None,
) -> list[Any]:
    root = (trusting or files.authority).file
    options: dict[str, Any] = {"tls_root_certs": root.read_bytes()}
    if pair is not None:
        options |= {"cert_chain": pair[0].read_bytes(), "private_key": pair[1].read_bytes()}
    with flight.connect(url, **options) as client:
        return list(client.list_actions(flight.FlightCallOptions(timeout=10)))


def test_flight_is_encrypted(files: Files) -> None:
    with start_server(Flights(), tls=files.tls(files.settings())) as server:
        url = str(server.address)
        assert url.startswith("grpc+tls://")
        assert listed(url, files)
        with pytest.raises(pa.ArrowException):
            listed(url.replace("grpc+tls", "grpc"), files)
        with pytest.raises(flight.FlightUnavailableError):
            listed(url, files, trusting=files.other)


def test_endpoints_have_a_tls_address(files: Files) -> None:
    with start_server(Flights(), tls=files.tls(files.settings())) as server:
        root = files.authority.file.read_bytes()
        with flight.connect(str(server.address), tls_root_certs=root) as client:
            descriptor = flight.FlightDescriptor.for_command(b'{"type":"Made","kind":"rows"}')
            [first, *_] = client.get_flight_info(descriptor).endpoints
            assert first.locations[0].uri == str(server.address).encode()
            assert client.do_get(first.ticket).read_all().num_rows == 3


def test_mutual_tls_accepts_only_clients_of_the_authority(files: Files) -> None:
    with start_server(Flights(), tls=files.tls(files.mutual())) as server:
        assert listed(str(server.address), files, files.client)
        for pair in (None, files.stranger):
            with pytest.raises(flight.FlightUnavailableError):
                listed(str(server.address), files, pair)


def test_tokens_are_checked_in_addition_to_certificates(files: Files) -> None:
    tls = files.tls(files.mutual())
    with (
        start_server(Flights(), tls=tls, jwt_secret=SECRET) as server,
        pytest.raises(flight.FlightUnauthenticatedError, match="Send the header"),
    ):
        listed(str(server.address), files, files.client)


@pytest.fixture
def serve(files: Files) -> Iterator[Callable[[Settings], str]]:
    """Serves `/health` over HTTP with the settings. Returns its address."""
    started: list[HttpServer] = []

    def serve_it(settings: Settings) -> str:
        bound = HTTP.listen()
        served = application((), settings)
        started.append(HttpServer(bound, served, tls=files.tls(settings).context))
        return f"{HTTP.with_port(bound.getsockname()[1])}/health"

    yield serve_it
    for server in started:
        assert server.stop(10)


def get(url: str, **options: Any) -> str:
    """The status that `/health` says. Leaves no connection open, which stopping waits for."""
    with requests.Session() as session:
        found = session.get(url, timeout=10, headers={"connection": "close"}, **options)
        return found.json()["status"]


def test_http_is_encrypted(files: Files, serve: Callable[[Settings], str]) -> None:
    url = serve(files.settings())
    answer = get(url, verify=str(files.authority.file))
    assert answer == "healthy"
    with pytest.raises(requests.exceptions.SSLError):
        get(url, verify=str(files.other.file))
    with pytest.raises(requests.exceptions.ConnectionError):
        get(url.replace("https", "http"))


def test_http_accepts_only_clients_of_the_authority(
    files: Files, serve: Callable[[Settings], str]
) -> None:
    url, root = serve(files.mutual()), str(files.authority.file)
    pair = tuple(map(str, files.client))
    assert get(url, verify=root, cert=pair) == "healthy"
    for cert in (None, tuple(map(str, files.stranger))):
        with pytest.raises(requests.exceptions.ConnectionError):
            get(url, verify=root, cert=cert)


def test_old_tls_versions_are_refused(files: Files) -> None:
    assert files.tls(files.settings()).context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_the_command_line_uses_its_authorities_and_certificate(files: Files) -> None:
    with start_server(Flights(), tls=files.tls(files.mutual()), jwt_secret=SECRET) as server:
        called = Settings.model_validate(
            {
                "flight_url": str(server.address),
                "flight_token": SecretStr(signed(SECRET)),
                "flight_ca_file": files.authority.file,
                "flight_client_certificate": files.client[0],
                "flight_client_key": files.client[1],
            }
        )
        assert health(called)["status"] == "healthy"
        missing = called.model_copy(update={"flight_ca_file": files.folder / "nothing.pem"})
        with pytest.raises(FlightProblem, match=r"FRAISEQL_FLIGHT_CA_FILE: .* cannot be read: No"):
            health(missing)


def test_the_command_line_reports_an_untrusted_certificate(files: Files) -> None:
    with start_server(Flights(), tls=files.tls(files.settings())) as server:
        called = Settings.model_validate(
            {"flight_url": str(server.address), "flight_ca_file": files.other.file}
        )
        with pytest.raises(FlightProblem, match=r"is not trusted\. Set FRAISEQL_FLIGHT_CA_FILE"):
            health(called)


def encrypted(files: Files) -> Path:
    path = files.folder / "encrypted.key"
    path.write_bytes(private(ec.generate_private_key(ec.SECP256R1()), b"password"))
    return path


def garbage(files: Files) -> Path:
    (path := files.folder / "garbage.pem").write_text("nothing")
    return path


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (lambda files: {"tls_key": None}, "FRAISEQL_TLS_KEY is not set, and an address has TLS"),
        (lambda files: {"tls_certificate": None}, "FRAISEQL_TLS_CERTIFICATE is not set"),
        (
            lambda files: {"tls_certificate": files.folder / "none"},
            "FRAISEQL_TLS_CERTIFICATE: .* cannot be read: No such file",
        ),
        (lambda files: {"tls_key": files.folder}, "FRAISEQL_TLS_KEY: .* cannot be read: Is a dir"),
        (lambda files: {"tls_key": files.client[1]}, "is not the key of the first certificate"),
        (lambda files: {"tls_key": garbage(files)}, "are no certificate and key in PEM"),
        (lambda files: {"tls_certificate": garbage(files)}, "are no certificate and key in PEM"),
        (lambda files: {"tls_key": encrypted(files)}, "is encrypted. Give a key without"),
        (lambda files: {"tls_client_ca": garbage(files)}, "FRAISEQL_TLS_CLIENT_CA: .* has no cert"),
        (
            lambda files: {"tls_client_ca": files.folder / "none"},
            "FRAISEQL_TLS_CLIENT_CA: .* cannot be read: No such file",
        ),
    ],
)
def test_invalid_certificate_files_name_the_setting(
    files: Files, changes: Callable[[Files], dict[str, Any]], said: str
) -> None:
    with pytest.raises(SettingError, match=said):
        tls_of(files.settings(**changes(files)), FLIGHT, HTTP)


def test_a_certificate_without_tls_is_refused(files: Files) -> None:
    with pytest.raises(SettingError, match=r"FRAISEQL_TLS_CERTIFICATE is set, but .*grpc://"):
        tls_of(files.settings(), PLAIN)
    assert tls_of(Settings(), PLAIN) is None


PASSWORD = "correct horse"


@pytest.fixture(scope="module", params=["TLS", "mutual TLS"])
def sql_service(
    request: pytest.FixtureRequest, files: Files, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[FlightServer, dict[str, bytes]]]:
    """Flight SQL behind tokens and passwords, and the certificates that its clients need."""
    users = tmp_path_factory.mktemp("users") / "users.json"
    write_users(users, {"ada": User(hashed(PASSWORD, cost=16), "acme", (), ("sql",))})
    known: dict[str, Any] = {"jwt_secret": SecretStr(SECRET), "users_file": users}
    is_mutual = request.param == "mutual TLS"
    if is_mutual:
        known["tls_client_ca"] = files.authority.file
    settings = files.settings(**known, request_log=False)
    given = {"tls_root_certs": files.authority.file.read_bytes()}
    if is_mutual:
        certificate, key = files.client
        given |= {"cert_chain": certificate.read_bytes(), "private_key": key.read_bytes()}
    server = FlightServer(FLIGHT, settings, registry(settings), tls=files.tls(settings))
    yield server, given
    server.stop(5)


def test_pyarrow_logs_in_over_tls(sql_service: tuple[FlightServer, dict[str, bytes]]) -> None:
    server, certificates = sql_service
    with flight.connect(str(server.address), **certificates) as client:
        bearer = b"authorization", f"Bearer {signed(SECRET, scopes=['sql'])}".encode()
        for header in (bearer, client.authenticate_basic_token("ada", PASSWORD)):
            options = flight.FlightCallOptions(headers=[header], timeout=10)
            command = flight.FlightDescriptor.for_command(pack(protocol.CommandGetSqlInfo()))
            [endpoint] = client.get_flight_info(command, options).endpoints
            assert client.do_get(endpoint.ticket, options).read_all().num_rows


ADBC_NAMES = {
    "tls_root_certs": "adbc.flight.sql.client_option.tls_root_certs",
    "cert_chain": "adbc.flight.sql.client_option.mtls_cert_chain",
    "private_key": "adbc.flight.sql.client_option.mtls_private_key",
}


@pytest.mark.parametrize(
    "login",
    [
        {"username": "ada", "password": PASSWORD},
        {"adbc.flight.sql.authorization_header": f"Bearer {signed(SECRET, scopes=['sql'])}"},
    ],
    ids=["password", "bearer"],
)
def test_adbc_logs_in_over_tls(
    sql_service: tuple[FlightServer, dict[str, bytes]], login: dict[str, str]
) -> None:
    server, certificates = sql_service
    options = {ADBC_NAMES[name]: pem.decode() for name, pem in certificates.items()}
    url = str(server.address)
    with flightsql.connect(url, db_kwargs={**options, **login}, autocommit=True) as connection:
        assert connection.adbc_get_info()["vendor_name"] == "FraiseQL"


def test_adbc_without_the_certificates_is_refused(
    sql_service: tuple[FlightServer, dict[str, bytes]],
) -> None:
    server, certificates = sql_service
    needed = "private_key" in certificates
    options = {ADBC_NAMES["tls_root_certs"]: certificates["tls_root_certs"].decode()}
    for given in ({}, *([options] if needed else [])):
        with (
            pytest.raises(adbc_driver_manager.Error),
            flightsql.connect(str(server.address), db_kwargs=given, autocommit=True) as connection,
        ):
            connection.adbc_get_table_types()
