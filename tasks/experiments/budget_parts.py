"""Where the error of an estimate comes from, on simulated rivers: masks, aggregation, or regression.

    rows = split(samples, open_regressor("physical"))        samples: tasks.experiments.basins.run_basins

In ln space the parts of a row add up to its error, ln(estimate / truth):

    mask          estimate under the masker's masks          against  under the true masks
    aggregation   estimate under the true masks              against  from the colour of all the reach's water
        light     from what the sensor saw in the used pixels  against  from their water's own colour
        choice    from the own colour of the used pixels       against  from that of all the reach's water
    regression    estimate from the colour of all water      against  the truth

Why so: the regression part shall be a function of the sediment alone, the same whatever the sky and the masks, so it is
taken where nothing else can err: pure water, over the very pixels that the truth is the median of. What then stands
between that and the best possible masks is aggregation: land in the pixel, light from beside it, haze, glint, shade,
noise and calibration (light), and which part of the reach is seen and used (choice; pixels that the corridor gives to a
neighbouring reach are in it too). Parts may cancel, so their RMS do not add up; their means do.

The parts need both estimates: rows that only the masker, or only the true masks give have an error or a loss of
coverage, but no parts.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from ssc.flags import withhold
from ssc.regression import Regressor
from ssc.schema import SAMPLE
from tasks.experiments.basin_samples import ALL_WATER, LEVELS, SAME_PIXELS, TRUE_MASKS

PARTS: Final = ("mask", "aggregation", "regression")
"""They add up to `error`."""
HALVES: Final = ("light", "choice")
"""They add up to `aggregation`."""
EDGES: Final = (10.0, 30.0, 100.0, 300.0, 1000.0)
"""mg/L; a truth on an edge belongs above it."""
CLASSES: Final = ("0-10", "10-30", "30-100", "100-300", "300-1000", ">1000")
KEY: Final = ["basin", "granule", "reach_id"]
"""A reach-day."""
_ABOUT: Final = (
    *KEY,
    "tile",
    "product",
    "platform",
    "acquisition",
    "weather",
    "load",
    "width_m",
    "ssc_true",
    "n_px_true",
    "n_px_clear_true",
)
_LEVEL_COLUMNS: Final = {TRUE_MASKS: "ssc_true_masks", SAME_PIXELS: "ssc_own_colour", ALL_WATER: "ssc_all_water"}


def split(samples: pd.DataFrame, regressor: Regressor) -> pd.DataFrame:
    """One row per reach-day and masker: the estimates of all levels, the error and its parts.

    Args:
        samples: Of `tasks.experiments.basins.run_basins`.
        regressor: Estimates at every level.

    Returns:
        Columns: basin, granule, reach_id and what is known of them; ssc_true (mg/L, NaN where the reach has no water),
        ssc_class; masker, regressor; ssc (mg/L, through the masker), ssc_true_masks, ssc_own_colour, ssc_all_water;
        n_px_used, flags (bits of the sample and of the regressor); error, `PARTS` and `HALVES` (ln, NaN where an
        estimate is missing); simulated.
    """
    told = samples.assign(**_estimates(samples, regressor))
    levels = {_LEVEL_COLUMNS[level]: told[told["masks"] == level].set_index(KEY)["ssc"] for level in LEVELS}
    own = told[~told["masks"].isin(LEVELS)]
    rows = own[[*_ABOUT, "masks", "ssc", "n_px_used", "flags"]].rename(columns={"masks": "masker"})
    for column, values in levels.items():
        rows = rows.join(values.rename(column), on=KEY)
    logs = {name: _ln(rows[name]) for name in ("ssc", *levels, "ssc_true")}
    rows = rows.assign(
        regressor=regressor.name,
        ssc_class=_class_of(rows["ssc_true"]),
        error=logs["ssc"] - logs["ssc_true"],
        mask=logs["ssc"] - logs["ssc_true_masks"],
        aggregation=logs["ssc_true_masks"] - logs["ssc_all_water"],
        light=logs["ssc_true_masks"] - logs["ssc_own_colour"],
        choice=logs["ssc_own_colour"] - logs["ssc_all_water"],
        regression=logs["ssc_all_water"] - logs["ssc_true"],
        simulated=True,
    )
    return rows.sort_values(["masker", *KEY], ignore_index=True)


def whole(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows that have all parts."""
    return rows[rows[["error", *PARTS, *HALVES]].notna().all(axis=1)]


def _estimates(samples: pd.DataFrame, regressor: Regressor) -> dict[str, pd.Series]:
    """SSC of each sample (mg/L) and its flags; withheld as in the pipeline, but never from the colour of the water."""
    told = regressor.predict(samples[[*(column.name for column in SAMPLE), "product"]])
    flags = samples["flags"] | told["ssc_qual"]
    ideal = samples["masks"].isin([SAME_PIXELS, ALL_WATER])
    kept = withhold(told[["ssc"]], flags)["ssc"].where(~ideal, told["ssc"])
    return {"ssc": kept.astype(np.float64), "flags": flags}


def _ln(ssc: pd.Series) -> pd.Series:
    return pd.Series(np.log(ssc.to_numpy(dtype=np.float64)), index=ssc.index)


def _class_of(ssc: pd.Series) -> pd.Series:
    """Name of the class, "" where there is no water."""
    place = np.digitize(ssc.fillna(0), EDGES)
    return pd.Series(np.array(CLASSES)[place], index=ssc.index).where(ssc.notna(), "")
