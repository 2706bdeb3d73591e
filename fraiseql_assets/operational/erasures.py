"""The erasures recorded in Elasticsearch, and the days that they affect."""

import hashlib
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
from elasticsearch import Elasticsearch

from fraiseql_assets.erasures import Erasure
from fraiseql_assets.operational.bodies import document_ids
from fraiseql_assets.operational.filters import term
from fraiseql_assets.operational.indices import Names, live_days

PAGE = 10_000
PREFIX = "erasures:"
"""A prefix of the stream's name: the ledger's index holds erasures as well as ranges."""


def read_erasures(client: Elasticsearch, names: Names, stream: str) -> list[Erasure]:
    """The newest record of every erasure."""
    hits = client.search(
        index=names.ledger, query={"term": {"stream": f"{PREFIX}{stream}"}}, size=PAGE
    )["hits"]["hits"]
    found = [hit["_source"]["erasure"] for hit in hits]
    erasures = [Erasure(**{**each, "at": datetime.fromisoformat(each["at"])}) for each in found]
    return sorted(erasures, key=lambda erasure: erasure.at)


def write_erasure(client: Elasticsearch, names: Names, erasure: Erasure) -> None:
    """Records an erasure. It replaces an older record of the same rows."""
    stream = f"{PREFIX}{erasure.stream}"
    document = {
        "stream": stream,
        "erasure": {
            "stream": erasure.stream,
            "upto": erasure.upto,
            "at": erasure.at.astimezone(UTC).isoformat(),
            **erasure.columns,
        },
    }
    digest = hashlib.sha256(erasure.key.encode()).hexdigest()
    client.index(index=names.ledger, id=f"{stream}:{digest}", document=document, refresh=True)


def erased_days(client: Elasticsearch, names: Names, erasure: Erasure) -> list[date]:
    """The days that hold rows matched by an erasure."""
    filters: list[dict[str, Any]] = [{"range": {"stream_seq": {"lte": erasure.upto}}}]
    own_id = erasure.event_id or erasure.request_id
    if own_id:
        [document_id] = document_ids(pa.array([own_id], pa.utf8())).to_pylist()
        filters.append({"ids": {"values": [document_id]}})
    else:
        filters += [term(name, value) for name, value in erasure.columns.items()]
    days: list[date] = []
    for day in live_days(client, names):
        client.indices.refresh(index=names.day(day))
        query = {"bool": {"filter": filters}}
        if client.count(index=names.day(day), query=query)["count"]:
            days.append(day)
    return days
