"""The error budget of SSC estimates on simulated rivers: which part is the masks', the aggregation's, the regressor's.

    facts = run(BasinPlan(maskers=("default", "legacy-dswx")), Path("out"), regressor="physical", report=print)

What the parts are: `tasks.experiments.budget_parts`. Which basins: `tasks.experiments.basins`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from ssc.drafts import drafted
from ssc.provenance import code_version
from tasks.experiments.basins import TRAINING_SEEDS, BasinPlan, Report, require_apart, run_basins
from tasks.experiments.budget_figure import draw_budget
from tasks.experiments.budget_parts import split, whole
from tasks.experiments.budget_tables import (
    coverage_table,
    differences,
    estimates_without_water,
    ordered,
    parts_table,
    skill_table,
)
from tasks.experiments.budget_text import Tables, label_of, markdown
from tasks.job import open_regressor


def run(plan: BasinPlan, out: Path, *, regressor: str, report: Report, command: str = "") -> dict[str, Any]:
    """Simulate, sample, estimate, split, write. Basins that an earlier run finished are not done again.

    Args:
        plan: Basins and maskers; differences are of the first masker and each other one.
        out: Folder for budget.md, budget.csv, skill.csv, differences.csv, budget.png, rows.parquet and the basins.
        regressor: Name, see `ssc.regression.load`.
        report: Hears how far it is.
        command: That asked for it, for the record.

    Returns:
        What was done, and the paths by what they are.

    Raises:
        InputError: No such regressor or masker, or basins that are kept for training.
    """
    require_apart(plan, TRAINING_SEEDS, "training")
    estimator = open_regressor(regressor)
    rows = ordered(split(run_basins(plan, out, report), estimator), plan.maskers)
    tables = Tables(
        parts=parts_table(rows),
        coverage=coverage_table(rows),
        skill=skill_table(rows),
        differences=differences(rows, plan.maskers[0]),
        without_water=estimates_without_water(rows),
    )
    facts = {
        "simulated": True,
        "regressor": estimator.name,
        "maskers": list(plan.maskers),
        "seeds": [plan.seeds[0], plan.seeds[-1]],
        "tiles": sorted(set(rows["tile"])),
        "granules": plan.granules,
        "size": plan.size,
        "reach_days": len(rows[rows["ssc_true"].notna()]) // len(plan.maskers),
        "reach_days_split": whole(rows).groupby("masker").size().reindex(plan.maskers, fill_value=0).to_dict(),
        "code_version": code_version(),
        "command": command,
    }
    label = label_of(plan.seeds)
    with drafted(out / "rows.parquet") as draft:
        rows.to_parquet(draft, index=False)
    with drafted(out / "budget.md") as draft:
        draft.write_text(markdown(tables, facts, label), encoding="utf-8")
    both = tables.coverage.merge(tables.parts, on=["masker", "ssc_class"], how="left")
    written = {
        "report": out / "budget.md",
        "budget": _write_csv(out / "budget.csv", both, estimator.name, label),
        "skill": _write_csv(out / "skill.csv", tables.skill, estimator.name, label),
        "differences": _write_csv(out / "differences.csv", tables.differences, estimator.name, label),
        "figure": draw_budget(out / "budget.png", tables, label=f"{estimator.name}; {label}"),
        "rows": out / "rows.parquet",
    }
    return facts | {"files": {name: str(path) for name, path in written.items()}}


def _write_csv(path: Path, table: pd.DataFrame, regressor: str, label: str) -> Path:
    """A table, every row of which says whose estimates and that they are simulated."""
    with drafted(path) as draft:
        table.assign(regressor=regressor, data=label).to_csv(draft, index=False, float_format="%.6g")
    return path
