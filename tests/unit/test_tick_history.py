"""Old ticks that requested nothing are deleted, and no others."""

import time
from collections.abc import Iterator

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    InProcessCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    TickData,
    TickStatus,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster_shared.error import SerializableErrorInfo

from sensors.tick_history import delete_skipped_ticks

HOUR = 3600.0
OURS, ANOTHER = "ours", "another"
FAILED = SerializableErrorInfo("The plane does not answer.", [], None)


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("dagster"))) as instance:
        yield instance


def ticked(
    instance: dg.DagsterInstance,
    *ticks: tuple[TickStatus, float],
    sensor: str,
    repository: str = OURS,
) -> InstigatorState:
    """A sensor with ticks of a status, that many hours ago."""
    location = InProcessCodeLocationOrigin(LoadableTargetOrigin(module_name=repository))
    origin = RemoteRepositoryOrigin(location, repository).get_instigator_origin(sensor)
    assert isinstance(origin, RemoteInstigatorOrigin)
    state = InstigatorState(origin, InstigatorType.SENSOR, InstigatorStatus.RUNNING)
    instance.add_instigator_state(state)
    for status, hours in ticks:
        instance.create_tick(
            TickData(
                state.instigator_origin_id,
                sensor,
                InstigatorType.SENSOR,
                status,
                time.time() - HOUR * hours,
                run_ids=[],
                error=FAILED if status is TickStatus.FAILURE else None,
                selector_id=state.selector_id,
            )
        )
    return state


def left(instance: dg.DagsterInstance, state: InstigatorState) -> list[TickStatus]:
    return [
        tick.status for tick in instance.get_ticks(state.instigator_origin_id, state.selector_id)
    ]


def test_skipped_ticks_are_kept_for_the_hours_given(instance: dg.DagsterInstance) -> None:
    state = ticked(instance, (TickStatus.SKIPPED, 3), (TickStatus.SKIPPED, 2), sensor="a")
    delete_skipped_ticks(instance, OURS, ["a"], hours=2.5)
    assert left(instance, state) == [TickStatus.SKIPPED]


def test_ticks_that_requested_or_failed_are_left_to_dagster(instance: dg.DagsterInstance) -> None:
    others = [TickStatus.SUCCESS, TickStatus.FAILURE, TickStatus.STARTED]
    state = ticked(instance, *((status, 3) for status in others), sensor="b")
    delete_skipped_ticks(instance, OURS, ["b"], hours=1)
    assert {*left(instance, state)} == {*others}


@pytest.mark.parametrize(
    "given", [{"repository": ANOTHER, "sensor": "c"}, {"sensor": ANOTHER}], ids=str
)
def test_sensors_of_others_keep_their_ticks(
    instance: dg.DagsterInstance, given: dict[str, str]
) -> None:
    state = ticked(instance, (TickStatus.SKIPPED, 3), **given)
    delete_skipped_ticks(instance, OURS, ["c"], hours=1)
    assert left(instance, state) == [TickStatus.SKIPPED]
