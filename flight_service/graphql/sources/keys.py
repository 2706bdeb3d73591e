"""Under which keys a source's documents hold their fields.

FraiseQL's documents have keys in snake_case: the field `isPaid` lies under `is_paid`. Documents
that others wrote may hold it under its own name. Which of the two it is, is decided once for each
source, from what is known of its documents: the keys that a view's definition writes, or those of
some stored documents. Where nothing is known, FraiseQL's rule holds.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from flight_service.graphql.schema.naming import Naming


@dataclass(frozen=True, slots=True)
class Seen:
    """What documents were seen to hold at one place: the keys there, and what lies under each."""

    keys: Mapping[str, "Seen"] = field(default_factory=dict)
    wide: bool = False
    """Whether a number there does not fit 32 bits."""

    @property
    def all_keys(self) -> frozenset[str]:
        """The keys there and below."""
        return frozenset(self.keys).union(*(one.all_keys for one in self.keys.values()))


NOTHING = Seen()


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of the fields of one object, wherever in a document it lies."""

    naming: Naming
    seen: Seen = NOTHING
    written: frozenset[str] = frozenset()
    """The keys that the view's definition writes somewhere."""
    literal: bool = False
    """Whether a field of which nothing is known lies under its own name."""
    settled: bool = True
    """Whether every field of the schema has the same name in both spellings."""

    def key(self, name: str) -> str:
        """The key of a field."""
        snake = self.naming.snake(name)
        for known in (self.seen.keys, self.written):
            for one in (snake, name):
                if one in known:
                    return one
        return name if self.literal else snake

    @property
    def known(self) -> bool:
        """Whether it is known, or does not matter, which of a field's spellings is its key."""
        return self.settled or bool(self.seen.keys or self.written)

    def within(self, name: str) -> "Keys":
        """The keys of the object, or of the objects of the list, that a field holds."""
        return replace(self, seen=self.seen.keys.get(self.key(name), NOTHING))


def keys_of(
    naming: Naming, fields: Iterable[str], seen: Seen = NOTHING, written: Iterable[str] = ()
) -> Keys:
    """The keys of a source's documents. `fields` are the names of all fields of the schema."""
    known = frozenset(written)
    found = known | seen.all_keys
    humped = {name for name in fields if naming.snake(name) != name}
    literal = not found.isdisjoint(humped)
    snake = not found.isdisjoint(map(naming.snake, humped))
    return Keys(naming, seen, known, literal and not snake, settled=not humped)


@lru_cache(maxsize=1)
def rule() -> Keys:
    """FraiseQL's rule alone."""
    return Keys(Naming())
