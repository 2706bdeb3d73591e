"""Setup can be repeated, and a plane that is unavailable or not set up says so."""

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from operator import methodcaller

import pytest
from event_tables import DAY, STREAM, block, event
from pydantic import SecretStr

from fraiseql_assets.analytics.client import connect
from fraiseql_assets.analytics.plane import AnalyticsPlane
from fraiseql_assets.operational.client import connect as connect_search
from fraiseql_assets.operational.plane import OperationalPlane
from fraiseql_assets.planes import Plane, PlaneNotSetUp, PlaneUnavailable
from fraiseql_assets.settings import Settings

ADDRESS = {"analytics": "clickhouse_url", "operational": "elasticsearch_url"}
PING, LEDGER = methodcaller("ping"), methodcaller("ledger", STREAM)
NOBODY_IS_THERE = SecretStr("http://127.0.0.1:1/")

OpenPlane = Callable[..., Plane]


def test_a_second_setup_changes_nothing(plane: Plane) -> None:
    plane.write(block([event(1)]))
    said = plane.setup()
    assert said
    assert all("as it should be" in line or "keeps" in line for line in said)
    assert plane.count(DAY).rows == 1


def test_a_plane_answers_after_setup(plane: Plane) -> None:
    plane.ping()


@pytest.mark.parametrize("ask", [PING, LEDGER])
def test_a_plane_without_setup_is_reported(
    open_plane: OpenPlane, ask: Callable[[Plane], object]
) -> None:
    plane = open_plane()
    with pytest.raises(PlaneNotSetUp, match="fraiseql-assets setup"):
        ask(plane)


def test_the_description_of_a_plane_has_no_credentials(plane: Plane) -> None:
    servers = {"analytics": ("ClickHouse ",), "operational": ("Elasticsearch ", "OpenSearch ")}
    assert plane.describe().startswith(servers[plane.name])
    assert " at http://127.0.0.1:" in plane.describe()
    assert "@" not in plane.describe()


@pytest.mark.parametrize("ask", [PING, LEDGER, methodcaller("describe"), methodcaller("setup")])
def test_an_unreachable_server_is_unavailable_and_named(
    open_plane: OpenPlane, plane_name: str, ask: Callable[[Plane], object]
) -> None:
    plane = open_plane(**{ADDRESS[plane_name]: NOBODY_IS_THERE})
    with pytest.raises(PlaneUnavailable, match=r"at http://127\.0\.0\.1:1 .*FRAISEQL_"):
        ask(plane)


@pytest.mark.parametrize("ask", [PING, LEDGER])
def test_wrong_credentials_are_reported_as_such(
    open_plane: OpenPlane, plane_name: str, settings: Settings, ask: Callable[[Plane], object]
) -> None:
    setting = ADDRESS[plane_name]
    url = re.sub(r":[^:@]+@", ":wrong@", getattr(settings, setting).get_secret_value())
    plane = open_plane(**{setting: SecretStr(url)})
    with pytest.raises(PlaneUnavailable, match=rf"credentials.*FRAISEQL_{setting.upper()}"):
        ask(plane)


@pytest.fixture
def older(settings: Settings) -> Iterator[AnalyticsPlane]:
    """An analytics plane that an older release set up, with an event in it."""
    with closing(AnalyticsPlane(settings)) as plane:
        plane.setup()
        plane.write(block([event(1)]))
        with closing(connect(settings, timeout=30)) as client:
            client.command("ALTER TABLE fraiseql_events DROP COLUMN event_hash")
        yield plane


def test_writing_to_a_table_of_an_older_release_asks_for_setup(older: AnalyticsPlane) -> None:
    with pytest.raises(PlaneNotSetUp, match="fraiseql-assets setup"):
        older.write(block([event(2)]))


def test_setup_adds_columns_to_an_older_table(older: AnalyticsPlane) -> None:
    assert "table fraiseql_events: column event_hash added" in older.setup()
    assert older.count(DAY).rows == 1


def test_an_event_counts_once_after_columns_were_added(older: AnalyticsPlane) -> None:
    older.setup()
    again = {**event(1), "stream_seq": 2}
    assert older.write(block([again])).duplicates == 1


def test_shards_and_replicas_are_those_of_the_settings(settings: Settings) -> None:
    spread = settings.model_copy(update={"elasticsearch_shards": 3, "elasticsearch_replicas": 0})
    with closing(OperationalPlane(spread)) as plane:
        plane.setup()
        plane.write(block([event(number) for number in range(1, 21)]))
        assert plane.count(DAY).rows == 20
        # Ids decide the shard, so that what is written again is recognised.
        plane.write(block([event(number) for number in range(1, 21)]))
        assert plane.count(DAY).rows == 20
    client = connect_search(spread, timeout=30)
    try:
        [index] = client.indices.get_settings(index=f"{spread.index_prefix}-events-2*").values()
    finally:
        client.close()
    found = index["settings"]["index"]
    assert (found["number_of_shards"], found["number_of_replicas"]) == ("3", "0")
