"""Retention in OpenSearch: policies of the plugin Index State Management, if it is installed.

A policy counts an index's age from its creation, so a day that was rebuilt late would stay longer:
the project's own retention drops days by their names as well.
"""

from typing import Any
from urllib.parse import quote

from elasticsearch import ApiError, Elasticsearch

from fraiseql_assets.operational.client import definition

NO_SUCH_API = (400, 404, 405, 410)
"""The statuses of responses to an unknown API."""

_JSON = {"accept": "application/json", "content-type": "application/json"}
_POLICIES = "/_plugins/_ism/policies"


def has_state_management(client: Elasticsearch) -> bool:
    """Whether the server has the plugin."""
    try:
        client.perform_request("GET", _POLICIES, params={"size": 1}, headers=_JSON)
    except ApiError as error:
        if error.status_code in NO_SUCH_API:
            return False
        raise
    return True


def ensure_policy(client: Elasticsearch, name: str, days: int) -> None:
    """Creates or updates the policy that deletes indices after a number of days."""
    path = f"{_POLICIES}/{quote(name, safe='')}"
    wanted: dict[str, Any] = definition("state_management", name=name, days=days)
    found = client.options(ignore_status=404).perform_request("GET", path, headers=_JSON)
    # An update must name the version that it replaces.
    version = (
        {}
        if found.meta.status == 404
        else {"if_seq_no": found.body["_seq_no"], "if_primary_term": found.body["_primary_term"]}
    )
    client.perform_request("PUT", path, params=version, headers=_JSON, body=wanted)
