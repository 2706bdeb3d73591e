"""The checks that compare a plane's partition with the log."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import dagster as dg

from fraiseql_assets.catalogue import Asset
from fraiseql_assets.defs.materialise import plane_of
from fraiseql_assets.defs.metadata import listed
from fraiseql_assets.defs.partitions import DAILY, day_of, name_partition
from fraiseql_assets.resources import ClickHouse, Elasticsearch, Nats, settings_of

if TYPE_CHECKING:
    from fraiseql_assets.pipeline.verify import Verdict

ROWS_MATCH_LOG = "rows_match_log"
NO_GAPS = "no_gaps"
NO_DUPLICATES = "no_duplicates"

CHEAP = (ROWS_MATCH_LOG, NO_GAPS)
"""The checks that every run evaluates. The others read every row and run at night."""
SHOWN_RANGES = 20

DESCRIPTIONS = {
    ROWS_MATCH_LOG: "The partition holds the rows that its committed ranges wrote, and these took "
    "every message that the log holds.",
    NO_GAPS: "Every sequence of the log was read, and none had been dropped by the log before it "
    "was read.",
    NO_DUPLICATES: "Every id is in the partition once.",
}


def log_checks(asset: Asset) -> dg.AssetChecksDefinition:
    """The three checks of an asset that is filled from a log, evaluated by one comparison."""

    @dg.multi_asset_check(
        name=f"{'_'.join(asset.path)}_against_the_log",
        specs=[
            dg.AssetCheckSpec(name, asset=asset.path, description=text, partitions_def=DAILY)
            for name, text in DESCRIPTIONS.items()
        ],
        can_subset=True,
        pool=asset.pool,
    )
    def against_the_log(
        context: dg.AssetCheckExecutionContext,
        nats: Nats,
        clickhouse: ClickHouse,
        elasticsearch: Elasticsearch,
    ) -> Iterator[dg.AssetCheckResult]:
        from fraiseql_assets.datasets import DATASETS
        from fraiseql_assets.pipeline.verify import verify_day
        from fraiseql_assets.stream.log import Log

        settings = settings_of(nats, clickhouse, elasticsearch)
        dataset = DATASETS[asset.dataset]
        name = f"fraiseql-assets {asset.plane} checks"
        with (
            closing(plane_of(asset, settings)) as plane,
            Log(settings, name=name, dataset=dataset) as log,
        ):
            keys = context.selected_asset_check_keys
            distinct = any(key.name == NO_DUPLICATES for key in keys)
            verdict = verify_day(plane, log, day_of_check(context), distinct=distinct)
        results = {result.check_name: result for result in _results(asset, verdict)}
        for key in keys:
            yield results[key.name]

    return against_the_log


def _results(asset: Asset, verdict: "Verdict") -> Iterator[dg.AssetCheckResult]:
    key = dg.AssetKey(asset.path)
    shared = {
        "day": str(verdict.day),
        "sequences in the log": str(verdict.in_log or "none"),
        "messages waiting": verdict.waiting,
    }
    yield dg.AssetCheckResult(
        asset_key=key,
        check_name=ROWS_MATCH_LOG,
        passed=verdict.rows_match,
        description=f"{verdict.counts.rows:,} rows held, {verdict.ledger_rows:,} written",
        metadata={
            **shared,
            "rows held": verdict.counts.rows,
            "rows written by committed ranges": verdict.ledger_rows,
            "messages read by committed ranges": verdict.ledger_messages,
            "messages the log holds in them": verdict.log_messages,
            "dead letters": verdict.dead_letters,
            "duplicates dropped": verdict.duplicates_dropped,
        },
    )
    yield dg.AssetCheckResult(
        asset_key=key,
        check_name=NO_GAPS,
        passed=verdict.no_gaps,
        description=_gap_sentence(verdict),
        metadata={
            **shared,
            "not read": listed(verdict.gaps, SHOWN_RANGES),
            "dropped by the log before they were read": listed(verdict.lost, SHOWN_RANGES),
        },
    )
    yield dg.AssetCheckResult(
        asset_key=key,
        check_name=NO_DUPLICATES,
        passed=verdict.no_duplicates,
        description=f"{verdict.counts.rows - verdict.counts.distinct_ids} rows too many",
        metadata={
            **shared,
            "rows": verdict.counts.rows,
            "distinct ids": verdict.counts.distinct_ids,
        },
    )


def _gap_sentence(verdict: "Verdict") -> str:
    if verdict.no_gaps:
        return "no sequence is missing"
    unread, dropped = (listed(each, SHOWN_RANGES) for each in (verdict.gaps, verdict.lost))
    return (
        f"not read: {unread}; dropped by the log before they were read: {dropped}. Materialise "
        "the partition to read what the log still holds."
    )


def day_of_check(context: dg.AssetCheckExecutionContext) -> date:
    """The day of the partition, or the current day if checks run without a partition.

    The results of the check are recorded for that partition.
    """
    op = context.op_execution_context
    name_partition(op.run)
    return day_of(op.partition_key) if op.has_partition_key else datetime.now(UTC).date()
