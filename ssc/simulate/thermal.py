"""Brightness temperature of the two thermal bands of L30: warm ground, cooler water, cold cloud tops and heights."""

from __future__ import annotations

import numpy as np

from ssc.simulate.noise import Field
from ssc.simulate.scene import Scene, swath

CODES = ("B10", "B11")
LAPSE_K_M = 0.0065
"""Cooling with height, K/m."""


def celsius(scene: Scene, code: str) -> Field:
    """(H, W) degrees Celsius at the top of the atmosphere, NaN outside the swath."""
    height = scene.landscape.tile_dem()
    season = 24 * scene.season - 6  # mean air temperature at 700 m, a continental year
    ground = season - np.float32(LAPSE_K_M) * (height - 700) + 7 * (scene.direct - 0.6) - 4 * scene.ground.snow
    water = max(0.6 * season + 4, 0.0)
    pixel, ground_state = scene.ground.pixel, scene.ground
    wet = ground.ravel()[pixel] * (1 - ground_state.water - ground_state.ice)
    ground.ravel()[pixel] = wet + ground_state.water * water + ground_state.ice * min(season, -2.0)
    for opacity, top in ((scene.sky.water_opacity, scene.sky.height_m), (scene.sky.ice_opacity, 9500.0)):
        ground += opacity * (np.float32(season - LAPSE_K_M * top) - ground)
    noise = scene.stream("thermal", code).standard_normal(ground.shape, dtype=np.float32)
    ground += np.float32(0.15) * noise - (0.0 if code == "B10" else 1.1)
    ground[~swath(scene)] = np.nan
    return np.asarray(ground, dtype=np.float32)
