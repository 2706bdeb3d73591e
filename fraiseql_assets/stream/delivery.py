"""Converts delivered messages of a consumer to columns."""

from collections.abc import Sequence

from fraiseql_assets.events.messages import Messages
from fraiseql_assets.stream.wire import Frame


def columns_of(frames: Sequence[Frame]) -> tuple[Messages, int]:
    """Delivered messages as columns, and the number of the last delivery.

    Their reply subjects contain their positions:
    `$JS.ACK.<stream>.<consumer>.<tries>.<sequence>.<number>.<time>.<pending>`, or with domain and
    account hash before the stream and a random token at the end (ADR-15).
    """
    subjects, replies, headers, payloads = zip(*frames, strict=True)
    # The replies of a consumer have the same number of tokens, so all are split together.
    tokens = b".".join(replies).split(b".")
    width = len(tokens) // len(replies)
    at = 5 if width == 9 else 7
    first, last = int(tokens[at]), int(tokens[at - width])
    # Sequences ascend, so they are consecutive if their bounds are as far apart as they are many.
    consecutive = last - first == len(replies) - 1
    decoded = {subject: subject.decode(errors="replace") for subject in set(subjects)}
    messages = Messages(
        list(range(first, last + 1) if consecutive else map(int, tokens[at::width])),
        list(map(int, tokens[at + 2 :: width])),
        [decoded[subject] for subject in subjects],
        list(headers),
        list(payloads),
    )
    return messages, int(tokens[at + 1 - width])
