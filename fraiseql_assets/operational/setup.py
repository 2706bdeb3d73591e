"""Creates templates, lifecycle policies and the ledger, and migrates older ones in place."""

import copy
import hashlib
import json
from collections.abc import Iterator
from typing import Any

from elasticsearch import ApiError, Elasticsearch, NotFoundError

from fraiseql_assets.datasets import Dataset
from fraiseql_assets.operational.client import connect, definition, translated
from fraiseql_assets.operational.documents import documents_of
from fraiseql_assets.operational.engine import is_opensearch
from fraiseql_assets.operational.indices import Names
from fraiseql_assets.operational.state_management import (
    NO_SUCH_API,
    ensure_policy,
    has_state_management,
)
from fraiseql_assets.settings import Settings

PRIORITY = 500
"""Higher than the priority of Elasticsearch's own templates."""


def setup_indices(settings: Settings, dataset: Dataset) -> list[str]:
    """Creates what a dataset lacks and extends older objects; idempotent. Returns what was done, as
    lines.

    Raises:
        PlaneError: an index of that name belongs to another project.
    """
    client = connect(settings, timeout=settings.request_timeout_seconds)
    try:
        with translated(settings):
            return list(_ensure(client, settings, dataset))
    finally:
        client.close()


def _ensure(client: Elasticsearch, settings: Settings, dataset: Dataset) -> Iterator[str]:
    names, days = Names.of(settings, dataset), dataset.retention_days(settings)
    managed = has_lifecycles(client)
    if managed:
        client.ilm.put_lifecycle(name=names.all_days, policy=definition("lifecycle", days=days))
    elif is_opensearch(client) and has_state_management(client):
        ensure_policy(client, names.all_days, days)
        managed = True
    if managed:
        yield f"lifecycle {names.all_days}: keeps {days} days"
    wanted = index_definition(client, dataset)
    spread(wanted["settings"]["index"], settings)
    fields = wanted["mappings"]["properties"]
    yield _ensure_template(client, names, wanted, managed=managed)
    _widen(client, names, fields)
    yield _ensure_ledger(client, names)


def _widen(client: Elasticsearch, names: Names, fields: dict[str, Any]) -> None:
    """Adds the fields that older indices lack. Existing fields are not changed."""
    held = client.indices.get_mapping(index=f"{names.all_days}-*", allow_no_indices=True)
    for index, found in held.items():
        known = found["mappings"].get("properties", {})
        lacking = {name: field for name, field in fields.items() if name not in known}
        if lacking:
            client.indices.put_mapping(index=index, properties=lacking)


def has_lifecycles(client: Elasticsearch) -> bool:
    """Whether the server has Elasticsearch's lifecycle policies."""
    if is_opensearch(client):
        return False
    try:
        client.ilm.get_status()
    except ApiError as error:
        if error.status_code in NO_SUCH_API:
            return False
        raise
    return True


def index_definition(client: Elasticsearch, dataset: Dataset) -> dict[str, Any]:
    """The settings and mappings of a dataset's indices, in the terms of the client's server."""
    wanted = copy.deepcopy(definition(documents_of(dataset).mapping))
    if is_opensearch(client):
        properties = wanted["mappings"]["properties"]
        for name, field in properties.items():
            if field["type"] == "flattened":
                # It does not have the limits of `flattened`.
                properties[name] = {"type": "flat_object"}
    return wanted


def spread(index: dict[str, Any], settings: Settings) -> None:
    """Sets the shards and replicas of new indices; existing indices keep theirs."""
    index["number_of_shards"] = settings.elasticsearch_shards
    if settings.elasticsearch_replicas is not None:
        del index["auto_expand_replicas"]
        index["number_of_replicas"] = settings.elasticsearch_replicas


def _ensure_template(
    client: Elasticsearch, names: Names, template: dict[str, Any], *, managed: bool
) -> str:
    if managed and not is_opensearch(client):
        # The age of an index counts from the day in its name, even if it was rebuilt later.
        template["settings"]["index"]["lifecycle"] = {
            "name": names.all_days,
            "parse_origination_date": True,
        }
    digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()
    before = _template_digest(client, names)
    if before == digest:
        return f"template {names.all_days}: as it should be"
    client.indices.put_index_template(
        name=names.all_days,
        index_patterns=[f"{names.all_days}-*"],
        priority=PRIORITY,
        template=template,
        meta={"digest": digest},
    )
    return f"template {names.all_days}: {'created' if before is None else 'brought up to date'}"


def _template_digest(client: Elasticsearch, names: Names) -> str | None:
    """The version of the existing template, None if there is none."""
    try:
        [found] = client.indices.get_index_template(name=names.all_days)["index_templates"]
    except NotFoundError:
        return None
    meta: dict[str, Any] = found["index_template"].get("_meta") or {}
    return str(meta.get("digest"))


def _ensure_ledger(client: Elasticsearch, names: Names) -> str:
    wanted = definition("ledger")
    if client.indices.exists(index=names.ledger):
        client.indices.put_mapping(index=names.ledger, properties=wanted["mappings"]["properties"])
        return f"index {names.ledger}: as it should be"
    client.indices.create(
        index=names.ledger, settings=wanted["settings"], mappings=wanted["mappings"]
    )
    return f"index {names.ledger}: created"
