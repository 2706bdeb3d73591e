"""The keys that fields have in a source's documents.

FraiseQL's documents have keys in snake_case: the field `isPaid` has the key `is_paid`. Documents of
other origin may use the field's name. This is decided once for each source, by the string literals
in a view's definition or by a sample of stored documents. If neither shows it, FraiseQL's rule
applies.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from flight_service.graphql.schema.naming import Naming


@dataclass(frozen=True, slots=True)
class Seen:
    """The keys that were found in documents at some path, and what was found under each."""

    keys: Mapping[str, "Seen"] = field(default_factory=dict)
    wide: bool = False
    """Whether some number at the path does not fit 32 bits."""

    @property
    def all_keys(self) -> frozenset[str]:
        """The keys at the path and below."""
        return frozenset(self.keys).union(*(one.all_keys for one in self.keys.values()))


NOTHING = Seen()


@dataclass(frozen=True, slots=True)
class FieldKeys:
    """The keys of the fields of an object at some path in documents."""

    naming: Naming
    seen: Seen = NOTHING
    written: frozenset[str] = frozenset()
    """The string literals in the view's definition."""
    literal: bool = False
    """Whether a field of which nothing is known has its own name as key."""
    settled: bool = True
    """Whether all fields of the schema are spelled the same in camelCase and snake_case."""

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
        """Whether it is known, or makes no difference, how keys are spelled."""
        return self.settled or bool(self.seen.keys or self.written)

    def within(self, name: str) -> "FieldKeys":
        """The keys of the object, or of the objects in the list, that is a field's value."""
        return replace(self, seen=self.seen.keys.get(self.key(name), NOTHING))


def keys_of(
    naming: Naming, fields: Iterable[str], seen: Seen = NOTHING, written: Iterable[str] = ()
) -> FieldKeys:
    """The keys of a source's documents. `fields` are the names of all fields of the schema."""
    known = frozenset(written)
    found = known | seen.all_keys
    humped = {name for name in fields if naming.snake(name) != name}
    literal = not found.isdisjoint(humped)
    snake = not found.isdisjoint(map(naming.snake, humped))
    return FieldKeys(naming, seen, known, literal and not snake, settled=not humped)


@lru_cache(maxsize=1)
def rule() -> FieldKeys:
    """The keys by FraiseQL's rule."""
    return FieldKeys(Naming())
