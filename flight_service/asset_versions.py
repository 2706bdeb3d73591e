"""The version of an asset's rows, from the ledger of its plane or the bounds of the log."""

import hashlib
from datetime import UTC, datetime

from fraiseql_assets.catalogue import BY_KEY, LOGS
from fraiseql_assets.datasets import DATASETS
from fraiseql_assets.ledger import row_of
from fraiseql_assets.settings import Settings
from fraiseql_assets.setup import open_plane
from fraiseql_assets.stream.log import Log


class AssetVersions:
    """The versions of assets now. Thread-safe.

    Connections to the planes are opened on first use and kept: to open one takes longer than to
    read a ledger.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._planes = {
            (plane, dataset.name): open_plane(plane, settings, dataset)
            for dataset in DATASETS.values()
            for plane in dataset.planes
        }

    def version_of(self, key: str) -> str | None:
        """A string that changes whenever the asset's rows may have changed; None while rows are
        being written.

        The planes delete expired rows without a ledger entry, so a version is valid for the current
        UTC day.

        Raises:
            LogError, PlaneError: the server of the asset does not answer.
        """
        today, asset = datetime.now(UTC).date(), BY_KEY[key]
        dataset = DATASETS[asset.dataset]
        if asset in LOGS:
            with Log(self._settings, name="fraiseql flight", dataset=dataset) as log:
                return _digest(today, log.bounds())
        entries = self._planes[asset.plane, dataset.name].ledger(dataset.stream(self._settings))
        if any(entry.state != "committed" for entry in entries):
            return None
        return _digest(today, [row_of(entry) for entry in entries])


def _digest(*values: object) -> str:
    return hashlib.sha256(repr(values).encode()).hexdigest()[:32]
