"""`fraiseql-assets` for the commands of pages, forked from a process that has loaded its libraries.

The pages have dozens of commands, and loading the libraries takes more processor time than most of
them. What runs is the command line, with the arguments, folder, environment and streams that the
shell gives it.
"""

import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stacks import own_folder, wait_until

LOADED = (
    "fraiseql_assets.cli.doctor",
    "fraiseql_assets.cli.flight_client",
    "fraiseql_assets.cli.formats",
    "fraiseql_assets.cli.status",
    "fraiseql_assets.pipeline.dead_letter_replay",
    "fraiseql_assets.stream.publish",
    "pyarrow.flight",
)
"""What the commands load when they need it."""

# It asks for a process and ends as that does. Python starts at once without its site packages.
COMMAND = """\
#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as asked:
    asked.connect({address!r})
    request = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(asked, [len(request).to_bytes(4, "big")], [0, 1, 2])
    asked.sendall(request)
    sys.exit(asked.recv(1)[0])
"""


@contextmanager
def warm_commands() -> Iterator[Path]:
    """A folder for PATH whose `fraiseql-assets` starts at once, for the length of the block."""
    with own_folder() as folder:
        address = folder / "commands"
        command = folder / "bin" / "fraiseql-assets"
        command.parent.mkdir()
        command.write_text(COMMAND.format(python=sys.executable, address=f"{address}"))
        command.chmod(0o755)
        # The consoles take their width and colours when they are made.
        plain = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
        environment = {**plain, "PYTHONPATH": os.pathsep.join(sys.path)}
        with subprocess.Popen([sys.executable, __file__, address], env=environment) as process:
            try:
                wait_until(lambda: address.exists() or process.poll() is not None)
                yield command.parent
            finally:
                process.kill()


def serve(address: str) -> None:
    """Runs a command in a process of its own for each connection, until it is killed."""
    for name in LOADED:
        importlib.import_module(name)
    # Ended commands are not waited for.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen()
        while True:
            asked, _ = listening.accept()
            with asked:
                if os.fork() == 0:
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    listening.close()
                    run(asked)


def run(asked: socket.socket) -> None:
    """Runs the command that was asked for, and ends the process."""
    from fraiseql_assets.cli.main import app

    head, streams, *_ = socket.recv_fds(asked, 4, 3)
    size, request = int.from_bytes(head, "big"), b""
    while len(request) < size:
        request += asked.recv(size)
    arguments, folder, variables = json.loads(request)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    sys.argv = ["fraiseql-assets", *arguments]
    code = 1
    try:
        app()
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    asked.sendall(bytes([code]))
    os._exit(code)


if __name__ == "__main__":
    serve(sys.argv[1])
