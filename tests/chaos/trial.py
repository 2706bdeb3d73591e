"""One trial: publishes known events, injects faults, and compares the result."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from fraiseql_assets.cli.status import Overview, collect_status
from fraiseql_assets.pipeline.verify import Verdict, verify_day
from fraiseql_assets.planes import Plane, PlaneError
from fraiseql_assets.setup import open_planes
from fraiseql_assets.stream.connection import LogError, connect
from fraiseql_assets.stream.log import Log
from fraiseql_assets.stream.publish import publish
from tests.chaos.comparison import PublishedEvents
from tests.chaos.dagster import ask_for_rebuild, has_ended
from tests.chaos.dead_letters import last_dead_letter, wrong_dead_letters
from tests.chaos.faults import InjectedFault, inject
from tests.chaos.lab import Lab
from tests.chaos.plan import Fault, Plan
from tests.chaos.steps import END_STEPS
from tests.chaos.traffic import Traffic, traffic
from tests.chaos.watcher import Watcher
from tests.stacks import wait_for_midnight

BOUND_SECONDS = 180.0
"""The longest time that a plane may need to be up to date again without intervention."""
PUBLISH_SECONDS = 60.0
"""The longest time that the log may refuse messages without intervention."""
SHOWN = 10
LOST_SECONDS = 20.0
ASKED_AGAIN = "rebuild requested again, its retry lost"
LONGEST = timedelta(minutes=5)
"""Longer than any trial takes."""


@dataclass(slots=True)
class Outcome:
    """The result of a trial."""

    seed: int
    events: int
    messages: int
    step: str
    killed_at_step: bool
    """Whether a run reached the step and was killed there."""
    injected: list[InjectedFault]
    recovered_seconds: float
    """From the last event or fault, whichever was later, until both planes were up to date."""
    seconds: float
    differences: list[str] = field(default_factory=list)

    @property
    def held(self) -> bool:
        return not self.differences

    def __str__(self) -> str:
        step = f"kill {self.step}{'' if self.killed_at_step else ' (did not happen)'}"
        done = "; ".join([step, *map(str, self.injected)])
        wrong = "; ".join(self.differences[:SHOWN])
        more = f" and {len(self.differences) - SHOWN} more" if len(self.differences) > SHOWN else ""
        return (
            f"seed {self.seed}  {self.events:,} events  {done}  "
            f"up again after {self.recovered_seconds:.1f} s of {self.seconds:.1f} s  "
            f"{'ok' if self.held else f'FAILED: {wrong}{more}'}"
        )

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "held": self.held}


def run_trial(lab: Lab, plan: Plan, published: PublishedEvents) -> Outcome:
    """Executes a plan. The outcome lists everything that failed; nothing is raised."""
    wait_for_midnight(LONGEST)
    began, since = time.monotonic(), datetime.now(UTC)
    told = traffic(plan.seed, plan.events, lab.settings.subject_prefix)
    last_known = last_dead_letter(lab.settings)
    lab.traps.set(plan.step)
    differences: list[str] = []
    with ExitStack() as held:
        watcher = held.enter_context(Watcher(lab.settings)) if plan.step.rebuilds else None
        publishing = _aside(lambda: _publish(lab, told, plan.rate))
        rebuilding = _aside(lambda: _rebuild(lab, plan)) if plan.step.rebuilds else None
        started = time.monotonic()
        injected = [_do(lab, fault, started) for fault in plan.faults]
        for work in filter(None, (publishing, rebuilding)):
            differences += _failure(work)
        published.ids |= told.ids
        over = time.monotonic()
        differences += _await_head(lab, plan, since, injected, started)
        recovered = time.monotonic() - over
        if watcher and "kill elasticsearch" not in map(str, plan.faults):
            differences += watcher.shrunk
    killed = lab.traps.has_fired(plan.step)
    lab.traps.clear()
    _take_back_cuts(lab, injected)
    try:
        differences += published.differences(lab.settings)
        differences += wrong_dead_letters(lab.settings, last_known, told.malformed)
        differences += _checks(lab)
    except Exception as error:
        # A server that still does not answer fails the trial, not the campaign.
        differences.append(f"cannot be compared: {type(error).__name__}: {error}")
    return Outcome(
        seed=plan.seed,
        events=len(told.ids),
        messages=len(told.messages),
        step=str(plan.step),
        killed_at_step=killed,
        injected=injected,
        recovered_seconds=round(recovered, 1),
        seconds=round(time.monotonic() - began, 1),
        differences=differences,
    )


def _aside(work: Callable[[], None]) -> Future[None]:
    """Runs work in a daemon thread. An interrupted trial does not wait for it, unlike a pool."""
    done: Future[None] = Future()

    def run_trial() -> None:
        try:
            done.set_result(work())
        except Exception as error:
            done.set_exception(error)

    threading.Thread(target=run_trial, daemon=True).start()
    return done


def _do(lab: Lab, fault: Fault, started: float) -> InjectedFault:
    time.sleep(max(0.0, started + fault.at - time.monotonic()))
    return inject(lab, fault, started)


def _publish(lab: Lab, told: Traffic, rate: float) -> None:
    """Publishes all messages. Publishes unacknowledged messages again with the same id."""

    async def all_of_it() -> None:
        async with connect(lab.settings, name="chaos", reconnect_seconds=60) as client:
            await publish(client, told.messages, rate=rate)

    deadline = time.monotonic() + PUBLISH_SECONDS
    while time.monotonic() < deadline:
        try:
            return asyncio.run(all_of_it())
        except LogError:
            rate = 10 * rate
            time.sleep(0.5)
    return asyncio.run(all_of_it())


def _rebuild(lab: Lab, plan: Plan) -> None:
    time.sleep(plan.rebuild_at)
    ask_for_rebuild(lab.settings, plan.step.plane, datetime.now(UTC).date(), f"{plan.seed}")


def _failure(work: Future[None]) -> Iterator[str]:
    error = work.exception()
    if error:
        yield f"{type(error).__name__}: {error}"


def _await_head(
    lab: Lab, plan: Plan, since: datetime, injected: list[InjectedFault], started: float
) -> Iterator[str]:
    """Waits until both planes are up to date. Yields what is stuck if they are not.

    If a run is killed before it has begun anything, Dagster may lose the retry: its daemon looks
    between the two writes that mark a run as failed. The rebuild is then requested again, as a user
    would do.
    """
    deadline, rebuilt, lost_at = time.monotonic() + BOUND_SECONDS, False, 0.0
    while time.monotonic() < deadline:
        status = collect_status(lab.settings)
        rebuilt = not plan.step.rebuilds or _is_rebuilt(lab, plan, since)
        if rebuilt and _is_up(status) and not (_awaits_end(lab, plan) and status.runs):
            return
        is_lost = not rebuilt and _is_up(status) and has_ended(lab.settings, f"{plan.seed}")
        lost_at = (lost_at or time.monotonic()) if is_lost else 0.0
        if is_lost and time.monotonic() - lost_at > LOST_SECONDS:
            _rebuild(lab, plan)
            injected.append(InjectedFault(ASKED_AGAIN, time.monotonic() - started, happened=True))
            lost_at = 0.0
        time.sleep(1.0)
    rebuild = "" if rebuilt else "the day has not been rebuilt, "
    stuck = _stuck(collect_status(lab.settings))
    yield f"not up to date after {BOUND_SECONDS:.0f} s: {rebuild}{stuck}"


def _awaits_end(lab: Lab, plan: Plan) -> bool:
    """Whether the step comes at the end of a run and has not come yet."""
    return plan.step.name in END_STEPS and not lab.traps.has_fired(plan.step)


def _is_rebuilt(lab: Lab, plan: Plan, since: datetime) -> bool:
    """Whether the day has been replaced: by the requested run, by its retry, or by a run of the
    sensor, which sees a replacement that was begun."""
    today = datetime.now(UTC).date()
    found = False
    for plane in open_planes(lab.settings):
        with closing(plane), suppress(PlaneError):
            found |= plane.name == plan.step.plane and any(
                (entry.kind, entry.state) == ("partition", "committed") and entry.at > since
                for entry in plane.ledger(lab.settings.stream, today)
            )
    return found


def _is_up(status: Overview) -> bool:
    return status.healthy and not any(plane.behind or plane.begun for plane in status.planes)


def _stuck(status: Overview) -> str:
    planes = ", ".join(
        f"{plane.plane} {plane.error or f'behind {plane.behind}, begun {plane.begun}'}"
        for plane in status.planes
    )
    runs = ", ".join(f"{run.run} {run.status} {run.range}" for run in status.runs) or "no run"
    return f"{planes}; {runs}; {status.log.error or ''} {status.dagster_error or ''}".strip()


def _take_back_cuts(lab: Lab, injected: list[InjectedFault]) -> None:
    for fault in injected:
        word, _, rest = fault.what.partition(" ")
        if word == "cut":
            fault.happened = lab.proxies[rest.split()[0]].take_back()


def _checks(lab: Lab) -> Iterator[str]:
    """Failures of the project's own checks for the day."""
    with Log(lab.settings, name="chaos") as log:
        for plane in open_planes(lab.settings):
            with closing(plane):
                verdict = _settled_verdict(lab, plane, log)
            if not verdict.is_complete:
                yield f"{plane.name}'s own checks fail: {verdict}"


def _settled_verdict(lab: Lab, plane: Plane, log: Log) -> Verdict:
    """The day's verdict: the first that is complete, or one with no run before and after it.

    A day whose replacement was killed is replaced by a run of the sensor and by Dagster's retry.
    The second may begin when both planes are already up to date, and until it ends, no message of
    the day counts as read.
    """
    deadline = time.monotonic() + BOUND_SECONDS
    while True:
        was_idle = _is_idle(lab)
        verdict = verify_day(plane, log, datetime.now(UTC).date())
        is_idle = was_idle and _is_idle(lab)
        if verdict.is_complete or is_idle or time.monotonic() > deadline:
            return verdict
        time.sleep(1.0)


def _is_idle(lab: Lab) -> bool:
    status = collect_status(lab.settings)
    return _is_up(status) and not status.runs
