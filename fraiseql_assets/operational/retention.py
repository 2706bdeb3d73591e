"""Retention where the server has no lifecycle policies: days past it are dropped by the project."""

from datetime import date

from elasticsearch import Elasticsearch

from fraiseql_assets.operational.indices import Names, drop
from fraiseql_assets.operational.ledger import delete_entries_before


def drop_expired(client: Elasticsearch, names: Names, oldest: date) -> list[str]:
    """Drops the days before `oldest`, except what a lifecycle policy sees to, and the ledger's
    entries of all of them. Returns what was done, in lines.
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
