"""What the Flight service listens on, and when it refuses to start."""

import json
import subprocess
import sys

import pytest
import requests
from flights import FREE, NOWHERE, SECONDS, environment, serving, serving_alone
from pyarrow import flight
from pydantic import SecretStr
from tokens import signed

from fraiseql_assets.settings import Settings

SECRET = "a secret of at least thirty-two characters"


def ended(**changes: object) -> subprocess.CompletedProcess[str]:
    """A service that is expected to end by itself."""
    return subprocess.run(
        [sys.executable, "-m", "flight_service"],
        env=environment(Settings.model_validate({**NOWHERE, **FREE, **changes})),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def test_a_port_in_use_is_reported() -> None:
    with serving(Settings(**NOWHERE)) as service:
        for name in FREE:
            taken = getattr(service.settings, name)
            done = ended(**{name: taken})
            assert done.returncode == 4
            assert done.stderr == (
                f"✗ Cannot listen on {taken}: Address already in use. End what listens there, or "
                f"set FRAISEQL_{name.upper()} to another address.\n"
            )


def test_an_invalid_address_is_reported() -> None:
    done = ended(flight_url="127.0.0.1:50051")
    assert done.returncode == 2
    assert "FRAISEQL_FLIGHT_URL is '127.0.0.1:50051'. Write grpc://host:port" in done.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]"])
def test_a_service_without_tokens_listens_only_on_loopback(host: str) -> None:
    done = ended(flight_url=f"grpc://{host}:0", http_url=f"http://{host}:0")
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    for line, name, scheme in zip(lines, FREE, ("grpc", "http"), strict=True):
        reached = f"✗ FRAISEQL_{name.upper()} is {scheme}://{host}:0, which other machines reach"
        assert line.startswith(reached)
        assert "FRAISEQL_ALLOW_UNAUTHENTICATED=true" in line


def test_with_permission_a_service_without_tokens_listens_on_other_interfaces() -> None:
    with serving_alone(
        Settings(**NOWHERE, allow_unauthenticated=True), flight_url="grpc://0.0.0.0:0"
    ) as service:
        assert service.settings.flight_url.startswith("grpc://0.0.0.0:")


def test_with_a_secret_only_calls_with_valid_tokens_are_served_on_other_interfaces() -> None:
    settings = Settings(**NOWHERE, jwt_secret=SecretStr(SECRET))
    token = signed(SECRET, sub="ada").encode()
    options = flight.FlightCallOptions(headers=[(b"authorization", b"Bearer " + token)])
    with serving_alone(settings, flight_url="grpc://0.0.0.0:0") as service:
        assert service.settings.flight_url.startswith("grpc://0.0.0.0:")
        with pytest.raises(flight.FlightUnauthenticatedError, match="authorization: Bearer"):
            list(service.client.do_action("HealthCheck"))
        [answer] = service.client.do_action("HealthCheck", options)
        assert json.loads(answer.body.to_pybytes())["status"] == "healthy"
        assert requests.get(f"{service.settings.http_url}/health", timeout=SECONDS).ok
