"""Reads FraiseQL's events, aggregates, search hits and GraphQL results as Arrow, and writes events.

import fraiseql_client

with fraiseql_client.connect() as client:
    orders = client.query("{ orders(limit: 3) { id totalPrice } }").to_polars()
"""

from fraiseql_client.client import Client, connect
from fraiseql_client.errors import (
    Forbidden,
    FraiseqlError,
    Incomplete,
    InvalidRequest,
    NotFound,
    ServiceFailed,
    Unauthenticated,
    Unavailable,
)
from fraiseql_client.events import Event, Position
from fraiseql_client.following import Tail
from fraiseql_client.listing import AssetInfo
from fraiseql_client.results import EventResult, Result
from fraiseql_client.writing import Written

__all__ = [
    "AssetInfo",
    "Client",
    "Event",
    "EventResult",
    "Forbidden",
    "FraiseqlError",
    "Incomplete",
    "InvalidRequest",
    "NotFound",
    "Position",
    "Result",
    "ServiceFailed",
    "Tail",
    "Unauthenticated",
    "Unavailable",
    "Written",
    "connect",
]
