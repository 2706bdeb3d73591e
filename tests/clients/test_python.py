"""`fraiseql-client`, against the service."""

import sys
import venv
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from fraiseql_assets.events.generate import generate
from tests.clients.broken import Cut, short_flight
from tests.clients.harness import (
    CLIENTS,
    DAYS,
    ORDERS,
    PUBLISHED,
    ROWS,
    SECRET,
    Served,
    output,
    run,
)
from tests.examples import examples
from tests.tokens import signed

PACKAGE = CLIENTS / "python"
sys.path.insert(0, str(PACKAGE / "src"))

import fraiseql_client as fraiseql  # noqa: E402 [the path comes first]

ALL_ROWS = ROWS * len(DAYS)
QUERY = "{ orders { id totalPrice status } }"


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[fraiseql.Client]:
    with fraiseql.connect(served.settings.flight_url, token=served.token) as client:
        yield client


@pytest.mark.parametrize("asset", ["analytics/events", "operational/events"])
def test_an_asset_is_read_from_all_endpoints(client: fraiseql.Client, asset: str) -> None:
    result = client.read_asset(asset)
    assert (result.rows, result.endpoints) == (ALL_ROWS, len(DAYS))
    table = result.to_arrow(parallel=3)
    assert (table.num_rows, table.schema) == (ALL_ROWS, result.schema)


def test_an_aggregate_has_the_announced_number_of_rows(client: fraiseql.Client) -> None:
    result = client.read_asset("analytics/events_hourly")
    assert result.to_polars().height == result.rows


def test_an_asset_is_narrowed_by_days_and_columns(client: fraiseql.Client) -> None:
    one = client.read_asset("analytics/events", partition=DAYS[0], columns=["event_id"])
    assert one.to_polars().shape == (ROWS, 1)
    later = client.read_asset("analytics/events", start=DAYS[1])
    assert later.to_arrow().num_rows == 2 * ROWS


def test_rows_are_in_the_order_of_the_endpoints(client: fraiseql.Client) -> None:
    result = client.read_asset("analytics/events", columns=["event_id", "stream_seq"])
    streamed = pa.Table.from_batches(result.batches())
    assert streamed.num_rows == ALL_ROWS
    days = (result.to_arrow(parallel=3)["stream_seq"].to_numpy() - 1) // ROWS
    assert list(days) == sorted(days)
    assert result.to_reader().read_all().num_rows == ALL_ROWS


def test_a_large_query_is_read_in_parallel(client: fraiseql.Client) -> None:
    result = client.query(QUERY)
    assert result.endpoints > 1
    frame = result.to_polars(parallel=4)
    assert (frame.height, frame["id"].n_unique()) == (ORDERS, ORDERS)


def test_a_query_takes_variables(client: fraiseql.Client) -> None:
    query = "query ($most: Int) { orders(limit: $most) { id } }"
    assert client.query(query, {"most": 7}).to_arrow().num_rows == 7


def test_a_lazy_frame_reads_only_the_needed_columns_and_days(client: fraiseql.Client) -> None:
    lazy = client.read_asset("analytics/events").lazy()
    busy = lazy.filter(pl.col("entity_type") == "Order").select("entity_id", "seq")
    orders = client.events("Order").to_polars()
    assert busy.collect().height == orders.height > 0
    assert lazy.head(5).collect().height == 5
    assert lazy.select(pl.len()).collect().item() == ALL_ROWS


def test_a_lazy_query_filters_and_projects(client: fraiseql.Client) -> None:
    lazy = client.query(QUERY).lazy()
    shipped = lazy.filter(pl.col("status") == "SHIPPED").select("id").collect()
    assert shipped.columns == ["id"]
    assert 0 < shipped.height < ORDERS


def test_progress_ends_at_the_announced_number_of_rows(client: fraiseql.Client) -> None:
    told: list[tuple[int, int | None]] = []
    client.read_asset("analytics/events").to_arrow(progress=lambda *rows: told.append(rows))
    assert told[-1] == (ALL_ROWS, ALL_ROWS)
    client.read_asset("analytics/org_daily").to_arrow(progress=True)


