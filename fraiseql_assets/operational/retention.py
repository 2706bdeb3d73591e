"""Retention for servers without lifecycle policies: the project deletes expired days."""

from datetime import date

from elasticsearch import Elasticsearch

from fraiseql_assets.operational.indices import Names, drop
from fraiseql_assets.operational.ledger import delete_entries_before


def drop_expired(client: Elasticsearch, names: Names, oldest: date) -> list[str]:
    """Deletes the days before `oldest`, unless a lifecycle policy does, and their ledger entries.
    Returns what was done, as lines.
    """
    done: list[str] = []
    for index, held in client.indices.get_settings(index=f"{names.all_days}-*").items():
        day = names.day_of(index)
        managed = "lifecycle" in held["settings"]["index"]
        if day and day < oldest and not managed:
            drop(client, index)
            done.append(f"index {index}: dropped, it is past its retention")
    deleted = delete_entries_before(client, names, oldest)
    if deleted:
        done.append(f"index {names.ledger}: {deleted} entries of dropped days deleted")
    return done
