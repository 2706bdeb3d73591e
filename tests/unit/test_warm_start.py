"""The event that terminates a run: it wakes its process, and a killed process blocks nobody."""

import multiprocessing
import threading
import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess

import pytest

from fraiseql_assets.defs.warm_start import Latch, WarmContext

SECONDS = 30.0


def sleep_until(latch: Latch, began: Latch) -> None:
    began.set()
    latch.wait()


@pytest.fixture
def context() -> WarmContext:
    return WarmContext()


@pytest.fixture
def latch(context: WarmContext) -> Latch:
    return context.Event()


@pytest.fixture
def sleeper(context: WarmContext, latch: Latch) -> Iterator[BaseProcess]:
    """A process that waits for the latch."""
    began = context.Event()
    process = context.Process(target=sleep_until, args=(latch, began))
    process.start()
    assert began.wait(SECONDS)
    yield process
    process.kill()
    process.join()


def test_setting_the_latch_wakes_a_waiting_process(latch: Latch, sleeper: BaseProcess) -> None:
    assert not latch.is_set()
    latch.set()
    sleeper.join(SECONDS)
    assert sleeper.exitcode == 0
    assert latch.is_set()


def test_a_process_killed_while_waiting_does_not_block_the_latch(
    latch: Latch, sleeper: BaseProcess
) -> None:
    time.sleep(0.2)
    sleeper.kill()
    sleeper.join()
    setting = threading.Thread(target=latch.set, daemon=True)
    setting.start()
    setting.join(SECONDS)
    assert not setting.is_alive()
    assert latch.is_set()


def test_the_latch_is_an_event_for_dagster(latch: Latch) -> None:
    assert isinstance(latch, type(multiprocessing.Event()))


def test_setting_the_latch_twice_is_harmless(latch: Latch) -> None:
    latch.set()
    latch.set()
    assert latch.is_set()
    assert latch.wait(0)
