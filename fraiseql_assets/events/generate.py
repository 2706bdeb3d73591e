"""Realistic events for `publish`, benchmarks and tests: the same seed gives the same events."""

import random
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import msgspec
import pyarrow as pa

from fraiseql_assets.events.arrow_shape import PRODUCER_SCHEMA

BATCH_ROWS = 10_000
ENTITY_TYPES = ("Order", "Order", "Order", "Payment", "Customer", "Product", "Shipment", "User")
STATUSES = ("new", "paid", "picked", "shipped", "delivered", "returned")
TENANTS = ("acme", "globex", "initech", "umbrella", "hooli", None)
ACTORS = ("human_user", "human_user", "human_user", "service_account", "ai_agent", "system_job")
COUNTRIES = ("FR", "DE", "CH", "BE", "IT", "ES", "SE", "JP")


def generate(count: int, *, seed: int, start: datetime | None = None) -> Iterator[pa.RecordBatch]:
    """Yields `count` events in batches of up to 10,000, in the producers' schema.

    The events are a millisecond apart and begin at `start`, by default now. Ids and sequences are
    unique within a seed and differ between seeds.
    """
    chance = random.Random(seed)
    moment = start or datetime.now(UTC)
    encode = msgspec.json.Encoder().encode
    first_seq = (seed % 2**31) * 2**31 + 1
    for first in range(0, count, BATCH_ROWS):
        rows = range(first, min(first + BATCH_ROWS, count))
        columns: dict[str, list[object]] = {name: [] for name in PRODUCER_SCHEMA.names}
        for number in rows:
            event = _event(
                chance, number, first_seq, moment + timedelta(milliseconds=number), encode
            )
            for name, values in columns.items():
                values.append(event[name])
        yield pa.RecordBatch.from_pydict(columns, schema=PRODUCER_SCHEMA)


def _event(
    chance: random.Random,
    number: int,
    first_seq: int,
    moment: datetime,
    encode: Callable[[object], bytes],
) -> dict[str, object]:
    entity_type = chance.choice(ENTITY_TYPES)
    entity = chance.randrange(1, 50_000)
    status = chance.choice(STATUSES)
    kind = "INSERT" if status == "new" else "DELETE" if chance.random() < 0.02 else "UPDATE"
    before = STATUSES[max(0, STATUSES.index(status) - 1)]
    data = {
        "id": entity,
        "status": status,
        "total": round(chance.uniform(5, 2_000), 2),
        "currency": "EUR",
        "customer": {"name": f"Customer {entity % 9973}", "country": chance.choice(COUNTRIES)},
        "items": chance.randrange(1, 9),
    }
    changes = {"status": {"old": before, "new": status}} if kind == "UPDATE" else None
    user = chance.randrange(1, 2_000)
    return {
        "event_id": str(uuid.UUID(int=chance.getrandbits(128), version=4)),
        "event_type": kind,
        "entity_type": entity_type,
        "entity_id": f"{entity_type.lower()}-{entity}",
        "timestamp": moment,
        "data": encode(data).decode(),
        "user_id": f"user-{user}" if user % 7 else None,
        "tenant_id": chance.choice(TENANTS),
        "changes": None if changes is None else encode(changes).decode(),
        "seq": first_seq + number,
        "actor_type": chance.choice(ACTORS),
        "acting_for": f"user-{user + 1}" if user % 50 == 0 else None,
        "schema_version": "1",
        "cdc_source": None,
        "duration_ms": int(chance.lognormvariate(2.5, 0.8)),
    }
