"""A run notices its termination, and runs that wait for its plane."""

import time
from collections.abc import Iterator

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from fraiseql_assets import runs
from fraiseql_assets.defs.run_control import RunControl, RunEnded, retried
from fraiseql_assets.runs import PLANE_TAG, waiting_run

ANALYTICS = {PLANE_TAG: "analytics"}


class ServerFailed(Exception):
    """An error that a retry can fix."""


class Mistyped(Exception):
    """An error that no retry can fix."""


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def started(instance: dg.DagsterInstance, **tags: str) -> dg.DagsterRun:
    return create_run_for_test(instance, status=dg.DagsterRunStatus.STARTED, tags=tags)


def test_a_running_run_continues(instance: dg.DagsterInstance) -> None:
    RunControl(instance, started(instance).run_id, "analytics").checkpoint()


def test_a_run_that_is_failed_in_dagster_stops(instance: dg.DagsterInstance) -> None:
    run = started(instance)
    instance.report_run_failed(run)
    with pytest.raises(RunEnded, match="it stops"):
        RunControl(instance, run.run_id, "analytics").checkpoint()


@pytest.mark.parametrize("end", ["report_run_canceling", "report_run_canceled"])
def test_a_terminated_run_is_interrupted(instance: dg.DagsterInstance, end: str) -> None:
    run = started(instance)
    getattr(instance, end)(run)
    with pytest.raises(dg.DagsterExecutionInterruptedError):
        RunControl(instance, run.run_id, "analytics").checkpoint()


def test_a_run_ends_only_for_a_waiting_run_of_its_plane(instance: dg.DagsterInstance) -> None:
    run = create_run_for_test(instance, status=dg.DagsterRunStatus.STARTED, tags=ANALYTICS)
    create_run_for_test(
        instance, status=dg.DagsterRunStatus.STARTING, tags={PLANE_TAG: "operational"}
    )
    assert RunControl(instance, run.run_id, "analytics").reason_to_end() is None
    create_run_for_test(
        instance,
        status=dg.DagsterRunStatus.STARTING,
        asset_selection=frozenset({dg.AssetKey(["analytics", "events"])}),
    )
    reason = RunControl(instance, run.run_id, "analytics").reason_to_end()
    assert reason is not None
    assert "waits for the pool analytics" in reason


def test_runs_of_requests_and_of_events_do_not_wait_for_each_other(
    instance: dg.DagsterInstance,
) -> None:
    run = started(instance)
    create_run_for_test(
        instance,
        status=dg.DagsterRunStatus.STARTING,
        asset_selection=frozenset({dg.AssetKey(["operational", "requests"])}),
    )
    assert RunControl(instance, run.run_id, "operational").reason_to_end() is None
    assert RunControl(instance, run.run_id, "operational_requests").reason_to_end() is not None


def test_a_run_ends_for_a_run_of_both_planes_only_at_intervals(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = frozenset(dg.AssetKey([plane, "events"]) for plane in ("analytics", "operational"))
    waiting = create_run_for_test(
        instance, status=dg.DagsterRunStatus.STARTING, asset_selection=both
    )
    created = time.time()
    seen = {}
    for age in (10, 40, 290, 310, 340):
        monkeypatch.setattr(runs.time, "time", lambda age=age: created + age)
        seen[age] = waiting_run(instance, "analytics") == waiting.run_id
    assert seen == {10: True, 40: False, 290: False, 310: True, 340: False}


def test_only_transient_errors_are_retried() -> None:
    errors = ((ServerFailed,), (Mistyped,))
    with pytest.raises(dg.RetryRequested), retried(*errors):
        raise ServerFailed
    for error in (Mistyped("no range"), RunEnded("cancelled")):
        with pytest.raises(dg.Failure) as failure, retried(*errors):
            raise error
        assert not failure.value.allow_retries


def test_an_interrupt_is_not_retried() -> None:
    with pytest.raises(KeyboardInterrupt), retried((ServerFailed,), (Mistyped,)):
        raise KeyboardInterrupt
