"""Events in the log, as producers write them."""

import asyncio
import json
from collections.abc import Iterable
from typing import Any

from fraiseql_assets.events.encode import Outgoing
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.connection import connect
from fraiseql_assets.stream.publish import publish


def store_events(settings: Settings, events: Iterable[dict[str, Any]]) -> None:
    """Publishes observer events and waits until the log has stored them."""
    messages = [
        Outgoing(
            f"{settings.subject_prefix}.{event['entity_type']}.{event['event_type']}",
            json.dumps(event).encode(),
            {},
        )
        for event in events
    ]

    async def store() -> None:
        async with connect(settings, name="tests") as client:
            await publish(client, messages)

    asyncio.run(store())
