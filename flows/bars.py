"""A progress bar for work in stages: a bar on a terminal, elsewhere a line at every tenth of the way; on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Tick = Callable[[str, int, int, str], None]
"""The stage, units of it done, of how many, and what else there is to say."""


@contextmanager
def staged_bar() -> Iterator[Tick]:
    """Gives the function to call whenever something has been done."""
    console = Console(stderr=True)
    if console.is_terminal:
        with _shown(console) as bar:
            work = bar.add_task("", total=None)
            yield lambda stage, done, total, more="": bar.update(
                work, completed=done, total=total, description=f"{stage} {more}"
            )
    else:
        yield _Lines(console)


def _shown(console: Console) -> Progress:
    times = (TimeElapsedColumn(), TimeRemainingColumn())
    return Progress(BarColumn(), MofNCompleteColumn(), *times, TextColumn("{task.description}"), console=console)


class _Lines:
    """Plain lines, one for every tenth of a stage."""

    def __init__(self, console: Console) -> None:
        self._console, self._said = console, ("", -1)

    def __call__(self, stage: str, done: int, total: int, more: str = "") -> None:
        tenth = (stage, 10 * done // max(total, 1))
        if tenth != self._said:
            self._said = tenth
            self._console.print(f"[{done}/{total}] {stage} {more}", highlight=False, markup=False, soft_wrap=True)
