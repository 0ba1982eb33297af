"""Small simulated scenes that know their own truth, made once per session.

    example = scene(seed=7)                       256 px, L30, June, cumulus
    example.observation, example.masks, example.ssc, example.scene

Truth and observation are one moment; nothing is read from disk. Do not write into the arrays: they are shared.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ssc.masks import Masks
from ssc.observation import AngleGrid, Observation
from ssc.simulate import Scene, angle_grid, observation, simulate_scene, truth
from ssc.simulate.weather import BROKEN, CLEAR, HAZY, OVERCAST, SCATTERED, SWATH_EDGE, WINTER

SUMMER, MIDWINTER = date(2024, 6, 20), date(2024, 1, 12)
WEATHERS = (CLEAR, SCATTERED, BROKEN, OVERCAST, HAZY, WINTER, SWATH_EDGE)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Example:
    """An observation and what is true of it."""

    scene: Scene
    observation: Observation
    angles: AngleGrid
    masks: Masks
    """Truth: True = there. Water also under cloud; see `ssc.simulate.truth`."""
    ssc: NDArray[np.float32]
    """(H, W) truth, mg/L, NaN off water."""


@lru_cache(maxsize=24)
def scene(seed=7, size=256, weather=SCATTERED, platform="L8", day=None) -> Example:
    """A (size, size) scene; midwinter when the weather is WINTER, else June unless a day is given."""
    day = day or (MIDWINTER if weather is WINTER else SUMMER)
    made = simulate_scene(seed=seed, size=size, weather=weather, platform=platform, day=day)
    return Example(
        scene=made,
        observation=observation(made),
        angles=angle_grid(made),
        masks=truth.masks(made),
        ssc=truth.ssc(made),
    )


def every_weather(seed=7, size=256) -> list[Example]:
    """One scene per kind of day, L30 and S30 in turn."""
    platforms = ("L8", "S2A", "L9", "S2B")
    return [scene(seed, size, weather, platforms[i % 4]) for i, weather in enumerate(WEATHERS)]
