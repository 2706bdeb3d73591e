"""The limit of the size of NATS's files, and whether they can be written.

After a full disk a stream refuses every write until its server is restarted, even when there is
room again. The server reports this when it is asked to delete nothing.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from fraiseql_assets.stream.options import NatsOptions
from fraiseql_assets.stream.wire import NO_SUBJECT, PURGE_FAILED, Wire, WireError

KEPT_FREE_BYTES = 256 * 2**20
"""Space that NATS leaves free on the disk. A restart helps only if there is so much."""
PROBE_SECONDS = 2.0


def largest_store(folder: Path) -> int:
    """How many bytes the files may take: their size now, and the free space without a reserve."""
    used = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return max(KEPT_FREE_BYTES, used + shutil.disk_usage(folder).free - KEPT_FREE_BYTES)


def needs_restart(folder: Path, url: str) -> bool:
    """Whether a stream refuses writes although the disk has space. Never raises."""
    try:
        return shutil.disk_usage(folder).free >= KEPT_FREE_BYTES and _refuses_writes(url)
    except (WireError, OSError, ValueError, KeyError):
        return False


def _refuses_writes(url: str) -> bool:
    options = NatsOptions.read(url)
    with Wire(options, options.servers[0], name="local stack", timeout=PROBE_SECONDS) as wire:
        streams = _ask(wire, "STREAM.NAMES", {}).get("streams") or []
        answers = [_ask(wire, f"STREAM.PURGE.{name}", {"filter": NO_SUBJECT}) for name in streams]
    return any(answer.get("error", {}).get("err_code") == PURGE_FAILED for answer in answers)


def _ask(wire: Wire, operation: str, request: dict[str, Any]) -> dict[str, Any]:
    return json.loads(wire.request(f"$JS.API.{operation}", json.dumps(request).encode()))
