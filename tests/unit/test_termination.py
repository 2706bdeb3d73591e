"""A request to end a process is never missed, wherever and whenever its signal arrives."""

import signal
import subprocess
import sys

import pytest

TO_ANOTHER_THREAD = """
import signal, threading, time
from fraiseql_assets.termination import Termination
termination = Termination()
def send():
    time.sleep(0.1)
    signal.pthread_kill(threading.get_ident(), signal.{name})
    time.sleep(60)
threading.Thread(target=send, daemon=True).start()
"""
BEFORE_THE_WAIT = """
import signal
from fraiseql_assets.termination import Termination
termination = Termination()
signal.raise_signal(signal.{name})
"""
END = "termination.wait(); print(termination.is_requested_again())"


def printed(program: str, name: str) -> str:
    source = program.format(name=name) + END
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, timeout=30, check=True
    )
    return done.stdout.strip()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("program", [TO_ANOTHER_THREAD, BEFORE_THE_WAIT], ids=["other", "early"])
def test_a_signal_ends_the_wait(program: str, name: str) -> None:
    assert printed(program, name) == "False"


def test_a_second_signal_is_seen_after_the_first() -> None:
    program = BEFORE_THE_WAIT + f"signal.raise_signal({int(signal.SIGTERM)})\n"
    assert printed(program, "SIGINT") == "True"
