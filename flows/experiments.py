"""What `ssc masker train --experiment sensors` does: the experiment of `tasks.experiments.sensors`, with a bar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from flows.bars import staged_bar
from tasks.experiments.sensor_plan import Plan
from tasks.experiments.sensors import run


def run_sensors(
    out: Path,
    *,
    chips: Sequence[Path] = (),
    river_chips: Path | None = None,
    seed: int = 0,
    device: str = "auto",
    command: str = "",
    plan: Plan | None = None,
) -> dict[str, Any]:
    """Train the same network on S30, on L30 and on both, test each on each; a run that was stopped goes on.

    Args:
        out: Folder for chips, networks, tables and figures.
        chips: Folders of chips with all bands; none: simulated ones are made.
        river_chips: Folder of the real HLS L30 river chips, for a test on real water.
        seed: Of networks, batches and draws.
        device: "cuda", "cpu", or "auto".
        command: That asked for it, for the record.
        plan: All the rest.

    Returns:
        What `summary.json` says.

    Raises:
        InputError: Chips that cannot serve, or a folder that holds another experiment.
    """
    asked = replace(
        plan or Plan(),
        chips=tuple(str(folder) for folder in chips),
        river_chips=None if river_chips is None else str(river_chips),
        seed=seed,
        device=device,
    )
    with staged_bar() as tick:
        facts = run(asked, out, command=command, report=tick)
    Console(stderr=True).print(f"tables and figures are in {out}", soft_wrap=True, highlight=False)
    return facts