def test_events_are_objects(client: fraiseql.Client) -> None:
    events = list(client.events("Order", limit=20))
    assert len(events) == 20
    assert {event.entity_type for event in events} == {"Order"}
    assert all(isinstance(event.document(), dict) for event in events)


def test_search_finds_events(client: fraiseql.Client) -> None:
    hits = client.search("entity_type:Order", limit=5).to_polars()
    assert hits["entity_type"].to_list() == ["Order"] * 5
    counts = client.search("entity_type:Order", count="type").to_polars()
    assert counts["count"].sum() == client.events("Order").to_arrow().num_rows


def test_search_continues_at_a_cursor(client: fraiseql.Client) -> None:
    first = client.search("entity_type:Order", kinds="events", limit=5).to_polars()
    second = client.search(
        "entity_type:Order", kinds="events", limit=5, cursor=first["cursor"][-1]
    ).to_polars()
    assert not set(first["id"]) & set(second["id"])


def test_new_events_are_followed(client: fraiseql.Client, served: Served) -> None:
    with client.follow() as tail:
        events = iter(tail)
        served.publish(10)
        followed = [next(events) for _ in range(10)]
    positions = [event.position for event in followed]
    assert positions == sorted(set(positions))
    assert tail.position == positions[-1]


def test_following_continues_after_a_position(client: fraiseql.Client, served: Served) -> None:
    with client.follow() as tail:
        events = iter(tail)
        served.publish(4)
        first = [next(events) for _ in range(2)]
        after = str(tail.position)
    served.publish(3)
    with client.follow(after=after) as tail:
        events = iter(tail)
        missed = [next(events) for _ in range(5)]
        served.publish(1)
        missed.append(next(events))
    positions = [event.position.sequence for event in (*first, *missed)]
    assert positions == list(range(positions[0], positions[0] + 8))


def test_following_from_the_start_has_every_event_of_the_log(
    client: fraiseql.Client,
) -> None:
    rows = 0
    with client.follow(after="0:0") as tail:
        for batch in tail.batches():
            rows += batch.num_rows
            if rows >= PUBLISHED:
                break
    assert rows >= PUBLISHED


def test_following_continues_after_the_connection_breaks(served: Served) -> None:
    with (
        Cut(served.settings.flight_url) as cut,
        fraiseql.connect(cut.url, token=served.token) as client,
        client.follow() as tail,
    ):
        begun = served.head()
        events = iter(tail)
        served.publish(3)
        followed = [next(events) for _ in range(3)]
        cut.now()
        served.publish(4)
        followed += [next(events) for _ in range(4)]
    sequences = [event.position.sequence for event in followed]
    assert sequences == list(range(begun + 1, begun + 8))


def test_following_ends_when_the_log_has_deleted_events(client: fraiseql.Client) -> None:
    with pytest.raises(fraiseql.InvalidRequest, match="the log ends at"):
        client.follow(after="999999:0")


def test_written_events_are_in_the_log_once(client: fraiseql.Client, served: Served) -> None:
    made = pa.Table.from_batches(generate(25_000, seed=17))
    before = served.head()
    written = client.write(made)
    assert (written.rows, written.duplicates, written.last_sequence) == (25_000, 0, served.head())
    again = client.write(pl.from_arrow(made))
    assert (again.rows, again.duplicates) == (25_000, again.messages)
    ids = [event["event_id"] for event in served.logged(before, 25_000)]
    assert sorted(ids) == sorted(made["event_id"].to_pylist())


def test_events_are_written_from_columns(client: fraiseql.Client, served: Served) -> None:
    before = served.head()
    columns = {
        "event_id": ["n-1", "n-2"],
        "event_type": ["INSERT"] * 2,
        "entity_type": ["Note"] * 2,
        "entity_id": ["1", "2"],
        "timestamp": [datetime.now(UTC)] * 2,
        "data": ["{}"] * 2,
        "colour": ["red"] * 2,
    }
    written = client.write(columns)
    assert written.rows == len(served.logged(before, 2))
    assert "colour" in " ".join(written.warnings)


