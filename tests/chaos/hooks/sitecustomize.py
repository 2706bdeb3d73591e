"""Python imports this module at the start of every process of a stack under test; see `steps.py`.

It redirects Dagster's code server, and with it sensors and runs, to the harness's proxies. It kills
a run that reaches a step with a trap. The project's own code does not know about it.
"""

import importlib.abc
import importlib.util
import itertools
import json
import os
import re
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus, urlsplit

FOLDER = Path(os.environ.get("CHAOS_FOLDER", ""))


def reroute() -> None:
    """Puts the proxies' ports into the addresses, and writes the real addresses to files."""
    for name, port in json.loads((FOLDER / "proxies.json").read_text()).items():
        variable = f"FRAISEQL_{name.upper()}_URL"
        address = urlsplit(os.environ[variable])
        if address.port == port:
            continue
        note = FOLDER / f"{name}.{os.getpid()}"
        note.write_text(f"{address.hostname}:{address.port}")
        note.rename(FOLDER / f"{name}.target")
        through = f"{address.netloc.rpartition(':')[0]}:{port}"
        os.environ[variable] = os.environ[variable].replace(address.netloc, through, 1)


def reach_step(plane: str, step: str) -> None:
    """Kills this process if a trap is set for the step."""
    armed = FOLDER / "armed" / f"{plane}.{step}"
    try:
        armed.rename(FOLDER / "fired" / armed.name)
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


class Watched:
    """Wraps an object: subclasses override some methods, and the others are passed on."""

    def __init__(self, inner: Any, plane: str) -> None:
        self._inner, self._plane = inner, plane

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class Plane(Watched):
    ranges = 0
    """How many ranges this run has begun."""

    def record(self, entry: Any) -> None:
        if (entry.kind, entry.state) == ("range", "begun"):
            Plane.ranges += 1
        if entry.kind == "partition":
            reach_step(self._plane, "staging-filled")
        elif entry.state == "committed":
            reach_step(self._plane, "all-written")
        self._inner.record(entry)
        reach_step(self._plane, entry.state)
        if entry.state == "begun" and Plane.ranges == 2:
            reach_step(self._plane, "next-begun")

    def write_all(self, blocks: Iterable[Any]) -> Iterator[Any]:
        taken = written = 0

        def counted() -> Iterator[Any]:
            nonlocal taken
            for block in blocks:
                taken += 1
                if taken > 1 and written:
                    reach_step(self._plane, "block-written")
                yield block

        for result in self._inner.write_all(counted()):
            written += 1
            if taken > written:
                reach_step(self._plane, "block-written")
            yield result

    def replace(self, *arguments: Any) -> "Replacement":
        return Replacement(self._inner.replace(*arguments), self._plane)


class Log(Watched):
    def read(self, *arguments: Any, **options: Any) -> Iterator[Any]:
        for batch in self._inner.read(*arguments, **options):
            reach_step(self._plane, "read")
            yield batch


class Replacement(Watched):
    """Watches the requests of a swap, because its steps are not methods."""

    REPLACES = re.compile("REPLACE PARTITION|/_aliases")
    RECORDS = re.compile(r"INSERT INTO \W?fraiseql_ledger|-ledger/")

    def swap(self, entry: Any) -> None:
        import urllib3

        pool: Any = urllib3.HTTPConnectionPool
        request, replaced, recorded = pool.urlopen, 0, False

        def watched(self_: Any, method: str, url: str, body: Any = None, **options: Any) -> Any:
            nonlocal replaced, recorded
            text, body = opened(url, body)
            replaces = bool(self.REPLACES.search(text))
            records = bool(replaced and self.RECORDS.search(text))
            if replaces and replaced == (1 if self._plane == "analytics" else 0):
                reach_step(self._plane, "swapping")
            if recorded:
                reach_step(self._plane, "recorded")
            elif records:
                reach_step(self._plane, "swapped")
            answer = request(self_, method, url, body=body, **options)
            replaced, recorded = replaced + replaces, recorded or records
            return answer

        pool.urlopen = watched
        try:
            self._inner.swap(entry)
        finally:
            pool.urlopen = request
        reach_step(self._plane, "recorded")


