"""The plane's ledger: which ranges of the log are begun and committed in Elasticsearch."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from elasticsearch import Elasticsearch

from fraiseql_assets.ledger import entry_of, in_force, row_of
from fraiseql_assets.operational.indices import Names
from fraiseql_assets.planes import LedgerEntry
from fraiseql_assets.ranges import SequenceRange

PAGE = 10_000
"""The most documents that a search returns."""
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
    """Writes an entry over an older one of the same range."""
    document = {
        **row_of(entry),
        "day": f"{entry.day}",
        "at": f"{entry.at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
        "at_us": _microseconds(entry.at),
    }
    # Whoever asks from now on finds it.
    client.index(
        index=names.ledger, id=_id(entry.stream, entry.day, entry.range), document=document,
        refresh=True,
    )  # fmt: skip


def forget(client: Elasticsearch, names: Names, entries: list[LedgerEntry]) -> None:
    """Removes entries."""
    operations = [
        {"delete": {"_id": _id(entry.stream, entry.day, entry.range)}} for entry in entries
    ]
    for start in range(0, len(operations), PAGE):
        client.bulk(index=names.ledger, operations=operations[start : start + PAGE], refresh=True)


def forget_before(client: Elasticsearch, names: Names, day: date) -> int:
    """Removes the entries of the days before a day. Returns how many there were."""
    query = {"range": {"day": {"lt": f"{day}"}}}
    return client.delete_by_query(
        index=names.ledger, query=query, refresh=True, conflicts="proceed"
    )["deleted"]


def committed_at(client: Elasticsearch, names: Names) -> dict[date, datetime]:
    """When each day was last committed to."""
    days = client.search(
        index=names.ledger,
        size=0,
        query={"term": {"state": "committed"}},
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


def _microseconds(moment: datetime) -> int:
    """Microseconds since 1970, which an aggregation does not round as it does a date."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def _id(stream: str, day: date, sequences: SequenceRange) -> str:
    return f"{stream}:{day}:{sequences}"


def _entry(found: dict[str, Any]) -> LedgerEntry:
    return entry_of(
        found, day=date.fromisoformat(found["day"]), at=datetime.fromisoformat(found["at"])
    )
