"""Shows how many rows have arrived, with rich or tqdm, whichever is installed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = bool | Callable[[int, int | None], None]
"""True shows a bar. A function gets the number of rows so far, and of all rows if it is known."""


@contextmanager
def shown(progress: Progress, what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Yields what is told the number of rows that arrived.

    Raises:
        ImportError: a bar is asked for, and neither rich nor tqdm is installed.
    """
    if callable(progress):
        yield _counting(progress, total)
    elif not progress:
        yield lambda _: None
    elif _has("rich"):
        with _rich(what, total) as told:
            yield told
    elif _has("tqdm"):
        from tqdm.auto import tqdm

        with tqdm(total=total, desc=what, unit=" rows", unit_scale=True) as bar:
            yield lambda rows: _ignore(bar.update(rows))
    else:
        raise ImportError(
            "progress=True needs rich or tqdm: pip install 'fraiseql-client[progress]', or pass "
            "a function."
        )


@contextmanager
def _rich(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns) as bars:
        task = bars.add_task(what, total=total)
        yield lambda rows: bars.advance(task, rows)


def _counting(
    progress: Callable[[int, int | None], None], total: int | None
) -> Callable[[int], None]:
    arrived = 0

    def told(rows: int) -> None:
        nonlocal arrived
        arrived += rows
        progress(arrived, total)

    return told


def _has(library: str) -> bool:
    from importlib.util import find_spec

    return find_spec(library) is not None


def _ignore(_: object) -> None: ...
