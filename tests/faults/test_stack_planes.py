"""A stack without the operational plane, since its server cannot be fetched: the rest works."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import invoke
from pyarrow import flight
from stacks import Stack, own_folder, wait_until, whole
from typer.testing import Result

from fraiseql_assets.stream.publish import publish_generated

pytestmark = pytest.mark.timeout(240)

EVENTS = 20
NO_MAVEN = (
    "<settings><mirrors><mirror><id>none</id><mirrorOf>*</mirrorOf>"
    "<url>http://127.0.0.1:1</url></mirror></mirrors></settings>"
)


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A stack on a machine that reaches no Maven repository and has fetched nothing yet."""
    with pytest.MonkeyPatch.context() as patch, own_folder() as folder:
        home = folder / "home"
        (home / ".m2").mkdir(parents=True)
        (home / ".m2" / "settings.xml").write_text(NO_MAVEN)
        patch.setenv("HOME", str(home))
        patch.setenv("XDG_CACHE_HOME", str(home / "cache"))
        patch.delenv("M2_REPO", raising=False)
        with whole(folder / "data") as stack:
            yield stack


def command(stack: Stack, *words: str) -> Result:
    return invoke(variables(stack.folder), *words)


def variables(folder: Path) -> dict[str, str]:
    lines = (folder / "endpoints.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


def test_the_reason_is_one_line(stack: Stack) -> None:
    printed = stack.printed.read_text()
    assert "cannot be fetched from Maven Central" in printed
    assert "there is no operational plane" in printed
    assert stack.settings.operational_plane is False


def test_doctor_and_status_pass_and_show_the_disabled_plane(stack: Stack) -> None:
    doctor = command(stack, "doctor")
    assert doctor.exit_code == 0, doctor.stdout
    assert "operational plane is switched off" in " ".join(doctor.stdout.split())
    status = command(stack, "status", "--json")
    assert status.exit_code == 0, status.stdout
    planes = {plane["plane"]: plane["off"] for plane in json.loads(status.stdout)["planes"]}
    assert planes == {"analytics": False, "operational": True}
    assert "switched off" in command(stack, "status").stdout


def test_events_are_ingested_into_the_other_plane(stack: Stack) -> None:
    asyncio.run(publish_generated(stack.settings, count=EVENTS, shape="observer", seed=1))
    with flight.connect(stack.settings.flight_url) as client:

        def arrived() -> int:
            path = flight.FlightDescriptor.for_path("analytics", "events")
            ends = client.get_flight_info(path).endpoints
            return sum(client.do_get(end.ticket).read_all().num_rows for end in ends)

        wait_until(lambda: arrived() == EVENTS, stack.printed)


def test_the_flight_service_reports_the_disabled_plane(stack: Stack) -> None:
    path = flight.FlightDescriptor.for_path("operational", "events")
    with (
        flight.connect(stack.settings.flight_url) as client,
        pytest.raises(flight.FlightUnavailableError, match="operational plane is switched off"),
    ):
        client.get_flight_info(path)
