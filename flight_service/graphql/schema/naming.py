"""FraiseQL's names: fields in camelCase, document keys in snake_case."""

import re
from collections.abc import Iterable
from functools import lru_cache

ACRONYMS = frozenset(
    (
        *("s3", "ec2", "ipv4", "ipv6", "oauth1", "oauth2", "sha1", "sha256", "sha512", "md5"),
        *("base64", "utf8", "p256", "p384"),
    )
)
"""Words that end in a digit. A schema's `naming_acronyms` adds more."""
HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
WORD_AND_NUMBER = re.compile(r"([a-z]+)([0-9]+)")
SEPARATED = re.compile(r"_+(.?)")


class Naming:
    """Converts field names to document keys, with a schema's acronyms."""

    def __init__(self, acronyms: Iterable[str] = ()) -> None:
        added = (one.strip().lower() for one in acronyms)
        self._acronyms = ACRONYMS | {one for one in added if one}
        self.snake = lru_cache(maxsize=8192)(self._snake)

    def columns(self, name: str) -> tuple[str, ...]:
        """The names that a field's column may have, the most likely first."""
        return self.snake(name), name, HUMP.sub("_", name).lower()

    def _snake(self, name: str) -> str:
        """A name in snake_case: `isPaid` is `is_paid`, `phone1` is `phone_1`, `s3Key` is `s3_key`.
        A name in snake_case is not changed."""
        return HUMP.sub("_", WORD_AND_NUMBER.sub(self._separated, name)).lower()

    def _separated(self, found: re.Match[str]) -> str:
        return found[0] if found[0] in self._acronyms else f"{found[1]}_{found[2]}"


def camel(name: str) -> str:
    """A name in camelCase: `order_lines` is `orderLines`, `phone_1` is `phone1`."""
    return SEPARATED.sub(lambda found: found[1].upper(), name)
