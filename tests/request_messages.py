"""Recorded GraphQL requests, published as the Flight service publishes them."""

import asyncio
from collections.abc import Iterable

from fraiseql_assets.datasets import REQUESTS
from fraiseql_assets.events.encode import Outgoing
from fraiseql_assets.requests.record import RequestError, RequestRecord, message_of
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.connection import connect
from fraiseql_assets.stream.publish import publish


def request(number: int) -> RequestRecord:
    """A request of every second kind: one that succeeded, then one that failed."""
    failed = number % 2 == 0
    errors = [RequestError(f'deadlock on "tb_order" é {number}', "DATABASE_ERROR")]
    return RequestRecord(
        query=f"query Order{number}($id: ID!) {{ order(id: $id) {{ total }} }}",
        transport="flight" if failed else "http",
        status="error" if failed else "ok",
        duration_ms=number / 8,
        variables={"id": f"o-{number}", "deep": {"list": [1, None, "ü"]}} if number % 3 else None,
        user_id="ada",
        tenant_id="acme" if number % 5 else None,
        errors=errors if failed else [],
        rows=number,
        bytes=100 * number,
        trace_id="4bf92f3577b34da6a3ce929d0e0e4736" if number % 7 else None,
        request_id=f"r-{number}",
    )


def publish_requests(settings: Settings, numbers: Iterable[int]) -> None:
    """Publishes requests, each under its own id."""
    prefix = REQUESTS.subject_prefix(settings)
    publish_messages(settings, [message_of(request(number), prefix, ()) for number in numbers])


def publish_payloads(settings: Settings, *payloads: bytes) -> None:
    """Publishes payloads as they are."""
    subject = f"{REQUESTS.subject_prefix(settings)}.query"
    publish_messages(settings, [Outgoing(subject, payload, {}) for payload in payloads])


def publish_messages(settings: Settings, messages: list[Outgoing]) -> None:
    async def publish_them() -> None:
        async with connect(settings, name="tests") as client:
            await publish(client, messages)

    asyncio.run(publish_them())
