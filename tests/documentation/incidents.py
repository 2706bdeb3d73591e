"""Ten incidents in the operational plane, among ordinary events and requests."""

import json
import uuid
from datetime import UTC, date, datetime, timedelta
from typing import Any

from event_tables import event
from request_rows import failure, request

from fraiseql_assets.events.generate import generate

ORDER = "8f14e45f-ceea-467f-a0c4-5f7d1c5b6c1e"
REVERTED = "c9f0f895-fb98-4b91-99f5-1fd5297e236d"
REFUNDED = "45c48cce-2e2d-4fbd-8a1a-fc51c7c6ad26"
CUSTOMER = "d3d94468-02a4-4259-b55d-38e6d163e820"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TENANTS = ("acme", "initech", "umbrella")


class _Clock:
    """Times within the last hour, and positions of the log in the same order."""

    def __init__(self) -> None:
        self._now = datetime.now(UTC)
        self._next = 0

    def at(self, minutes: float) -> dict[str, Any]:
        """The fields of what happened so many minutes ago."""
        self._next += 1
        moment = self._now - timedelta(minutes=minutes)
        return {"timestamp": moment, "stream_time": moment, "stream_seq": self._next}


def incidents() -> tuple[list[dict[str, Any]], list[dict[str, Any]], date]:
    """Events and requests of the last hour, in the order of the log, and the day of the events."""
    clock = _Clock()
    events = [*_ordinary_events(clock), *_events(clock)]
    requests = [*_ordinary_requests(clock), *_requests(clock)]
    return events, requests, datetime.now(UTC).date()


def _ordinary_events(clock: _Clock) -> list[dict[str, Any]]:
    batch = next(iter(generate(300, seed=12)))
    return [
        {**row, **clock.at(55 - number / 10), "stream_row": 0}
        for number, row in enumerate(batch.to_pylist())
        if not (row["entity_type"] == "Customer" and row["event_type"] == "DELETE")
    ]


def _ordinary_requests(clock: _Clock) -> list[dict[str, Any]]:
    return [
        request(
            number,
            request_id=str(uuid.UUID(int=number)),
            tenant_id=TENANTS[number % len(TENANTS)],
            duration_ms=8.0 + number % 30,
            **clock.at(50 - number / 10),
        )
        for number in range(200)
    ]


def _changed(field: str, old: Any, new: Any) -> str:
    return json.dumps({field: {"old": old, "new": new}})


def _of(kind: str, entity: str, clock: _Clock, minutes: float, **fields: Any) -> dict[str, Any]:
    stamped = clock.at(minutes)
    return {
        **event(stamped["stream_seq"], entity_type=kind, entity_id=entity, **fields),
        "event_id": f"ev-{entity[:8]}-{stamped['stream_seq']}",
        **stamped,
    }


def _events(clock: _Clock) -> list[dict[str, Any]]:
    return [
        # 1
        _of("Order", ORDER, clock, 30, user_id="ada", data='{"status":"new","total":129.9}'),
        _of(
            "Payment",
            "pay-7001",
            clock,
            29,
            data=json.dumps(
                {"status": "declined", "order_id": ORDER, "code": "51", "reason": "limit exceeded"}
            ),
        ),
        # 2
        _of("Order", REVERTED, clock, 28, user_id="ada"),
        _of(
            *("Order", REVERTED, clock, 20),
            event_type="UPDATE",
            user_id="ada",
            changes=_changed("status", "new", "paid"),
        ),
        _of(
            *("Order", REVERTED, clock, 5),
            event_type="UPDATE",
            user_id="reconciler",
            actor_type="ai_agent",
            changes=_changed("status", "paid", "new"),
        ),
        # 6
        _of("Refund", REFUNDED, clock, 12, user_id="bob", data='{"amount":4000}'),
        # 7
        _of("Customer", CUSTOMER, clock, 40, user_id="import", data='{"name":"Zoë Müller"}'),
        _of(
            *("Customer", CUSTOMER, clock, 15),
            event_type="DELETE",
            user_id="cleanup-job",
            actor_type="system_job",
            data='{"name":"Zoë Müller"}',
        ),
        # 9
        *(
            _of(
                *("StockLevel", f"sku-{number % 20}", clock, 9 - number / 200),
                event_type="UPDATE",
                user_id="stock-sync",
                actor_type="system_job",
                changes=_changed("checked_at", number, number + 1),
            )
            for number in range(1_500)
        ),
    ]


def _failed(
    number: int, clock: _Clock, minutes: float, message: str, code: str, **fields: Any
) -> dict[str, Any]:
    return {**failure(number, message, code), **clock.at(minutes), **fields}


def _requests(clock: _Clock) -> list[dict[str, Any]]:
    pay = {
        "operation_type": "mutation",
        "operation_name": "PayOrder",
        "query": "mutation PayOrder($order: ID!) { payOrder(id: $order) { status } }",
    }
    report = {
        "operation_name": "YearReport",
        "query": "query YearReport { orders(limit: 500000) { id total lines { sku } } }",
        "transport": "flight",
        "variables": None,
    }
    export = {"operation_name": "AllCustomers", "transport": "flight", "variables": None}
    return [
        # 1
        _failed(
            *(1_001, clock, 29.1, "The card was declined by the issuer.", "PAYMENT_DECLINED"),
            **pay,
            user_id="ada",
            variables=json.dumps({"order": ORDER}),
        ),
        # 3 and 4
        *(
            _failed(
                *(1_100 + number, clock, 24 - number / 4),
                f'deadlock detected on relation "tb_{table}"',
                "DATABASE_ERROR",
                operation_name="ShipOrder",
                operation_type="mutation",
                tenant_id=TENANTS[number % 3],
            )
            for number, table in enumerate(["order", "line_item", "order", "order", "line_item"])
        ),
        # 5
        *(
            {
                **request(1_200 + number, **report),
                **clock.at(18 - number),
                "user_id": "bi-tool",
                "duration_ms": 7_500.0 + number,
                "rows": 500_000,
            }
            for number in range(3)
        ),
        # 6
        _failed(
            *(1_300, clock, 12, "permission denied for table tb_refund", "DATABASE_ERROR"),
            operation_name="RefundOrder",
            operation_type="mutation",
            user_id="bob",
            trace_id=TRACE,
            variables=json.dumps({"refund": REFUNDED}),
        ),
        # 8
        *(
            _failed(
                *(1_400 + number, clock, 11 - number / 2),
                "Cannot query field 'totalAmount' on type 'Order'. Did you mean 'total'?",
                "GRAPHQL_VALIDATION_FAILED",
                operation_name="CheckoutV2",
                tenant_id=TENANTS[number % 3],
            )
            for number in range(4)
        ),
        # 10
        *(
            _failed(
                *(1_500 + number, clock, 8 - number / 2),
                "The field invoices needs the role accountant.",
                "FORBIDDEN",
                operation_name="Invoices",
                tenant_id="globex",
                user_id=f"user-{number}",
            )
            for number in range(3)
        ),
        # The last of 10, which its tenant may see.
        *(
            {
                **request(1_600, **export),
                **clock.at(6),
                "user_id": "mallory",
                "rows": 90_000,
                "bytes": 48_000_000,
                "tenant_id": "umbrella",
            }
            for _ in range(1)
        ),
    ]
