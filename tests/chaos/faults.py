"""Injects the faults of a plan into a stack."""

import random
import signal
import time
from dataclasses import dataclass

import psutil

from tests.chaos.lab import Lab
from tests.chaos.plan import Fault
from tests.chaos.proxy import Cut

PATIENCE = 15.0
"""Seconds to wait for the process that a fault targets."""


@dataclass(slots=True)
class Deed:
    """A fault that was injected or attempted."""

    what: str
    at: float
    """Seconds from the first event."""
    happened: bool

    def __str__(self) -> str:
        return f"{self.what} @{self.at:.1f}s{'' if self.happened else ' (did not happen)'}"


def hurt(lab: Lab, fault: Fault, started: float) -> Deed:
    """Injects one fault. Resumes a frozen process afterwards."""
    happened = True
    if fault.what == "cut":
        lab.proxies[fault.target].arm(Cut(fault.direction, fault.least_bytes))
        at = time.monotonic() - started
        return Deed(str(fault), at, happened)
    process = lab.find(fault.target, patience=PATIENCE)
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
    return Deed(str(fault), at, happened)
