"""Servers of a benchmark, each in a separate process that ends with the benchmark."""

import secrets
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from subprocess import TimeoutExpired

import jwt
from pyarrow import flight

from local_stack.ports import distinct_free_ports
from local_stack.probes import HOST, accepts, answers
from local_stack.programs import Program, start
from tests.certificates import Authority

SECONDS = 60


@contextmanager
def running(program: Program, folder: Path) -> Iterator[int]:
    """Starts a program, waits until it is ready and stops it after the block. Yields its PID.

    Raises:
        RuntimeError: it ended or is not ready within a minute. The message has its output.
    """
    log = folder / f"{program.name}.log"
    process = start(program, log)
    try:
        deadline = time.monotonic() + SECONDS
        while not program.is_ready():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{program.title} does not answer:\n{log.read_text()}")
            time.sleep(0.05)
        yield process.pid
    finally:
        process.send_signal(program.ends_by)
        try:
            process.wait(SECONDS)
        except TimeoutExpired:
            process.kill()
            process.wait()


@dataclass(frozen=True, slots=True)
class Service:
    """A running Flight service, with tokens that it accepts."""

    flight_url: str
    http_url: str
    pid: int
    secret: str = field(repr=False)
    authority: Path | None = None
    """The certificate that the clients of a service with TLS trust."""

    @property
    def token(self) -> str:
        """The token of a principal."""
        return self.token_of("benchmark")

    def token_of(self, subject: str) -> str:
        """The token of a principal of this name."""
        claims = {
            "sub": subject,
            "tenant_id": "one",
            "roles": ["reader"],
            "scopes": ["sql", "write", "all_tenants"],
            "exp": time.time() + 86_400,
        }
        return jwt.encode(claims, self.secret)

    def connect(self) -> flight.FlightClient:
        """Opens a client connection."""
        if self.authority is None:
            return flight.connect(self.flight_url)
        return flight.connect(self.flight_url, tls_root_certs=self.authority.read_bytes())

    @property
    def options(self) -> flight.FlightCallOptions:
        """Call options with the token."""
        return flight.FlightCallOptions(
            headers=[(b"authorization", f"Bearer {self.token}".encode())]
        )


@contextmanager
def flight_service(folder: Path, settings: Mapping[str, str]) -> Iterator[Service]:
    """Starts the Flight service with these environment variables and authentication."""
    with _served(folder, ("-m", "flight_service"), settings) as service:
        yield service


@contextmanager
def table_service(folder: Path, *, has_tls: bool = False) -> Iterator[Service]:
    """Starts the server of the Flight service with one flight, a table in memory."""
    script = str(Path(__file__).parent / "baselines" / "table_service.py")
    with _served(folder, (script,), {}, has_tls=has_tls) as service:
        yield service


@contextmanager
def asset_service(folder: Path) -> Iterator[Service]:
    """Starts the server of the Flight service with one asset, in memory, of several partitions."""
    script = str(Path(__file__).parent / "baselines" / "asset_service.py")
    with _served(folder, (script,), {}) as service:
        yield service


@contextmanager
def _served(
    folder: Path, script: tuple[str, ...], settings: Mapping[str, str], *, has_tls: bool = False
) -> Iterator[Service]:
    flight_port, http_port = distinct_free_ports(2)
    secret = secrets.token_hex(32)
    flight_url, http_url = f"grpc://{HOST}:{flight_port}", f"http://{HOST}:{http_port}"
    authority = None
    if has_tls:
        flight_url = flight_url.replace("grpc", "grpc+tls")
        authority = Authority(folder)
        certificate, key = authority.sign("service")
        files = {"FRAISEQL_TLS_CERTIFICATE": str(certificate), "FRAISEQL_TLS_KEY": str(key)}
        settings = {**settings, **files}
    program = Program(
        name="flight-service-tls" if has_tls else "flight-service",
        title="The Flight service",
        command=(sys.executable, *script),
        is_ready=partial(answers, http_port, "/health"),
        environment={
            "FRAISEQL_FLIGHT_URL": flight_url,
            "FRAISEQL_HTTP_URL": http_url,
            "FRAISEQL_JWT_SECRET": secret,
            **settings,
        },
    )
    with running(program, folder) as pid:
        yield Service(flight_url, http_url, pid, secret, authority and authority.file)


@contextmanager
def baseline(folder: Path, name: str, *arguments: str) -> Iterator[int]:
    """Starts a server from `baselines`; its first argument is the port. Yields the port."""
    [port] = distinct_free_ports(1)
    path = Path(__file__).parent / "baselines" / f"{name}.py"
    program = Program(
        name=name,
        title=name,
        command=(sys.executable, str(path), str(port), *arguments),
        is_ready=partial(accepts, port),
    )
    with running(program, folder):
        yield port
