"""A fake of a server that forgets what it has acknowledged.

It is the real server; what it is told to lose, the fake deletes from it or puts back as it was.
"""

from dataclasses import dataclass, field
from typing import Any

from fraiseql_assets.operational.client import connect
from fraiseql_assets.settings import Settings

MOST = 10_000


@dataclass(frozen=True, slots=True)
class _Index:
    """What an index holds."""

    aliases: dict[str, Any]
    documents: dict[str, Any] = field(default_factory=dict)


class LossyServer:
    """The session's server, as far as the test's own indices go."""

    def __init__(self, settings: Settings) -> None:
        self._client = connect(settings, timeout=30)
        self._pattern = f"{settings.index_prefix}-*"
        self.keep()

    def __enter__(self) -> "LossyServer":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def keep(self) -> None:
        """What it holds now it will not lose."""
        self._kept = self._held()

    def lose(self) -> None:
        """Loses everything since it last kept something."""
        held = self._held()
        for name in held.keys() - self._kept.keys():
            self._client.indices.delete(index=name)
        for name, kept in self._kept.items():
            if name not in held:
                self._client.indices.create(index=name, aliases=kept.aliases)
            now = held[name].documents if name in held else {}
            for number in now.keys() - kept.documents.keys():
                self._client.delete(index=name, id=number)
            for number, document in kept.documents.items():
                if now.get(number) != document:
                    self._client.index(index=name, id=number, document=document)
        self._client.indices.refresh(index=self._pattern)

    def _held(self) -> dict[str, _Index]:
        self._client.indices.refresh(index=self._pattern)
        found = self._client.indices.get_alias(index=self._pattern)
        hits = self._client.search(index=self._pattern, size=MOST)["hits"]["hits"]
        held = {name: _Index(index["aliases"]) for name, index in found.items()}
        for hit in hits:
            held[hit["_index"]].documents[hit["_id"]] = hit["_source"]
        return held
