"""Colours that air and cloud give: what each number does to a simulated scene, and that the defaults do nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ssc.bands import Band
from ssc.simulate import simulate_scene, truth
from ssc.simulate.air import CLEAN, Air
from ssc.simulate.scene import render
from tasks.chips.skies import random_air


@pytest.fixture(scope="module")
def scene():
    return simulate_scene(seed=12, size=192)


def shadowed(scene, band, air):
    """Median reflectance in cloud shadow over that of the same pixels without clouds in the way."""
    masks = truth.masks(scene)
    deep = masks.valid & (scene.sky.beam < 0.2) & (scene.sky.opacity < 0.02)
    open_sky = replace(scene.sky, beam=np.ones_like(scene.sky.beam))
    lit = replace(scene, sky=open_sky, direct=np.where(deep, 1, scene.direct).astype(np.float32))
    dark = replace(scene, air=air, direct=np.where(deep, scene.sky.beam, scene.direct).astype(np.float32))
    assert deep.sum() > 50
    return float(np.median(render(dark, band)[deep]) / np.median(render(lit, band)[deep]))


def test_the_defaults_change_nothing(scene):
    assert scene.air == CLEAN
    for band in (Band.BLUE, Band.SWIR1):
        assert np.array_equal(render(scene, band), render(replace(scene, air=Air()), band), equal_nan=True)


def test_unlit_air_darkens_shadows_in_the_blue_and_hardly_in_the_infrared(scene):
    hazy = Air(unlit_air=0.02)
    assert shadowed(scene, Band.BLUE, hazy) < shadowed(scene, Band.BLUE, CLEAN) - 0.1
    assert shadowed(scene, Band.SWIR1, hazy) == pytest.approx(shadowed(scene, Band.SWIR1, CLEAN), abs=0.03)


def test_grey_light_fills_shadows_alike_and_a_hidden_sky_takes_the_blue(scene):
    grey, dull = Air(grey_light=0.2), Air(blue_sky=0.2)
    for band in (Band.BLUE, Band.NIR, Band.SWIR1):
        assert shadowed(scene, band, grey) > shadowed(scene, band, CLEAN) + 0.1
    lost = {band: shadowed(scene, band, CLEAN) - shadowed(scene, band, dull) for band in (Band.BLUE, Band.SWIR1)}
    assert lost[Band.BLUE] > 3 * lost[Band.SWIR1] >= 0


def test_small_droplets_brighten_cloud_tops_in_the_short_wave_infrared_alone(scene):
    thick = scene.sky.water_opacity > 0.9
    assert thick.sum() > 100
    large, small = (replace(scene, air=Air(small_droplets=share)) for share in (0.0, 1.0))
    for band, more in ((Band.RED, 0.0), (Band.SWIR1, 0.25), (Band.SWIR2, 0.30)):
        gain = np.median(render(small, band)[thick]) - np.median(render(large, band)[thick])
        assert gain == pytest.approx(more, abs=0.06)


def test_over_correction_lowers_the_blue_of_clouds_most(scene):
    thick = scene.sky.water_opacity > 0.9
    lowered = replace(scene, air=Air(over_correction=0.1))
    lost = {band: np.median((render(scene, band) - render(lowered, band))[thick]) for band in (Band.BLUE, Band.SWIR2)}
    assert lost[Band.BLUE] == pytest.approx(0.1, abs=0.02)
    assert 0 < lost[Band.SWIR2] < 0.03


def test_random_skies_differ_and_stay_in_bounds():
    airs = [random_air(np.random.default_rng(seed)) for seed in range(50)]
    assert len(set(airs)) == 50
    assert all(0 <= air.grey_light <= 0.35 and 0 <= air.unlit_air <= 0.03 for air in airs)
