"""A local stack: its folder, its programs, and their addresses."""

import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from fraiseql_assets.settings import Settings, variable
from fraiseql_assets.setup import PLANES
from local_stack import servers, services
from local_stack.elasticsearch.engines import ELASTICSEARCH, Engine
from local_stack.elasticsearch.jars import EngineMissing, ensure_home, home_of
from local_stack.folder import FolderInUse, hold_folder
from local_stack.ports import distinct_free_ports
from local_stack.programs import Program, StackError, said

LEAST_FREE_BYTES = 256 * 2**20

Layers = Sequence[Sequence[Program]]


class FolderUnusable(StackError):
    """The data folder cannot be used."""


@contextmanager
def data_folder(folder: Path) -> Iterator[Path]:
    """The data folder, made where it is missing, held for the length of the block; absolute.

    Raises:
        FolderUnusable: another stack has it, it cannot be written to, or its disk is full.
    """
    folder = folder.absolute()
    with ExitStack() as held:
        try:
            logs_of(folder).mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(folder).free
            held.enter_context(hold_folder(folder))
        except FolderInUse as error:
            text = str(error)
            raise FolderUnusable(text[:1].upper() + text[1:]) from error
        except OSError as error:
            raise FolderUnusable(f"The data folder cannot be used: {said(error)}") from error
        if free < LEAST_FREE_BYTES:
            raise FolderUnusable(
                f"The disk of {folder} has {free / 2**20:,.0f} MiB left, and the stack needs "
                f"{LEAST_FREE_BYTES / 2**20:,.0f} MiB. Make room, or choose a folder on another "
                "disk with --data-dir."
            )
        yield folder


def logs_of(folder: Path) -> Path:
    """Where the programs' logs are."""
    return folder / "logs"


def available_planes(
    settings: Settings, engine: Engine, report: Callable[[str], None]
) -> tuple[str, ...]:
    """The planes that are switched on and whose servers are on this machine or can be fetched;
    what cannot is reported in a sentence."""
    on = tuple(name for name in PLANES if settings.has_plane(name))
    if "operational" not in on:
        return on
    try:
        if not home_of(engine).exists():
            report(f"{engine.title} {engine.version} is fetched, once.")
        ensure_home(engine)
    except EngineMissing as error:
        report(f"{error} Until then there is no operational plane.")
        return tuple(name for name in on if name != "operational")
    return on


def layers(
    folder: Path,
    ports: Mapping[str, int],
    *,
    demo: bool,
    planes: Collection[str] = PLANES,
    engine: Engine = ELASTICSEARCH,
) -> Layers:
    """Everything that `dev` runs, each knowing where all the others are.

    Raises:
        ServerMissing: an embedded server is not installed.
    """
    [code_port] = distinct_free_ports(1)
    below = embedded_servers(folder, ports, planes=planes, engine=engine)
    servers = [server.name for server in below]
    above = [
        *services.dagster(folder / "dagster", ports["dagster_url"], code_port, servers),
        services.setup(servers, off=[name for name in PLANES if name not in planes]),
        services.flight(ports["flight_url"], ports["http_url"]),
        *([services.demo(folder / "demo.loaded")] if demo else []),
    ]
    known = variables([below, above])
    return [
        [replace(program, environment={**known, **program.environment}) for program in layer]
        for layer in (below, above)
    ]


def embedded_servers(
    folder: Path,
    ports: Mapping[str, int],
    *,
    planes: Collection[str] = PLANES,
    engine: Engine = ELASTICSEARCH,
) -> list[Program]:
    """The servers alone, without those of planes that are off.

    Raises:
        ServerMissing: one is not installed.
    """
    programs = [servers.nats(folder / "nats", ports["nats_url"])]
    if "analytics" in planes:
        programs.append(servers.clickhouse(folder / "clickhouse", ports["clickhouse_url"]))
    if "operational" in planes:
        search = servers.search(engine, folder / engine.name, ports["elasticsearch_url"])
        programs.append(search)
    return [*programs, servers.postgresql(folder / "postgresql", ports["database_url"])]


def addresses(programs: Layers) -> dict[str, str]:
    """Where everything is, by the names of the settings."""
    return {
        setting: address
        for layer in programs
        for program in layer
        for setting, address in program.addresses.items()
    }


def variables(programs: Layers) -> dict[str, str]:
    """The addresses, and what else follows from the programs, as environment variables."""
    settings = addresses(programs)
    for layer in programs:
        for program in layer:
            settings.update(program.settings)
    return {variable(setting): value for setting, value in settings.items()}
