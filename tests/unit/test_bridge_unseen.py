"""A row that is committed late is published, and the number of one that was rolled back is not
waited for, in whatever order transactions run."""

import hypothesis.strategies as st
from hypothesis import given, settings

from fraiseql_assets.bridge.unseen import LARGEST, Activity, Unseen

MOST = 1_000


def activity(*writers: str, oldest: int = 100, next_id: int = 100) -> Activity:
    return Activity(frozenset(writers), oldest, next_id)


def test_missing_numbers_below_a_visible_one_are_a_gap() -> None:
    unseen = Unseen(0)
    unseen.see([2, 3, 7])
    assert (unseen.head, unseen.gaps) == (7, ((1, 1), (4, 6)))


def test_a_late_row_is_read_from_its_gap() -> None:
    unseen = Unseen(7, [(4, 6)])
    assert unseen.ranges(MOST) == ([4, 8], [6, LARGEST])
    unseen.see([5])
    assert unseen.gaps == ((4, 4), (6, 6))


def test_a_gap_stays_while_a_transaction_that_may_fill_it_runs() -> None:
    unseen = Unseen(7, [(4, 6)])
    for running in (activity("3/1", "3/2"), activity("3/2", "4/9")):
        unseen.observe(running)
        assert unseen.settle(running, LARGEST) == 0
    over = activity("4/9")
    unseen.observe(over)
    assert unseen.settle(over, LARGEST) == 3


def test_a_gap_stays_while_a_transaction_id_of_its_time_is_in_use() -> None:
    unseen = Unseen(7, [(4, 6)])
    unseen.observe(activity(oldest=90, next_id=100))
    for oldest, dropped in ((99, 0), (100, 3)):
        running = activity(oldest=oldest, next_id=120)
        unseen.observe(running)
        assert unseen.settle(running, LARGEST) == dropped


def test_a_gap_found_after_the_transactions_were_read_stays() -> None:
    unseen = Unseen(0)
    before = activity()
    unseen.observe(before)
    unseen.see([5])
    assert unseen.settle(before, LARGEST) == 0


def test_a_gap_beyond_the_rows_that_were_read_stays() -> None:
    unseen = Unseen(9, [(2, 3), (5, 6)])
    idle = activity()
    unseen.observe(idle)
    unseen.see([4])
    assert unseen.settle(idle, 4) == 2
    assert unseen.gaps == ((5, 6),)


def test_with_too_many_gaps_nothing_beyond_them_is_read() -> None:
    unseen = Unseen(9, [(1, 1), (3, 3), (5, 5)])
    assert unseen.ranges(2) == ([1, 3, 5], [1, 3, 5])
    assert unseen.ranges(3) == ([1, 3, 5, 10], [1, 3, 5, LARGEST])


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
        self.unseen = Unseen(0)

    def begin(self) -> "Writer":
        self.begun += 1
        return Writer(f"1/{self.begun}")

    def step(self, what: str, which: int) -> None:
        writer = self.writers[which]
        if what == "poll":
            # A restart forgets which transactions are waited for.
            self.unseen = Unseen(self.unseen.head, self.unseen.gaps) if which else self.unseen
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
        self.unseen.observe(now)
        ranges = list(zip(*self.unseen.ranges(MOST), strict=True))
        found = sorted(n for n in self.visible if any(a <= n <= b for a, b in ranges))
        page = found[:rows]
        self.published += page
        self.unseen.see(page)
        self.unseen.settle(now, LARGEST if len(found) < rows else page[-1])


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
    assert model.unseen.gaps == ()
