"""The messages of a trial, generated from its seed: events with known ids in every shape, some
malformed messages, and some events that are published twice."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from fraiseql_assets.events.arrow_shape import CONTENT_TYPE
from fraiseql_assets.events.encode import (
    Outgoing,
    arrow_messages,
    cdc_messages,
    observer_messages,
)
from fraiseql_assets.events.generate import generate
from fraiseql_assets.stream.publish import CDC_SUBJECT

MAX_PAYLOAD = 2**20
DUPLICATES = (5, 25)

MALFORMED = (
    b"",
    b"no JSON at all",
    b"[1, 2, 3]",
    b"\xff\xfe{}",
    b'{"event_type": "INSERT"}',
    b'{"id": "x", "event_type": "INSERT", "entity_type": "Order", "entity_id": "1", '
    b'"timestamp": "10000-01-01T00:00:00Z"}',
)


@dataclass(frozen=True, slots=True)
class Traffic:
    """The messages that a trial publishes, in order, and the expected result."""

    messages: list[Outgoing]
    ids: frozenset[str]
    """The id of every event."""
    malformed: list[bytes]
    """The payloads that must become dead-letter messages."""


def traffic(seed: int, events: int, prefix: str) -> Traffic:
    """The traffic of a seed: `events` events under subjects with the prefix."""
    chance = random.Random(f"traffic {seed}")
    messages: list[Outgoing] = []
    ids: set[str] = set()
    [whole] = generate(events, seed=seed, start=datetime.now(UTC))
    at = 0
    while at < events:
        part = whole.slice(at, chance.randint(1, 60))
        at += part.num_rows
        shape = chance.choice(("observer", "observer", "cdc", "arrow"))
        if shape == "observer":
            messages += observer_messages(part, prefix)
            ids.update(part["event_id"].to_pylist())
        elif shape == "cdc":
            messages += cdc_messages(part, CDC_SUBJECT)
            names = zip(part["entity_type"].to_pylist(), part["seq"].to_pylist(), strict=True)
            ids.update(f"{entity_type}:{seq}" for entity_type, seq in names)
        else:
            messages += arrow_messages(part, f"{prefix}.Batch.ARROW", max_payload=MAX_PAYLOAD)
            ids.update(part["event_id"].to_pylist())
    malformed = [
        Outgoing(f"{prefix}.Order.INSERT", payload, {"Nats-Msg-Id": f"malformed {seed} {n}"}, 0)
        for n, payload in enumerate(chance.sample(MALFORMED, chance.randint(2, 5)))
    ]
    malformed.append(
        Outgoing(
            f"{prefix}.Batch.ARROW",
            b"no Arrow",
            {"Nats-Msg-Id": f"malformed {seed} arrow", "Content-Type": CONTENT_TYPE},
            0,
        )
    )
    for message in malformed:
        messages.insert(chance.randint(0, len(messages)), message)
    for number, again in enumerate(_repeated(messages, chance)):
        name = {"Nats-Msg-Id": f"again {seed} {number}"}
        again = Outgoing(again.subject, again.payload, {**again.headers, **name}, 0)
        messages.insert(chance.randint(0, len(messages)), again)
    return Traffic(messages, frozenset(ids), [message.payload for message in malformed])


def _repeated(messages: list[Outgoing], chance: random.Random) -> Iterator[Outgoing]:
    """Some messages to publish again with other deduplication ids: unchanged, or in another shape
    with the same event id."""
    count = chance.randint(*DUPLICATES)
    well = [message for message in messages if message.events]
    for message in chance.sample(well, min(count, len(well))):
        is_observer = b'"event_type"' in message.payload and "Content-Type" not in message.headers
        if is_observer and chance.random() < 0.5:
            yield _as_cdc(json.loads(message.payload))
        else:
            yield message


def _as_cdc(event: dict[str, object]) -> Outgoing:
    body = {
        "event_id": event["id"],
        "seq": event["seq"],
        "object_type": event["entity_type"],
        "op": str(event["event_type"]).lower(),
        "tenant_id": event["tenant_id"],
        "object_id": event["entity_id"],
        "after": event["data"],
        "commit_time": event["timestamp"],
    }
    subject = CDC_SUBJECT.format(tenant_id="_none_", table=event["entity_type"])
    return Outgoing(subject, json.dumps(body).encode(), {})
