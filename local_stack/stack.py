"""A local stack: its data folder, its programs and their addresses."""

import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from fraiseql_assets.settings import PLANES, Settings, variable
from local_stack import servers, services
from local_stack.data_folder import FolderInUse, hold_folder, make_private, private_files
from local_stack.elasticsearch.engines import ELASTICSEARCH, Engine
from local_stack.elasticsearch.jars import EngineMissing, ensure_home, home_of
from local_stack.ports import distinct_free_ports
from local_stack.programs import Program, StackError, describe_error

LEAST_FREE_BYTES = 256 * 2**20

Layers = Sequence[Sequence[Program]]


class FolderUnusable(StackError):
    """The data folder cannot be used."""


@contextmanager
def data_folder(folder: Path) -> Iterator[Path]:
    """Creates the data folder if it does not exist, and locks it during the block. Yields its
    absolute path.

    Other users can neither enter it nor read what is written there.

    Raises:
        FolderUnusable: another stack uses it, it cannot be written to, or its disk is full.
    """
    folder = folder.absolute()
    with ExitStack() as held:
        try:
            make_private(folder)
            held.enter_context(private_files())
            logs_of(folder).mkdir(exist_ok=True)
            free = shutil.disk_usage(folder).free
            held.enter_context(hold_folder(folder))
        except FolderInUse as error:
            text = str(error)
            raise FolderUnusable(text[:1].upper() + text[1:]) from error
        except OSError as error:
            raise FolderUnusable(
                f"The data folder cannot be used: {describe_error(error)}"
            ) from error
        if free < LEAST_FREE_BYTES:
            raise FolderUnusable(
                f"The disk of {folder} has {free / 2**20:,.0f} MiB left, and the stack needs "
                f"{LEAST_FREE_BYTES / 2**20:,.0f} MiB. Make room, or choose a folder on another "
                "disk with --data-dir."
            )
        yield folder


def logs_of(folder: Path) -> Path:
    """The folder of the programs' logs."""
    return folder / "logs"


def available_planes(
    settings: Settings, engine: Engine, report: Callable[[str], None]
) -> tuple[str, ...]:
    """The planes that are switched on and whose servers are installed or can be downloaded.

    `report` gets a sentence for each that is not available.
    """
    on = tuple(name for name in PLANES if settings.has_plane(name))
    if "operational" not in on:
        return on
    try:
        if not home_of(engine).exists():
            report(f"{engine.title} {engine.version} is downloaded, once.")
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
    """All programs of `dev`: the servers, and what runs on them with all addresses.

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
    # A server knows its own password only.
    informed = [replace(program, environment={**known, **program.environment}) for program in above]
    return [below, informed]


def embedded_servers(
    folder: Path,
    ports: Mapping[str, int],
    *,
    planes: Collection[str] = PLANES,
    engine: Engine = ELASTICSEARCH,
) -> list[Program]:
    """The embedded servers of the planes.

    Raises:
        ServerMissing: a server is not installed.
    """
    programs = [servers.nats(folder / "nats", ports["nats_url"])]
    if "analytics" in planes:
        programs.append(servers.clickhouse(folder / "clickhouse", ports["clickhouse_url"]))
    if "operational" in planes:
        search = servers.search(engine, folder / engine.name, ports["elasticsearch_url"])
        programs.append(search)
    return [*programs, servers.postgresql(folder / "postgresql", ports["database_url"])]


def addresses(programs: Layers) -> dict[str, str]:
    """All addresses, by the names of the settings."""
    return {
        setting: address
        for layer in programs
        for program in layer
        for setting, address in program.addresses.items()
    }


def variables(programs: Layers) -> dict[str, str]:
    """The addresses and other settings of the programs, as environment variables."""
    settings = addresses(programs)
    for layer in programs:
        for program in layer:
            settings.update(program.settings)
    return {variable(setting): value for setting, value in settings.items()}
