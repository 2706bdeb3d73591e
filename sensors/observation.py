"""Observes the logs at intervals: their head, size and age."""

from datetime import UTC, datetime

import dagster as dg

from fraiseql_assets.catalogue import Asset
from fraiseql_assets.resources import Nats, settings_of

OBSERVE_SECONDS = 300


def stream_sensor(asset: Asset, status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    """The sensor that records an observation of a log."""

    @dg.sensor(
        name=f"{'_'.join(asset.path)}_observed",
        minimum_interval_seconds=OBSERVE_SECONDS,
        default_status=status,
        description="Records the log's last sequence, its size and the age of its oldest day.",
    )
    def observed(
        context: dg.SensorEvaluationContext, nats: Nats
    ) -> dg.SensorResult | dg.SkipReason:
        from fraiseql_assets.datasets import DATASETS
        from fraiseql_assets.stream.connection import LogError
        from fraiseql_assets.stream.log import Log

        try:
            dataset = DATASETS[asset.dataset]
            with Log(settings_of(nats), name="fraiseql-assets observer", dataset=dataset) as log:
                bounds, oldest = log.bounds(), log.position_from(1)
        except LogError as error:
            return dg.SkipReason(str(error))
        head = f"{bounds.last}"
        if head == context.cursor:
            return dg.SkipReason("Nothing was published since the last observation.")
        today = datetime.now(UTC).date()
        metadata: dict[str, int | str] = {
            "first sequence": bounds.first,
            "last sequence": bounds.last,
            "messages": bounds.messages,
            "bytes": bounds.bytes,
            "oldest day": f"{oldest.day}" if oldest else "none",
            "age, days": (today - oldest.day).days if oldest else 0,
        }
        observation = dg.AssetObservation(dg.AssetKey(asset.path), metadata=metadata)
        return dg.SensorResult(asset_events=[observation], cursor=head)

    return observed
