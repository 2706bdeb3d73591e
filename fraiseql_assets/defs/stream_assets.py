"""The logs in Dagster: external assets from which the planes are derived."""

from collections.abc import Iterable

import dagster as dg

from fraiseql_assets.catalogue import OWNERS, STREAM_EVENTS, STREAM_REQUESTS, Asset
from fraiseql_assets.events.fields import EVENT_FIELDS
from fraiseql_assets.fields import Field
from fraiseql_assets.requests.fields import REQUEST_FIELDS


def _external(asset: Asset, fields: Iterable[Field]) -> dg.AssetSpec:
    """A log, with the columns that its messages decode to."""
    columns = [
        dg.TableColumn(
            field.name,
            field.type,
            description=field.description,
            constraints=dg.TableColumnConstraints(nullable=field.nullable),
        )
        for field in fields
    ]
    return dg.AssetSpec(
        asset.path,
        description=asset.description,
        group_name="stream",
        owners=list(OWNERS),
        kinds=set(asset.kinds),
        metadata={
            "dagster/table_name": f"jetstream.{asset.table}",
            "dagster/column_schema": dg.TableSchema(columns),
        },
    )


stream_events = _external(STREAM_EVENTS, EVENT_FIELDS)
stream_requests = _external(STREAM_REQUESTS, REQUEST_FIELDS)
