"""The plane's ledger: which ranges of the log are begun and committed in Elasticsearch."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from elasticsearch import Elasticsearch

from fraiseql_assets.datasets import EVENTS
from fraiseql_assets.ledger import entry_of, in_force, row_of
from fraiseql_assets.operational.indices import Names
from fraiseql_assets.planes import LedgerEntry, PlaneUnavailable
from fraiseql_assets.ranges import SequenceRange

PAGE = 10_000
"""The limit of documents in a search response."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_ledger(
    client: Elasticsearch, names: Names, stream: str, day: date | None
) -> list[LedgerEntry]:
    """The newest entry of every range, of one day or of all, by first sequence."""
    terms = [{"term": {"stream": stream}}]
    if day is not None:
        terms.append({"term": {"day": f"{day}"}})
    entries: list[LedgerEntry] = []
    after: list[Any] | None = None
    while True:
        hits = client.search(
            index=names.ledger,
            query={"bool": {"filter": terms}},
            sort=["first", "last", "day"],
            size=PAGE,
            search_after=after,
        )["hits"]["hits"]
        entries += [_entry(hit["_source"]) for hit in hits]
        if len(hits) < PAGE:
            return in_force(entries)
        after = hits[-1]["sort"]


def write_entry(client: Elasticsearch, names: Names, entry: LedgerEntry) -> None:
    """Writes an entry. It replaces an older entry of the same range."""
    document = {
        **row_of(entry),
        "dataset": names.dataset,
        "day": f"{entry.day}",
        "at": f"{entry.at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
        "at_us": _microseconds(entry.at),
    }
    # It is visible to every later request.
    client.index(
        index=names.ledger, id=_id(entry.stream, entry.day, entry.range), document=document,
        refresh=True,
    )  # fmt: skip


def delete_entries(client: Elasticsearch, names: Names, entries: list[LedgerEntry]) -> None:
    """Deletes entries."""
    ids = [_id(entry.stream, entry.day, entry.range) for entry in entries]
    for start in range(0, len(ids), PAGE):
        _delete(client, names, ids[start : start + PAGE])


def delete_entries_before(client: Elasticsearch, names: Names, day: date) -> int:
    """Deletes the dataset's entries of all days before a day. Returns their number."""
    before = {"range": {"day": {"lt": f"{day}"}}}
    query = {"bool": {"filter": [before, _of_dataset(names)]}}
    deleted = 0
    while True:
        found = client.search(
            index=names.ledger, query=query, size=PAGE, source=False, filter_path="hits.hits._id"
        )
        ids = [hit["_id"] for hit in found.get("hits", {}).get("hits", [])]
        if not ids:
            return deleted
        _delete(client, names, ids)
        deleted += len(ids)


def _delete(client: Elasticsearch, names: Names, ids: list[str]) -> None:
    """Deletes documents of the ledger, visible to every later search.

    Raises:
        PlaneUnavailable: the server has not deleted them all.
    """
    answer = client.bulk(
        index=names.ledger, operations=[{"delete": {"_id": each}} for each in ids], refresh=True
    )
    failed = [item["delete"] for item in answer["items"] if "error" in item["delete"]]
    if failed:
        raise PlaneUnavailable(
            f"Elasticsearch has not deleted {len(failed)} of {len(ids)} entries of the ledger: "
            f"{failed[0]['error'].get('reason')}. Try again."
        )


def committed_at(client: Elasticsearch, names: Names) -> dict[date, datetime]:
    """When a range of each day was last committed."""
    days = client.search(
        index=names.ledger,
        size=0,
        query={"bool": {"filter": [{"term": {"state": "committed"}}, _of_dataset(names)]}},
        aggs={
            "days": {
                "terms": {"field": "day", "size": PAGE},
                "aggs": {"at": {"max": {"field": "at_us"}}},
            }
        },
    )["aggregations"]["days"]["buckets"]
    return {
        date.fromisoformat(bucket["key"]): EPOCH + timedelta(microseconds=bucket["at"]["value"])
        for bucket in days
    }


def committed_rows(client: Elasticsearch, names: Names, day: date) -> int:
    """How many rows of a day are committed, for all streams of the dataset."""
    terms = [{"term": {"day": f"{day}"}}, {"term": {"state": "committed"}}]
    hits = client.search(
        index=names.ledger,
        query={"bool": {"filter": [*terms, _of_dataset(names)]}},
        size=PAGE,
    )["hits"]["hits"]
    return sum(entry.rows for entry in in_force(_entry(hit["_source"]) for hit in hits))


def _of_dataset(names: Names) -> dict[str, Any]:
    """Selects the dataset's entries. Entries of older versions have no dataset and belong to
    events."""
    named = {"term": {"dataset": names.dataset}}
    if names.dataset != EVENTS.name:
        return named
    unnamed = {"bool": {"must_not": {"exists": {"field": "dataset"}}}}
    return {"bool": {"should": [named, unnamed], "minimum_should_match": 1}}


def _microseconds(moment: datetime) -> int:
    """Microseconds since 1970. An aggregation would round a date."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def _id(stream: str, day: date, sequences: SequenceRange) -> str:
    return f"{stream}:{day}:{sequences}"


def _entry(found: dict[str, Any]) -> LedgerEntry:
    return entry_of(
        found, day=date.fromisoformat(found["day"]), at=datetime.fromisoformat(found["at"])
    )
