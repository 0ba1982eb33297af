"""Progress of a run: a bar on a terminal, plain lines elsewhere; always on stderr, so that stdout stays for results."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ssc.ledger import Status
from tasks.outcome import Outcome
from tasks.run import Progress as Callback


@contextmanager
def show_progress() -> Iterator[Callback]:
    """Gives the callback that a run calls with each outcome."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda outcome, done, total: console.print(
            f"[{done}/{total}] {_line(outcome)}", highlight=False, markup=False, soft_wrap=True
        )
        return
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console) as bar:
        work = bar.add_task("granules", total=None)

        def tick(outcome: Outcome, done: int, total: int) -> None:
            bar.update(work, completed=done, total=total, description=outcome.granule)
            if outcome.status is Status.SET_ASIDE:
                bar.console.print(_line(outcome), highlight=False, markup=False)

        yield tick


def _line(outcome: Outcome) -> str:
    """One line a granule, key=value."""
    if outcome.status is Status.SET_ASIDE:
        return f"granule={outcome.granule} status=set_aside reason={outcome.reason}"
    counts = f"reaches={outcome.n_reaches} estimated={outcome.n_estimated} seconds={outcome.seconds:.1f}"
    return f"granule={outcome.granule} status={outcome.status} {counts}"
