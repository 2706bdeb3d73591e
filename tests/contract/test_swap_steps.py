"""A swap that is killed between two of its own steps: readers see a whole day, and the next rebuild
puts everything right.

No server dies between two requests of our choosing; what is done up to there is done on a real one.
"""

from typing import Any

import pytest
from event_tables import DAY, STREAM, block, entry, event
from request_plane import REQUEST_PLANE

from fraiseql_assets.analytics import replacement as analytics
from fraiseql_assets.operational import replacement as operational
from fraiseql_assets.planes import AssetReader, Plane

OPERATIONAL_STEPS = [
    (operational, "write_entry", 1),
    (operational, "delete_entries", 1),
    # The replacement itself drops first what was left behind.
    (operational, "drop", 2),
]
STEPS = {
    "analytics": [
        (analytics, "write_entry", 1),
        (analytics, "delete_others_of_day", 1),
        # The aggregates are replaced after the events, table by table.
        (analytics.PartitionReplacement, "_replace_partition", 2),
        (analytics.PartitionReplacement, "_replace_partition", 4),
    ],
    "operational": OPERATIONAL_STEPS,
    REQUEST_PLANE: OPERATIONAL_STEPS,
}
BEFORE = [event(number) for number in range(1, 201)]
AFTER = [event(number) for number in range(1, 301)]


class Killed(BaseException):
    """The process was killed."""


@pytest.fixture(
    params=[(name, step) for name, steps in STEPS.items() for step in steps],
    ids=[f"{name}-{step[1]}-{step[2]}" for name, steps in STEPS.items() for step in steps],
)
def plane_name(request: pytest.FixtureRequest) -> str:
    return request.param[0]


@pytest.fixture
def kill(request: pytest.FixtureRequest, plane_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The step is not executed."""
    _, (owner, name, call) = request.node.callspec.params["plane_name"]
    step, calls = getattr(owner, name), 0

    def killing(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            raise Killed
        return step(*arguments, **named)

    monkeypatch.setattr(owner, name, killing)


def rebuild(plane: Plane) -> None:
    replacement = plane.replace(DAY)
    replacement.write(block(AFTER))
    plane.record(entry(1, 300, kind="partition"))
    replacement.swap(entry(1, 300, state="committed", kind="partition", rows=300))


@pytest.mark.usefixtures("kill")
def test_a_killed_swap_leaves_a_complete_day_and_the_next_succeeds(
    plane: Plane, reader: AssetReader, asset: str
) -> None:
    def read() -> int:
        return sum(batch.num_rows for batch in reader.batches(asset))

    plane.record(entry(1, 200))
    plane.write(block(BEFORE))
    plane.record(entry(1, 200, state="committed", rows=200, messages=200))
    with pytest.raises(Killed):
        rebuild(plane)
    assert read() == plane.count(DAY).rows == 300
    rebuild(plane)
    assert read() == plane.count(DAY).rows == 300
    [left] = plane.ledger(STREAM)
    assert (left.kind, left.state, left.rows) == ("partition", "committed", 300)
