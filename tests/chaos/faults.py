"""Injects the faults of a plan into a stack."""

import asyncio
import random
import signal
import time
from contextlib import closing, suppress
from dataclasses import dataclass

import psutil
from nats.errors import Error as NatsError

from fraiseql_assets.planes import PlaneError
from fraiseql_assets.setup import PLANES, open_planes
from fraiseql_assets.stream.connection import LogError, connect
from tests.chaos.dagster import terminate_run
from tests.chaos.disk import fill
from tests.chaos.lab import Lab
from tests.chaos.plan import Fault
from tests.chaos.proxy import Cut

PROCESS_SECONDS = 15.0
"""Seconds to wait for the process that a fault targets."""


@dataclass(slots=True)
class InjectedFault:
    """A fault that was injected or attempted."""

    what: str
    at: float
    """Seconds from the first event."""
    happened: bool

    def __str__(self) -> str:
        return f"{self.what} @{self.at:.1f}s{'' if self.happened else ' (did not happen)'}"


def delete_one(lab: Lab) -> bool:
    """Deletes a message in the middle of the log that both planes hold. Returns whether it did."""
    settings = lab.settings
    held: list[set[int]] = []
    for plane in open_planes(settings):
        with closing(plane), suppress(PlaneError):
            entries = plane.ledger(settings.stream)
            held.append({e.range.last for e in entries if e.state == "committed" and e.rows})
    if len(held) < len(PLANES) or not (both := min(map(max, filter(None, held)), default=0)):
        return False

    async def delete() -> None:
        async with connect(settings, name="chaos") as client:
            await client.jetstream().delete_msg(settings.stream, max(1, both // 2))

    try:
        asyncio.run(delete())
    except (LogError, NatsError, TimeoutError):
        return False
    return True


def inject(lab: Lab, fault: Fault, started: float) -> InjectedFault:
    """Injects one fault. Resumes a frozen process afterwards."""
    happened = True
    if fault.what == "cut":
        lab.proxies[fault.target].arm(Cut(fault.direction, fault.least_bytes))
        at = time.monotonic() - started
        return InjectedFault(str(fault), at, happened)
    if fault.what in ("terminate", "delete"):
        happened = terminate_run(lab.settings) if fault.what == "terminate" else delete_one(lab)
        return InjectedFault(str(fault), time.monotonic() - started, happened)
    if fault.what == "fill":
        at = time.monotonic() - started
        if lab.has_small_disk:
            fill(lab.log_folder, fault.seconds)
        return InjectedFault(str(fault), at, lab.has_small_disk)
    process = lab.find(fault.target, timeout=PROCESS_SECONDS)
    if process is not None and fault.target == "run":
        # At a random moment of the run, which takes at least half a second.
        time.sleep(random.Random(fault.at).uniform(0.0, 1.5))
    at = time.monotonic() - started
    try:
        if process is None:
            happened = False
        elif fault.what == "kill":
            process.send_signal(signal.SIGKILL)
        else:
            process.send_signal(signal.SIGSTOP)
            try:
                time.sleep(fault.seconds)
            finally:
                process.send_signal(signal.SIGCONT)
    except psutil.NoSuchProcess:
        happened = False
    return InjectedFault(str(fault), at, happened)
