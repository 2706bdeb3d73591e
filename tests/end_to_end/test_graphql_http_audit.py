"""GraphQL over HTTP, audited by the npm package `graphql-http` as its specification has it."""

import json
from pathlib import Path

import graphql_shop as shop
from flights import serving
from node_packages import run_script

from fraiseql_assets.settings import Settings

FOLDER = Path(__file__).parents[1] / "graphql_http"


def test_every_must_and_should_audit_of_graphql_over_http_passes(tmp_path: Path) -> None:
    # The audits ask for `__typename` alone, for which no database is needed.
    with serving(Settings(schema_path=shop.write_schema(tmp_path))) as service:
        url = f"{service.settings.http_url}/graphql"
        audits = json.loads(run_script(FOLDER, "audit.mjs", url))
    failed = [f"{one['id']} {one['name']}: {one['why']}" for one in audits if one["status"] != "ok"]
    binding = [one for one in audits if one["name"].startswith(("MUST ", "SHOULD "))]
    assert failed == []
    assert len(binding) > 30
