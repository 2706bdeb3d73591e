"""A plane that a setting has switched off: nothing asks for it, and everything says so."""

from collections.abc import Iterator
from contextlib import closing
from datetime import date
from typing import Any

import dagster as dg
import pytest

from flight_service.assets import Asset
from flight_service.observer_events import ObserverEvents
from flight_service.registry import registry
from fraiseql_assets.catalogue import (
    ANALYTICS_EVENTS,
    OPERATIONAL_EVENTS,
    OPERATIONAL_REQUESTS,
)
from fraiseql_assets.datasets import REQUESTS
from fraiseql_assets.defs.materialise import plane_of
from fraiseql_assets.planes import Plane, PlaneOff
from fraiseql_assets.resources import RESOURCES
from fraiseql_assets.settings import Settings, get_settings
from fraiseql_assets.setup import PLANES, open_planes, other_plane
from local_stack.elasticsearch.engines import ELASTICSEARCH
from local_stack.stack import available_planes
from sensors.ingestion import events_sensor
from sensors.nightly import verify_schedule

FED = {"analytics": ANALYTICS_EVENTS, "operational": OPERATIONAL_EVENTS}


def without(plane: str) -> Settings:
    return Settings().model_copy(update={f"{plane}_plane": False})


@pytest.fixture(params=PLANES)
def off(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The plane that is switched off for this process."""
    monkeypatch.setenv(f"FRAISEQL_{request.param.upper()}_PLANE", "false")
    get_settings.cache_clear()
    yield request.param
    get_settings.cache_clear()


@pytest.mark.parametrize("plane", PLANES)
def test_only_enabled_planes_are_opened(plane: str) -> None:
    assert [opened.name for opened in open_planes(without(plane))] == [
        name for name in PLANES if name != plane
    ]


def test_both_planes_are_enabled_by_default() -> None:
    assert [opened.name for opened in open_planes(Settings())] == list(PLANES)


@pytest.mark.parametrize("plane", PLANES)
def test_a_rebuild_does_not_use_a_disabled_plane(plane: str) -> None:
    settings = without(plane)
    [on] = open_planes(settings)
    with closing(other_plane(on, settings)) as other:
        assert other.name == plane
        assert other.ledger("log") == []
        with pytest.raises(PlaneOff, match=f"The {plane} plane is switched off"):
            other.ping()


def test_requests_need_the_operational_plane() -> None:
    [plane] = open_planes(Settings(), REQUESTS)
    assert (plane.name, plane.dataset) == ("operational", REQUESTS)
    with closing(other_plane(plane, Settings())) as other:
        assert (other.name, other.dataset) == ("operational", REQUESTS)
    assert open_planes(without("operational"), REQUESTS) == []


def test_a_run_of_a_disabled_plane_fails_without_retries(off: str) -> None:
    with pytest.raises(dg.Failure, match=f"{off} plane is switched off") as caught:
        plane_of(FED[off], without(off))
    assert caught.value.allow_retries is False


def test_the_sensor_of_a_disabled_plane_skips_with_the_reason(off: str) -> None:
    def unexpected_connect(_: Settings) -> Plane:
        raise AssertionError("the plane is off")

    sensor = events_sensor(
        FED[off],
        "op",
        "job",
        unexpected_connect,
        first_day=date(2026, 1, 1),
        status=dg.DefaultSensorStatus.RUNNING,
    )
    with dg.DagsterInstance.ephemeral() as instance:
        skipped = sensor(dg.build_sensor_context(instance=instance, resources=RESOURCES))
    assert isinstance(skipped, dg.SkipReason)
    assert f"{off} plane is switched off" in str(skipped.skip_message)


def test_the_verification_of_a_disabled_plane_skips_with_the_reason(off: str) -> None:
    schedule = verify_schedule(FED[off], "op", "job", dg.DefaultScheduleStatus.RUNNING)
    skipped = schedule(dg.build_schedule_context())
    assert isinstance(skipped, dg.SkipReason)
    assert f"{off} plane is switched off" in str(skipped.skip_message)


def test_assets_of_a_disabled_plane_are_refused_with_the_reason(off: str) -> None:
    served = registry(without(off))
    principal: Any = None
    listed = {each.name for each in served.listings[0](principal)}
    assert f"{off}/events" not in listed
    assert (OPERATIONAL_REQUESTS.key in listed) == (off != OPERATIONAL_REQUESTS.plane)
    assert "stream/events" in listed
    with pytest.raises(PlaneOff, match=f"FRAISEQL_{off.upper()}_PLANE"):
        served.resolvers[Asset](Asset(asset=f"{off}/events"), principal)


def test_observer_events_are_refused_while_the_analytics_plane_is_disabled() -> None:
    served = registry(without("analytics"))
    principal: Any = None
    with pytest.raises(PlaneOff, match="analytics"):
        served.resolvers[ObserverEvents](ObserverEvents(), principal)


@pytest.mark.parametrize("plane", PLANES)
def test_the_local_stack_starts_without_a_disabled_plane(plane: str) -> None:
    said: list[str] = []
    planes = available_planes(without(plane), ELASTICSEARCH, said.append)
    assert planes == tuple(name for name in PLANES if name != plane)
    assert said == []
