"""Compares the dead-letter messages of a trial with its malformed messages."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator

from nats.js.errors import NotFoundError

from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.connection import connect


def last_dead_letter(settings: Settings) -> int:
    """The sequence of the newest dead-letter message, or 0."""
    return asyncio.run(_last(settings))


def wrong_dead_letters(settings: Settings, after: int, expected: list[bytes]) -> Iterator[str]:
    """Every missing or unexpected dead-letter message after a sequence."""
    found = Counter(asyncio.run(_payloads(settings, after)))
    wanted = Counter(expected)
    for payload in (wanted - found).elements():
        yield f"no dead-letter message for {payload[:60]!r}"
    for payload in (found - wanted).elements():
        yield f"unexpected dead-letter message: {payload[:60]!r}"


async def _last(settings: Settings) -> int:
    async with connect(settings, name="chaos") as client:
        info = await client.jetstream().stream_info(settings.dead_letter_stream)
        return info.state.last_seq


async def _payloads(settings: Settings, after: int) -> list[bytes]:
    async with connect(settings, name="chaos") as client:
        jetstream = client.jetstream()
        stream = settings.dead_letter_stream
        last = (await jetstream.stream_info(stream)).state.last_seq
        found: list[bytes] = []
        for sequence in range(after + 1, last + 1):
            # `status` stores a probe in this stream and deletes it, which leaves a gap.
            with contextlib.suppress(NotFoundError):
                found.append((await jetstream.get_msg(stream, sequence)).data or b"")
        return found
