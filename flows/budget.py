"""What `ssc regressor budget` does: the experiment of `tasks.experiments.budget`, with a bar."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from flows.bars import staged_bar
from ssc.legacy import maskers as legacy
from tasks.experiments import budget, train_rows
from tasks.experiments.basins import TEST_SEEDS, BasinPlan

MASKERS: Final = ("default", *legacy.NAMES)
"""The shipped network first, then those that need none."""


def run_budget(
    out: Path,
    *,
    basins: int = 10,
    seed: int = TEST_SEEDS.start,
    regressor: str = "physical",
    maskers: Sequence[str] = (),
    granules: int = 8,
    size: int = 512,
    command: str = "",
) -> dict[str, Any]:
    """Split the error of SSC on simulated basins into mask, aggregation and regression; a stopped run goes on.

    Args:
        out: Folder for tables, figure, rows and the basins' samples.
        basins: How many.
        seed: Of the first basin; the others follow.
        regressor: Name, see `ssc regressor list`.
        maskers: Names, see `ssc masker list`; the first is compared with each other one. None: `MASKERS`.
        granules: Overpasses of each basin.
        size: Pixels of 30 m per side of a basin.
        command: That asked for it, for the record.

    Returns:
        What was done, and where the files are.

    Raises:
        InputError: No such regressor or masker, or basins that are kept for training.
    """
    names = tuple(maskers) or MASKERS
    plan = BasinPlan(maskers=names, basins=basins, first=seed, granules=granules, size=size)
    with staged_bar() as tick:
        facts = budget.run(plan, out, regressor=regressor, report=tick, command=command)
    Console(stderr=True).print(f"SIMULATED error budget: {facts['files']['report']}", soft_wrap=True, highlight=False)
    return facts


def make_training_rows(out: Path, *, basins: int = 20) -> dict[str, Any]:
    """Simulated match-ups to train a regressor on; a stopped run goes on.

    Args:
        out: Folder for the table and the basins' samples.
        basins: How many.

    Returns:
        Counts, and where the table is.
    """
    plan = train_rows.training_plan(basins=basins)
    with staged_bar() as tick:
        table = train_rows.run(plan, out, report=tick)
    counts = {"rows": len(table), "sites": table["site"].nunique(), "basins": table["basin"].nunique()}
    return {"simulated": True, **counts, "table": str(out / train_rows.FILE)}
