"""Servers that the workers of a session share. A process starts each for the first that asks.

A search engine takes longer to start, and to compile what it runs, than most files of tests take.
What tests create in it has separate names.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from stacks import own_folder, running

from local_stack import servers
from local_stack.programs import tied_to_parent


@contextmanager
def lending() -> Iterator[str]:
    """The address for `borrowed`, for the length of the block. The servers end with it."""
    with own_folder() as folder, socket.socket(socket.AF_UNIX) as listening:
        address = f"{folder / 'servers'}"
        listening.bind(address)
        # Whoever asks from now on waits until the process answers.
        listening.listen()
        with subprocess.Popen(
            [sys.executable, __file__, f"{listening.fileno()}"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            pass_fds=[listening.fileno()],
            preexec_fn=tied_to_parent(signal.SIGTERM),
        ) as process:
            # When the process has ended, nobody waits for it.
            listening.close()
            try:
                yield address
            finally:
                process.terminate()


def borrowed(address: str, name: str) -> str:
    """The address of a server, by the name of its function in `local_stack.servers`.

    Raises:
        AssertionError: it could not be started. The message says why.
    """
    with socket.socket(socket.AF_UNIX) as asked:
        asked.connect(address)
        asked.sendall(name.encode())
        asked.shutdown(socket.SHUT_WR)
        with asked.makefile() as answer:
            said, _, rest = answer.read().partition(" ")
    assert said == "at", rest or f"the process that starts {name} has ended"
    return rest


def lend(listening: socket.socket) -> None:
    """Answers until SIGTERM, then ends what it has started."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    # A Ctrl-C is for the tests, which still delete what they have created.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    addresses: dict[str, str] = {}
    with ExitStack() as started:
        while True:
            asked, _ = listening.accept()
            with asked, asked.makefile() as question:
                name = question.read()
                try:
                    if name not in addresses:
                        server = running(getattr(servers, name))
                        addresses[name] = started.enter_context(server)
                    said = f"at {addresses[name]}"
                except Exception as error:
                    # It is raised where it was asked for.
                    said = f"failed {type(error).__name__}: {error}"
                asked.sendall(said.encode())


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as inherited:
        lend(inherited)
