"""The table of `status`: whole names and ids on a narrow terminal, and errors as sentences."""

import pytest
from rich.console import Console

from fraiseql_assets.cli.commands import status
from fraiseql_assets.cli.status import DatasetStatus, Overview, RunStatus
from fraiseql_assets.pipeline.progress import LogStatus, PlaneStatus

RUN = "0b5f2f6e-7c0e-4b7e-9d3c-5e6a1f2b3c4d"
DOWN = "Elasticsearch at http://127.0.0.1:9200 does not answer. Check that the server runs."


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> str:
    console = Console(width=80, highlight=False, force_terminal=False)
    monkeypatch.setattr(status, "out", console)
    down = PlaneStatus("operational", error=DOWN)
    found = Overview(
        at="2026-01-01T00:00:00+00:00",
        healthy=False,
        log=LogStatus("fraiseql_events"),
        planes=(PlaneStatus("analytics", last_commit="2026-01-01T12:00:00+00:00"), down),
        requests=DatasetStatus(LogStatus("fraiseql_requests"), (down,)),
        runs=(RunStatus(RUN, "STARTED", "operational_events", "2026-01-01"),),
    )
    with console.capture() as captured:
        status._show(found)  # pyright: ignore[reportPrivateUsage]
    return captured.get()


@pytest.mark.parametrize("name", ["operational/events", "operational/requests", RUN])
def test_names_and_ids_are_whole_on_a_narrow_terminal(printed: str, name: str) -> None:
    assert f" {name} " in printed


def test_the_error_of_a_plane_is_a_sentence_below_the_table(printed: str) -> None:
    lines = printed.splitlines()
    for asset in ("operational/events", "operational/requests"):
        assert f"✗ {asset}: {DOWN}" in lines
        [row] = [line for line in lines if f" {asset} " in line]
        assert " failed " in row
