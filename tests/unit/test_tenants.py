"""The tenant whose rows a principal reads, in the planes' readers."""

from dataclasses import dataclass

import pyarrow as pa
import pytest

from flight_service.access import tenant_of
from flight_service.assets import Asset, AssetFlights
from flight_service.authentication import ANYONE, Principal
from flight_service.log_source import LogSource
from flight_service.plane_source import PlaneSource
from fraiseql_assets.analytics.reader import AnalyticsReader
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.operational.reader import OperationalReader
from fraiseql_assets.settings import Settings
from fraiseql_assets.tenants import rows_of

BATCH = pa.record_batch({"n": [1, 2, 3, 4], "tenant_id": pa.array(["a", None, "", "a"], pa.utf8())})
READER = Principal(tenant="a")
AUDITOR = Principal(tenant="a", scopes=frozenset({"all_tenants"}))


@pytest.mark.parametrize(
    ("tenant", "numbers"), [(None, [1, 2, 3, 4]), ("a", [1, 4]), ("", [3]), ("b", [])]
)
def test_a_tenant_keeps_only_its_own_rows(tenant: str | None, numbers: list[int]) -> None:
    kept = rows_of(BATCH, tenant)
    assert kept.schema == BATCH.schema
    assert kept["n"].to_pylist() == numbers


def test_the_scope_for_all_tenants_lifts_the_tenant() -> None:
    assert [tenant_of(one) for one in (ANYONE, READER, AUDITOR)] == [None, "a", None]


@dataclass(frozen=True)
class Source:
    """An asset that says which tenant it is read for."""

    tenant: str | None = None
    schema = BATCH.schema

    def of_tenant(self, tenant: str | None) -> "Source":
        return Source(tenant)

    def extent(self, ticket: Asset, cancellation: Cancellation) -> object:
        return self.tenant

    def stream(self, ticket: Asset, cancellation: Cancellation) -> list[str | None]:
        return [self.tenant]


@pytest.mark.parametrize(("principal", "tenant"), [(READER, "a"), (AUDITOR, None), (ANYONE, None)])
def test_an_asset_is_read_for_the_tenant_of_the_principal(
    principal: Principal, tenant: str | None
) -> None:
    flights = AssetFlights({"analytics/events": Source()})  # pyright: ignore[reportArgumentType]
    found = flights.resolve(Asset(asset="analytics/events"), principal)
    assert [*found.stream(Cancellation())] == [tenant]
    assert found.extent(Cancellation()) == tenant


def test_tenants_have_separate_extents() -> None:
    flights = AssetFlights({"analytics/events": Source()})  # pyright: ignore[reportArgumentType]
    ticket = Asset(asset="analytics/events")
    keys = {flights.resolve(ticket, one).extent_key for one in (READER, AUDITOR, ANYONE)}
    assert len(keys) == 2


def test_the_extent_of_the_log_has_no_counts_for_a_tenant() -> None:
    # No server is asked: what it would say counts the messages of all tenants.
    source = LogSource(Settings()).of_tenant("a")
    extent = source.extent(Asset(asset="stream/events"), Cancellation())
    assert (extent.rows, extent.bytes, extent.parts) == (None, None, ())
    assert set(extent.about.values()) == {None}


@pytest.mark.parametrize("kind", [AnalyticsReader, OperationalReader])
def test_a_source_of_a_tenant_keeps_its_asset(kind: type[AnalyticsReader]) -> None:
    source = PlaneSource(kind(Settings()), "analytics/events").of_tenant("a")
    assert source.key == "analytics/events"
    assert isinstance(source.reader, kind)
