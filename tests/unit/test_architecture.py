"""What the import contracts in pyproject.toml cannot see."""

import subprocess
import sys
from pathlib import Path

import fraiseql_assets

PACKAGE = Path(fraiseql_assets.__file__).parent


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
