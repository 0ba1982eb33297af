"""What is true of an overpass: five masks, sediment per pixel, sediment per reach."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ssc.masks import Mask, Masks, clear_water
from ssc.simulate.noise import Field
from ssc.simulate.scene import Scene, swath

CLOUD_OPACITY = 0.1
"""Truth calls cloud what hides at least this share of the ground's signal."""
SHADOW_BEAM = 0.7
"""Truth calls cloud shadow what keeps less than this share of the direct sunlight, and is not cloud itself."""
COVERED = 0.5
"""Truth calls water, snow or ice what covers at least this share of the pixel."""


def masks(scene: Scene) -> Masks:
    """The five masks as they are, not as anyone sees them.

    WATER and SNOW_ICE tell of the surface, also under cloud, and exclude each other. CLOUD and CLOUD_SHADOW exclude
    each other. TERRAIN_SHADOW is geometry, whatever else is there.
    """
    shape, ground = scene.landscape.shape, scene.ground
    stack = np.zeros((len(Mask), *shape), dtype=bool)
    snow = (ground.snow >= COVERED).ravel()
    snow[ground.pixel] = (ground.ice >= COVERED) | (snow[ground.pixel] & (ground.water + ground.ice < COVERED))
    stack[Mask.SNOW_ICE] = snow.reshape(shape)
    stack[Mask.WATER].ravel()[ground.pixel[ground.water >= COVERED]] = True
    stack[Mask.CLOUD] = scene.sky.opacity >= CLOUD_OPACITY
    stack[Mask.CLOUD_SHADOW] = (scene.sky.beam < SHADOW_BEAM) & ~stack[Mask.CLOUD]
    stack[Mask.TERRAIN_SHADOW] = scene.terrain_shadow
    valid = swath(scene)
    return Masks(stack=stack & valid, valid=valid)


def ssc(scene: Scene) -> Field:
    """(H, W) suspended sediment, mg/L, where truth is water; NaN elsewhere."""
    ground = scene.ground
    field = np.full(scene.landscape.shape, np.nan, dtype=np.float32)
    wet = ground.water >= COVERED
    field.ravel()[ground.pixel[wet]] = ground.ssc[wet]
    field[~swath(scene)] = np.nan
    return field


def reaches(scene: Scene) -> pd.DataFrame:
    """One row per reach with water on the tile: its sediment over all its water pixels, clear or not.

    Columns: granule, reach_id, acquisition (as in the granule's name, ISO 8601 UTC), time (when the tile was seen),
    ssc_median_mg_l, ssc_mean_mg_l, n_px_true (water pixels in the swath), n_px_clear_true (of them, clear), simulated.
    """
    ground = scene.ground
    seen = swath(scene).ravel()[ground.pixel]
    wet = (ground.water >= COVERED) & (ground.reach >= 0) & seen
    pixels = pd.DataFrame(
        {
            "reach": ground.reach[wet],
            "ssc": ground.ssc[wet].astype(np.float64),
            "clear": clear_water(masks(scene)).ravel()[ground.pixel[wet]],
        }
    )
    by = pixels.groupby("reach")
    granule, ids = scene.passing.granule, scene.landscape.rivers.reaches["reach_id"].to_numpy()
    table = pd.DataFrame(
        {
            "ssc_median_mg_l": by["ssc"].median().round(3),
            "ssc_mean_mg_l": by["ssc"].mean().round(3),
            "n_px_true": by.size(),
            "n_px_clear_true": by["clear"].sum(),
            "simulated": True,
        }
    )
    table.insert(0, "granule", granule.name)
    table.insert(1, "reach_id", ids[table.index])
    table.insert(2, "acquisition", f"{granule.acquired:%Y-%m-%dT%H:%M:%SZ}")
    table.insert(3, "time", f"{scene.passing.sensed:%Y-%m-%dT%H:%M:%SZ}")
    return table.reset_index(drop=True)
