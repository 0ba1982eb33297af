"""Simulated rows to train regressors on: a match-up table whose laboratory is the simulator's truth.

    table = run(training_plan(basins=20), Path("out"), report=print)

What a regressor learns from them is the simulator's water, whose colour is one optical model with two kinds of
sediment: real rivers differ from each other by more. So every row says that it is simulated, in a column and in its
site, and the basins are none of those that budgets are made on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from ssc.clear import ClearWaterRule
from ssc.drafts import drafted
from ssc.matchups.columns import conform
from ssc.schema import SAMPLE
from tasks.chips.simulated import TILES
from tasks.experiments.basins import TEST_SEEDS, TRAINING_SEEDS, BasinPlan, Report, require_apart, run_basins

MASKER: Final = "default"
PROVIDER: Final = "SIMULATED"
FILE: Final = "simulated_matchups.parquet"


def training_plan(
    *, basins: int, first: int = TRAINING_SEEDS.start, masker: str = MASKER, processes: int | None = None
) -> BasinPlan:
    """Basins for training: other seeds and suns than the test basins'."""
    return BasinPlan(maskers=(masker,), basins=basins, first=first, tiles=TILES, processes=processes)


def run(plan: BasinPlan, out: Path, *, report: Report) -> pd.DataFrame:
    """Simulate and write `out/simulated_matchups.parquet`; basins that an earlier run finished are not done again.

    Args:
        plan: Basins, and one masker or several.
        out: Folder.
        report: Hears how far it is.

    Returns:
        The table, see `match_ups`.

    Raises:
        InputError: Basins that are kept for tests, or no such masker.
    """
    require_apart(plan, TEST_SEEDS, "tests")
    table = match_ups(run_basins(plan, out, report), plan.maskers)
    with drafted(out / FILE) as draft:
        table.to_parquet(draft, index=False)
    return table


def match_ups(samples: pd.DataFrame, maskers: tuple[str, ...]) -> pd.DataFrame:
    """A match-up table (`ssc.matchups.columns`) of all samples with enough pixels and a truth.

    Site is basin and reach: folds by site keep the days of a reach together, folds by basin its landscape. The sample
    is taken at the overpass itself, from all water of the reach.

    Args:
        samples: Of `tasks.experiments.basins.run_basins`.
        maskers: Whose samples to take.
    """
    told = samples["masks"].isin(maskers) & (samples["ssc_true"] > 0)
    rows = samples[told & (samples["n_px_used"] >= ClearWaterRule().least_px)]
    basin = "SIM-" + rows["basin"].astype(str)
    table = rows[["reach_id", "longitude", "latitude", "acquisition", "platform", "product"]].assign(
        site=basin + "-" + rows["reach_id"].astype(str),
        sample_id=basin + "-" + rows["reach_id"].astype(str) + "@" + rows["granule"],
        sample_time=rows["acquisition"],
        ssc_mg_l=rows["ssc_true"].astype(np.float64),
        censored=False,
        label_source="ssc",
        weight=1.0,
        basin=basin,
        dt_h=0.0,
        dt_uncertain_h=0.0,
        provider=PROVIDER,
        granule_id=rows["granule"],
        masker=rows["masks"],
        simulated=True,
    )
    features = rows[[column.name for column in SAMPLE]]
    return conform(pd.concat([table, features], axis=1), "matchup")
