"""Settings for shared servers, with names that nothing else uses."""

import asyncio
import contextlib
import secrets
from collections.abc import Iterator
from typing import Any

import requests
from clickhouse_requests import ask_clickhouse
from nats.js.errors import NotFoundError
from pydantic import SecretStr

from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.connection import connect

NAMES_IN_A_LINE = 50
"""So that the first line of a request stays below the 4 KiB that a search engine accepts."""


@contextlib.contextmanager
def separate_names(
    nats_url: str, clickhouse_url: str, elasticsearch_url: str, database_url: str | None = None
) -> Iterator[Settings]:
    """Settings for the servers. Nothing is set up; what is created under their names is deleted
    after the block."""
    name = f"test_{secrets.token_hex(4)}"
    database: dict[str, Any] = {}
    if database_url is not None:
        database["database_url"] = SecretStr(database_url)
    settings = Settings(
        nats_url=SecretStr(nats_url),
        clickhouse_url=SecretStr(f"{clickhouse_url.removesuffix('/default')}/{name}"),
        elasticsearch_url=SecretStr(elasticsearch_url),
        stream=f"{name}_events",
        subjects=[f"{name}.mutation.>", f"{name}.change.>", f"{name}._none_.*"],
        subject_prefix=f"{name}.mutation",
        dead_letter_stream=f"{name}_dead_letters",
        request_stream=f"{name}_requests",
        request_subject_prefix=f"{name}.request",
        index_prefix=name.replace("_", "-"),
        **database,
    )
    yield settings
    asyncio.run(drop_streams(settings))
    ask_clickhouse(clickhouse_url, f"DROP DATABASE IF EXISTS {name} SYNC")
    drop_indices(elasticsearch_url, settings.index_prefix)


async def drop_streams(settings: Settings) -> None:
    async with connect(settings, name="tests") as client:
        for stream in (settings.stream, settings.request_stream, settings.dead_letter_stream):
            with contextlib.suppress(NotFoundError):
                await client.jetstream().delete_stream(stream)


def drop_indices(url: str, prefix: str) -> None:
    """Deletes every index and template whose name starts with the prefix, many in a request: each
    is a new state of the cluster, which takes longer than the deletions themselves."""
    matching = f"{url}/_resolve/index/{prefix}*?expand_wildcards=all"
    indices = requests.get(matching, timeout=30).json()["indices"]
    names = [found["name"] for found in indices]
    for first in range(0, len(names), NAMES_IN_A_LINE):
        some = ",".join(names[first : first + NAMES_IN_A_LINE])
        requests.delete(f"{url}/{some}?ignore_unavailable=true", timeout=30).raise_for_status()
    templates = f"{url}/_index_template/{prefix}*"
    if requests.get(templates, timeout=30).json().get("index_templates"):
        requests.delete(templates, timeout=30).raise_for_status()
