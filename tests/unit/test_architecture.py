"""What the import contracts in pyproject.toml do not cover: what an import loads, and the table of
modules in docs/architecture.md."""

import re
import subprocess
import sys
from pathlib import Path

import fraiseql_assets

PACKAGE = Path(fraiseql_assets.__file__).parent
ROOT = Path(__file__).parents[2]
PACKAGES = ("fraiseql_assets", "sensors", "flight_service", "local_stack")
ARCHITECTURE = ROOT / "docs" / "architecture.md"


def loaded_by(statement: str) -> set[str]:
    """The modules that a fresh interpreter holds after the statement."""
    script = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


def test_the_package_itself_imports_nothing() -> None:
    assert (PACKAGE / "__init__.py").read_text() == ""


def test_the_events_load_no_server_library() -> None:
    modules = sorted(path.stem for path in (PACKAGE / "events").glob("[!_]*.py"))
    imports = "\n".join(f"import fraiseql_assets.events.{name}" for name in modules)
    servers = {"nats", "clickhouse_connect", "elasticsearch", "dagster", "pyarrow.flight"}
    assert loaded_by(imports) & servers == set()


def test_the_code_location_loads_no_client_before_a_run_needs_it() -> None:
    # Each of these at module level would cost every run up to a second before its first row.
    slow = {"pyarrow", "polars", "numpy", "clickhouse_connect", "elasticsearch", "nats"}
    assert loaded_by("import fraiseql_assets.defs.definitions") & slow == set()


def documented() -> tuple[set[str], set[str]]:
    """The folders and the modules that the table of docs/architecture.md lists, as paths."""
    folders, modules, folder = set[str](), set[str](), ""
    for row in re.findall(r"^\|(.*)\|$", ARCHITECTURE.read_text(), re.MULTILINE):
        cells = [cell.strip().strip("`") for cell in row.split("|")]
        if cells[0].endswith("/"):
            folder = cells[0]
            folders.add(folder)
        elif cells[0] == "":
            modules.add(folder + cells[1])
    return folders, modules


def folders_and_modules() -> tuple[set[str], set[str]]:
    """The folders and the modules of the packages, as paths; an empty `__init__.py` is left out."""
    files = [
        path
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    folders = {f"{path.parent.relative_to(ROOT)}/" for path in files}
    modules = {
        f"{path.relative_to(ROOT)}"
        for path in files
        if path.suffix == ".py" and not (path.name == "__init__.py" and not path.read_text())
    }
    return folders, modules


def test_the_architecture_page_lists_every_folder_and_module() -> None:
    folders, modules = documented()
    real_folders, real_modules = folders_and_modules()
    missing = sorted((real_folders - folders) | (real_modules - modules))
    assert not missing, f"docs/architecture.md lacks {', '.join(missing)}"


def test_the_architecture_page_lists_nothing_that_is_gone() -> None:
    folders, modules = documented()
    real_folders, real_modules = folders_and_modules()
    gone = sorted((folders - real_folders) | (modules - real_modules))
    assert not gone, f"docs/architecture.md lists what does not exist: {', '.join(gone)}"


def test_every_path_on_the_architecture_page_exists() -> None:
    named = re.findall(rf"`((?:{'|'.join(PACKAGES)})/[^`]*)`", ARCHITECTURE.read_text())
    assert [path for path in named if not (ROOT / path).exists()] == []