def opened(url: str, body: Any) -> tuple[str, Any]:
    """The request's URL and the start of its body as text, and the body to send."""
    first = body or b""
    if hasattr(body, "__next__"):
        first = next(body, b"")
        body = itertools.chain([first], body)
    start = first[:4096] if isinstance(first, bytes | bytearray) else str(first).encode()
    return f"{unquote_plus(url)} {start.decode(errors='replace')}", body


def watch_materialise(module: Any) -> None:
    materialise = module.materialise

    def watched(context: Any, asset: Any, *arguments: Any) -> Any:
        reach_step(asset.pool, "asked")
        return materialise(context, asset, *arguments)

    module.materialise = watched


AT_WORK: list[str] = []
"""The plane of the range that is being added."""


def watch_ingest(module: Any) -> None:
    ingest_range = module.ingest_range

    def watched(plane: Any, log: Any, *arguments: Any) -> Any:
        AT_WORK[:] = [plane.name]
        return ingest_range(Plane(plane, plane.name), Log(log, plane.name), *arguments)

    module.ingest_range = watched


def watch_write(module: Any) -> None:
    decoded_parts = module.decoded_parts

    def decoded(*arguments: Any) -> Iterator[Any]:
        for part in decoded_parts(*arguments):
            for plane in AT_WORK if part.batches else ():
                reach_step(plane, "decoded")
            yield part

    module.decoded_parts = decoded


def watch_follow(module: Any) -> None:
    follow = module.follow

    def watched(plane: Any, *arguments: Any, reason_to_end: Any, **options: Any) -> Any:
        def asked() -> Any:
            if Plane.ranges:
                reach_step(plane.name, "waiting")
            return reason_to_end()

        return follow(plane, *arguments, reason_to_end=asked, **options)

    module.follow = watched


def watch_compaction(module: Any) -> None:
    """Comes to a step between the two requests of a compaction."""
    name = next(n for n in ("delete_covered", "delete_entries", "forget") if hasattr(module, n))
    delete = getattr(module, name)
    plane = "analytics" if "analytics" in module.__name__ else "operational"

    def watched(*arguments: Any) -> Any:
        reach_step(plane, "compacting")
        return delete(*arguments)

    setattr(module, name, watched)


def watch_rebuild(module: Any) -> None:
    rebuild_day = module.rebuild_day

    def watched(plane: Any, *arguments: Any) -> Any:
        return rebuild_day(Plane(plane, plane.name), *arguments)

    module.rebuild_day = watched


WATCHED: dict[str, Callable[[Any], None]] = {
    "fraiseql_assets.defs.materialise": watch_materialise,
    "fraiseql_assets.pipeline.ingest": watch_ingest,
    "fraiseql_assets.pipeline.rebuild": watch_rebuild,
    "fraiseql_assets.pipeline.stages": watch_write,
    "fraiseql_assets.pipeline.follow": watch_follow,
    "fraiseql_assets.analytics.plane": watch_compaction,
    "fraiseql_assets.operational.plane": watch_compaction,
}


class Finder(importlib.abc.MetaPathFinder):
    """Loads the watched modules normally, then wraps their functions."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        watch = WATCHED.pop(fullname, None)
        if watch is None:
            return None
        spec = importlib.util.find_spec(fullname)
        loader: Any = spec.loader if spec else None
        load = loader.exec_module

        def load_and_watch(module: Any) -> None:
            load(module)
            watch(module)

        loader.exec_module = load_and_watch
        return spec


if "CHAOS_FOLDER" in os.environ:
    if any("code_server" in word or word == "api" for word in sys.orig_argv):
        reroute()
    sys.meta_path.insert(0, Finder())
