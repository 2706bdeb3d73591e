"""A row that is committed late is published, and the number of one that was rolled back is not
waited for, in whatever order transactions run."""

import hypothesis.strategies as st
from hypothesis import given, settings

from fraiseql_assets.bridge.gaps import LARGEST, Activity, GapTracker

MOST = 1_000


def activity(*writers: str, oldest: int = 100, next_id: int = 100) -> Activity:
    return Activity(frozenset(writers), oldest, next_id)


def test_missing_numbers_below_a_visible_one_are_a_gap() -> None:
    tracker = GapTracker(0)
    tracker.see([2, 3, 7])
    assert (tracker.head, tracker.gaps) == (7, ((1, 1), (4, 6)))


def test_a_late_row_is_read_from_its_gap() -> None:
    tracker = GapTracker(7, [(4, 6)])
    assert tracker.ranges(MOST) == ([4, 8], [6, LARGEST])
    tracker.see([5])
    assert tracker.gaps == ((4, 4), (6, 6))


def test_a_gap_stays_while_a_transaction_that_may_fill_it_runs() -> None:
    tracker = GapTracker(7, [(4, 6)])
    for running in (activity("3/1", "3/2"), activity("3/2", "4/9")):
        tracker.observe(running)
        assert tracker.settle(running, LARGEST) == 0
    over = activity("4/9")
    tracker.observe(over)
    assert tracker.settle(over, LARGEST) == 3


def test_a_gap_stays_while_a_transaction_id_of_its_time_is_in_use() -> None:
    tracker = GapTracker(7, [(4, 6)])
    tracker.observe(activity(oldest=90, next_id=100))
    for oldest, dropped in ((99, 0), (100, 3)):
        running = activity(oldest=oldest, next_id=120)
        tracker.observe(running)
        assert tracker.settle(running, LARGEST) == dropped


def test_a_gap_found_after_the_transactions_were_read_stays() -> None:
    tracker = GapTracker(0)
    before = activity()
    tracker.observe(before)
    tracker.see([5])
    assert tracker.settle(before, LARGEST) == 0


def test_a_gap_beyond_the_rows_that_were_read_stays() -> None:
    tracker = GapTracker(9, [(2, 3), (5, 6)])
    idle = activity()
    tracker.observe(idle)
    tracker.see([4])
    assert tracker.settle(idle, 4) == 2
    assert tracker.gaps == ((5, 6),)


def test_with_too_many_gaps_nothing_beyond_them_is_read() -> None:
    tracker = GapTracker(9, [(1, 1), (3, 3), (5, 5)])
    assert tracker.ranges(2) == ([1, 3, 5], [1, 3, 5])
    assert tracker.ranges(3) == ([1, 3, 5, 10], [1, 3, 5, LARGEST])


WRITERS = 3
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["number", "number", "insert", "commit", "roll back", "poll", "poll"]),
        st.integers(0, WRITERS - 1),
    ),
    min_size=20,
    max_size=60,
)


class Writer:
    """A transaction of the model."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.xid: int | None = None
        self.taken: int | None = None
        """A number that was taken, and whose row has not been written."""
        self.rows: list[int] = []


class Model:
    """PostgreSQL as far as it matters here: numbers, transaction ids, locks and visibility.

    A statement locks the table, takes a number, and gets its transaction id when it writes the row.
    """

    def __init__(self) -> None:
        self.number, self.xid, self.begun = 0, 100, 0
        self.writers = [self.begin() for _ in range(WRITERS)]
        self.visible: set[int] = set()
        self.published: list[int] = []
        self.tracker = GapTracker(0)

    def begin(self) -> "Writer":
        self.begun += 1
        return Writer(f"1/{self.begun}")

    def step(self, what: str, which: int) -> None:
        writer = self.writers[which]
        if what == "poll":
            # A restart forgets which transactions are waited for.
            self.tracker = (
                GapTracker(self.tracker.head, self.tracker.gaps) if which else self.tracker
            )
            self.poll(rows=1 + which)
        elif what == "number" and writer.taken is None:
            self.number += 1
            writer.taken = self.number
        elif what == "insert" and writer.taken is not None:
            if writer.xid is None:
                writer.xid = self.xid
                self.xid += 1
            writer.rows.append(writer.taken)
            writer.taken = None
        elif what in ("commit", "roll back"):
            self.visible.update(writer.rows if what == "commit" else ())
            self.writers[which] = self.begin()

    def poll(self, rows: int) -> None:
        writers = frozenset(w.name for w in self.writers if w.taken is not None or w.rows)
        ids = [writer.xid for writer in self.writers if writer.xid is not None]
        now = Activity(writers, min(ids, default=self.xid), self.xid)
        self.tracker.observe(now)
        ranges = list(zip(*self.tracker.ranges(MOST), strict=True))
        found = sorted(n for n in self.visible if any(a <= n <= b for a, b in ranges))
        page = found[:rows]
        self.published += page
        self.tracker.see(page)
        self.tracker.settle(now, LARGEST if len(found) < rows else page[-1])


@settings(max_examples=200)
@given(STEPS)
def test_every_committed_row_is_published_once(steps: list[tuple[str, int]]) -> None:
    model = Model()
    ends = [(what, which) for which in range(WRITERS) for what in ("insert", "commit")]
    for what, which in [*steps, *ends]:
        model.step(what, which)
    for _ in range(3):
        model.poll(rows=MOST)
    assert sorted(model.published) == sorted(model.visible)
    assert model.tracker.gaps == ()
