"""A machine whose administrator trusts an authority, for one command."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.clients.harness import tool

TRUSTED = Path("etc/ssl/certs")
OTHERS = (
    *("CURL_CA_BUNDLE", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", "NODE_EXTRA_CA_CERTS"),
    *("REQUESTS_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE"),
)
"""Variables that name other authorities."""


def untouched(command: Sequence[str | Path]) -> list[str | Path]:
    """The command where no variable names other authorities than the machine's."""
    return ["env", *(f"--unset={name}" for name in OTHERS), *command]


def trusting(
    authority: Path, folder: Path, command: Sequence[str | Path], root: Path = Path("/")
) -> list[str | Path]:
    """The command where `/etc/ssl/certs` holds this authority alone, for OpenSSL and for Java.

    `root` is the root folder of the system that the command runs in.
    """
    shutil.copy(authority, folder / "ca-certificates.crt")
    (folder / "java").mkdir(exist_ok=True)
    store = folder / "java" / "cacerts"
    store.unlink(missing_ok=True)
    subprocess.run(
        [
            *(tool("keytool"), "-importcert", "-noprompt", "-alias", "authority"),
            # Debian's format, which is read without the password.
            *("-storetype", "JKS", "-keystore", store, "-storepass", "changeit"),
            *("-file", authority),
        ],
        check=True,
        capture_output=True,
    )
    mounted = ["sh", "-c", 'mount --bind "$0" "$1" && shift && exec "$@"', folder, root / TRUSTED]
    return [tool("unshare"), "--mount", *mounted, *untouched(command)]