def test_invalid_writes_are_refused(client: fraiseql.Client, served: Served) -> None:
    with pytest.raises(fraiseql.InvalidRequest, match="event_id"):
        client.write({"nothing": [1]})
    with pytest.raises(fraiseql.Forbidden, match="FRAISEQL_WRITABLE"):
        client.write({"id": [1]}, "tb_order")
    url, token = served.settings.flight_url, signed(SECRET, sub="eve")
    with (
        fraiseql.connect(url, token=token) as reader,
        pytest.raises(fraiseql.Forbidden, match="scope"),
    ):
        reader.write({"event_id": ["x"]})


def test_fewer_rows_than_announced_are_an_error() -> None:
    with short_flight() as url, fraiseql.connect(url) as client:
        result = client.read_asset("analytics/events")
        with pytest.raises(fraiseql.Incomplete, match="3 of 5"):
            result.to_arrow()
        with pytest.raises(fraiseql.Incomplete, match="3 of 5"):
            list(result.batches())


def test_a_missing_file_is_named() -> None:
    with pytest.raises(fraiseql.InvalidRequest, match=r"nothing\.pem cannot be read.*CA_FILE"):
        fraiseql.connect("grpc+tls://127.0.0.1:1", tls_ca="nothing.pem")


def test_flights_are_listed(client: fraiseql.Client) -> None:
    assets = {asset.name: asset for asset in client.assets()}
    events = assets["analytics/events"]
    assert (events.rows, events.partitions) == (ALL_ROWS, len(DAYS))
    assert client.health()["status"] == "healthy"


def test_a_notebook_shows_the_first_rows_and_the_row_count(client: fraiseql.Client) -> None:
    shown = client.read_asset("analytics/events")._repr_html_()
    assert f"analytics/events: {ALL_ROWS:,} rows" in shown
    assert shown.count("<tr>") == 11
    wrong = client.query("{ nothing { id } }")._repr_html_()
    assert "nothing" in wrong


@pytest.mark.parametrize(
    ("token", "kind", "says"),
    [(None, fraiseql.Unauthenticated, "token="), ("nonsense", fraiseql.Unauthenticated, "token=")],
)
def test_an_invalid_token_is_refused(
    served: Served, token: str | None, kind: type[Exception], says: str
) -> None:
    with (
        fraiseql.connect(served.settings.flight_url, token=token) as stranger,
        pytest.raises(kind, match=says),
    ):
        stranger.read_asset("analytics/events").to_arrow()


def test_a_token_can_be_created_for_each_request(served: Served) -> None:
    made = iter([served.token, served.token])
    with fraiseql.connect(served.settings.flight_url, token=lambda: next(made)) as client:
        assert client.read_asset("analytics/org_daily").to_arrow().num_rows


def test_errors_have_the_message_of_the_service(client: fraiseql.Client) -> None:
    with pytest.raises(fraiseql.NotFound, match="There are: "):
        client.read_asset("analytics/nothing").to_arrow()
    with pytest.raises(fraiseql.InvalidRequest, match="no column"):
        client.read_asset("analytics/events", columns=["nothing"]).to_arrow()
    with pytest.raises(fraiseql.InvalidRequest, match="nothing"):
        client.query("{ nothing { id } }").to_arrow()


def test_an_unreachable_service_is_named() -> None:
    with (
        fraiseql.connect("grpc://127.0.0.1:1") as client,
        pytest.raises(fraiseql.Unavailable, match="No service answers at grpc:"),
    ):
        client.health()


def test_the_package_installs_by_itself(served: Served, tmp_path: Path) -> None:
    # The libraries are this environment's; the package is not.
    venv.create(tmp_path / "venv", system_site_packages=False, with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    command = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", PACKAGE]
    libraries = next(path for path in sys.path if path.endswith("site-packages"))
    environment = {**served.environment, "PYTHONPATH": libraries}
    output(run([python, *command], environment))
    program = (
        "import fraiseql_client as f; c = f.connect(); "
        "print(f.__file__, c.read_asset('analytics/events').to_polars().height)"
    )
    printed = output(run([python, "-c", program], environment)).split()
    assert str(tmp_path) in printed[0]
    assert int(printed[1]) == ALL_ROWS


def test_the_examples_of_the_readme_run(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in served.environment.items():
        monkeypatch.setenv(name, value)
    names: dict[str, object] = {"__name__": "__main__"}
    for example in examples(PACKAGE / "README.md"):
        if example.language == "python":
            exec(example.code, names)
