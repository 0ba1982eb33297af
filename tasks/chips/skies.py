"""Days as different as the Earth's: random weather for training scenes."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from scipy import ndimage

from ssc.simulate.air import Air
from ssc.simulate.clouds import VIEW_DEPTH, Layer, Sky
from ssc.simulate.noise import Field
from ssc.simulate.weather import Weather

CLEAR_SHARE: Final = 0.2
"""Days without any cloud."""
SNOW_SHARE: Final = 0.35
SOFT_SHARE: Final = 0.6
"""Skies whose clouds are `softened`."""
ICE_SHARE: Final = 0.6
"""Of the days with snow, those with ice on the rivers."""
SWATH_EDGE_SHARE: Final = 0.1


def random_weather(rng: np.random.Generator, *, snow: bool | None = None) -> Weather:
    """A day: none to three layers of cloud, haze, wind, perhaps snow and ice, perhaps the edge of the swath."""
    snowy = rng.random() < SNOW_SHARE if snow is None else snow
    return Weather(
        name="random",
        layers=random_layers(rng),
        haze=float(rng.beta(1.2, 3.0)),
        wind_m_s=float(rng.uniform(0.5, 8)),
        snowline_m=float(rng.uniform(600, 1700)) if snowy else 1e6,
        ice=float(rng.uniform(0.2, 0.9)) if snowy and rng.random() < ICE_SHARE else 0.0,
        covered=float(rng.uniform(0.3, 0.9)) if rng.random() < SWATH_EDGE_SHARE else 1.0,
    )


def random_layers(rng: np.random.Generator) -> tuple[Layer, ...]:
    """None to three layers, of five kinds: soft or sharp puffs of a few pixels, cumulus, sheets, veils of ice."""
    if rng.random() < CLEAR_SHARE:
        return ()
    count, shares = int(rng.choice([1, 2, 3], p=[0.55, 0.35, 0.1])), [0.3, 0.15, 0.3, 0.1, 0.15]
    kinds = rng.choice(5, size=count, p=shares, replace=False)
    return tuple(_KINDS[kind](rng) for kind in kinds)


def random_air(rng: np.random.Generator) -> Air:
    """Colours of shadows and clouds as corrected images show them, from the simulator's own to far from it."""
    return Air(
        blue_sky=float(rng.uniform(0.1, 1.1)),
        grey_light=float(rng.uniform(0.0, 0.35)),
        unlit_air=float(rng.uniform(0.0, 0.03)),
        over_correction=float(rng.uniform(0.0, 0.2)),
        small_droplets=float(rng.uniform(0.0, 1.2)),
    )


def softened(sky: Sky, rng: np.random.Generator) -> Sky:
    """The same clouds, of a kind that may hide less of the ground than they darken, and end in a haze of some pixels.

    The simulator's clouds are cut out sharply and as opaque from above as they are to the sun. Small real ones are
    frayed over several pixels, let much of the ground through, and still throw a deep shadow (sunlight crosses them
    slantwise, and their sides shade too).
    """
    view_depth, strength, spread = rng.uniform(2, 9), rng.uniform(0.7, 2.0), rng.uniform(0.3, 1.5)
    return replace(
        sky,
        water_opacity=_blurred(1 - (1 - sky.water_opacity) ** (VIEW_DEPTH / view_depth), spread),
        ice_opacity=_blurred(sky.ice_opacity, spread),
        beam=_blurred(sky.beam**strength, spread),
    )


def _blurred(field: Field, spread: float) -> Field:
    return np.asarray(ndimage.gaussian_filter(field, spread), dtype=np.float32)


def _soft_puffs(rng: np.random.Generator) -> Layer:
    """Fair-weather cumulus: few, small, rounded, low, close to their shadows."""
    base = rng.uniform(400, 1800)
    return Layer(
        cover=float(np.exp(rng.uniform(np.log(0.008), np.log(0.12)))),
        base_m=float(base),
        depth_m=float(base * rng.uniform(0.2, 0.8)),
        density=float(rng.uniform(2, 9)),
        size_px=float(np.exp(rng.uniform(np.log(20), np.log(110)))),
        exponent=float(rng.uniform(3.2, 5.4)),
    )


def _puffs(rng: np.random.Generator) -> Layer:
    base = rng.uniform(500, 2000)
    return Layer(
        cover=float(rng.uniform(0.01, 0.12)),
        base_m=float(base),
        depth_m=float(base * rng.uniform(0.2, 0.6)),
        density=float(rng.uniform(6, 25)),
        size_px=float(np.exp(rng.uniform(np.log(10), np.log(50)))),
        exponent=float(rng.uniform(3.4, 4.6)),
    )


def _cumulus(rng: np.random.Generator) -> Layer:
    base = rng.uniform(700, 3000)
    return Layer(
        cover=float(rng.uniform(0.04, 0.45)),
        base_m=float(base),
        depth_m=float(base * rng.uniform(0.3, 1.2)),
        density=float(rng.uniform(3, 15)),
        size_px=float(np.exp(rng.uniform(np.log(40), np.log(300)))),
        exponent=float(rng.uniform(3.0, 4.2)),
    )


def _sheet(rng: np.random.Generator) -> Layer:
    return Layer(
        cover=float(rng.uniform(0.5, 0.95)),
        base_m=float(rng.uniform(500, 4000)),
        depth_m=float(rng.uniform(200, 1200)),
        density=float(rng.uniform(1, 8)),
        size_px=float(rng.uniform(150, 600)),
        exponent=float(rng.uniform(2.8, 3.8)),
    )


def _veil(rng: np.random.Generator) -> Layer:
    return Layer(
        cover=float(rng.uniform(0.15, 0.8)),
        base_m=float(rng.uniform(6000, 12000)),
        depth_m=float(rng.uniform(300, 1500)),
        density=float(rng.uniform(0.2, 1.5)),
        size_px=float(rng.uniform(80, 600)),
        exponent=float(rng.uniform(3.0, 4.0)),
        ice=True,
    )


_KINDS: Final = (_soft_puffs, _puffs, _cumulus, _sheet, _veil)
