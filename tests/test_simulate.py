"""The simulated world: does it obey its own physics, and do its masks and rivers mean what they say?"""

from __future__ import annotations

import math
from datetime import date

import numpy as np
import pytest
from scipy import ndimage

from scenes import every_weather, scene
from ssc.bands import SIX, Band, Product
from ssc.legacy.fmask import decode
from ssc.masks import Mask
from ssc.simulate import channel, clouds, light, optics, sediment, simulate_scene, spectra, truth
from ssc.simulate.centrelines import arc, trace
from ssc.simulate.landscape import BASIN_CODE, MARGIN_PX
from ssc.simulate.memory import landscape, observation
from ssc.simulate.noise import fractal
from ssc.simulate.scene import bare, render
from ssc.simulate.seeds import stream
from ssc.simulate.terrain import PIXEL_M, REPOSE, Inflow, drain
from ssc.simulate.weather import CLEAR, HAZY, OVERCAST, SCATTERED, SWATH_EDGE, WINTER
from ssc.sword import reach_of

LOADS = np.array([0, 3, 10, 30, 100, 300, 800], np.float32)
NONE = np.zeros_like(LOADS)
NECHAD = {Band.RED: (346.32, 0.19905), Band.NIR: (2929.49, 0.21135)}
"""A and C of S = A rho / (1 - rho / C) for OLI (Nechad et al. 2010, coefficients of 2016)."""


def ln_ratio(a, b):
    return np.abs(np.log(np.asarray(a) / np.asarray(b)))


# Water colour


@pytest.mark.parametrize("band", [Band.GREEN, Band.RED, Band.NIR, Band.SWIR1])
@pytest.mark.parametrize("kind", ["mineral", "organic"])
def test_more_sediment_is_brighter_in_every_band(band, kind):
    loads = (LOADS, NONE) if kind == "mineral" else (NONE, LOADS)
    assert (np.diff(optics.reflectance(band, *loads)) > 0).all()


def test_red_saturates_and_near_infrared_does_not_yet():
    def gain(band):
        low, high, higher = optics.reflectance(band, np.array([10, 300, 600], np.float32), np.zeros(3, np.float32))
        return (higher - high) / 300 / (low / 10)

    assert gain(Band.RED) < 0.03
    assert gain(Band.NIR) > 0.4


@pytest.mark.parametrize("band", NECHAD)
def test_mixed_sediment_agrees_with_nechad(band):
    """An independent, measured calibration: within a factor of 1.6 where each band is sensitive."""
    loads = np.array([10, 30, 100] if band is Band.RED else [30, 100, 300, 800], np.float32)
    rho = optics.reflectance(band, loads / 2, loads / 2).astype(float)
    a, c = NECHAD[band]
    assert (ln_ratio(a * rho / (1 - rho / c), loads) < math.log(1.6)).all()


def test_dark_sediment_is_darker():
    assert (optics.reflectance(Band.RED, NONE, LOADS)[1:] < 0.8 * optics.reflectance(Band.RED, LOADS, NONE)[1:]).all()


def test_very_turbid_water_resembles_soil_and_clear_water_does_not():
    """Spectral angle over the four bands a masker leans on first (blue, green, red, NIR)."""
    bands = SIX[:4]

    def angle(one, other):
        return math.degrees(math.acos(np.dot(one, other) / np.linalg.norm(one) / np.linalg.norm(other)))

    def water(load):
        return np.array([float(optics.reflectance(band, np.float32(load), np.float32(0))) for band in bands])

    soil = np.array([spectra.table(band, green=False)[spectra.Cover.WET_SAND] for band in bands])
    cloud = np.array([spectra.spectrum("water_cloud", band) for band in bands])
    assert angle(water(800), soil) < 15
    assert angle(water(5), soil) > 35
    assert angle(water(800), cloud) < angle(water(30), cloud)


# Rivers


@pytest.mark.parametrize("seed", range(4))
def test_every_cell_drains_downhill_to_one_outlet(seed):
    drainage = drain((40, 40), 0.3, [Inflow(turn=0.8, area_km2=2e5), Inflow(turn=0.1, area_km2=9e3)], seed)
    place = np.empty(1600, int)
    place[drainage.upward] = np.arange(1600)
    others = np.delete(np.arange(1600), drainage.outlet)
    assert (place[drainage.receiver[others]] < place[others]).all()  # so that following it must end at the outlet
    assert (drainage.height_m[drainage.receiver[others]] <= drainage.height_m[others]).all()
    assert drainage.area_km2[drainage.outlet] == pytest.approx(2e5 + 9e3 + 1600 * 0.24**2)
    slope = np.abs(np.diff(drainage.height_m.reshape(40, 40), axis=0)) / 240
    assert slope.max() <= REPOSE + 1e-9


def test_rivers_are_connected_and_water_runs_downhill():
    rivers = landscape(seed=7).rivers
    course, below = rivers.course, rivers.reaches["downstream"].to_numpy()
    assert (below[1:] >= 0).all()
    assert below[0] == -1
    for row, lower in enumerate(below):
        points = np.flatnonzero(course.reach == row)
        assert (np.diff(course.height_m[points]) > 0).all()
        if lower >= 0:
            end = np.flatnonzero(course.reach == lower)[-1]
            assert np.hypot(*(course.xy_m[points[0]] - course.xy_m[end])) < 2 * PIXEL_M
            assert course.height_m[end] <= course.height_m[points[0]] + 1e-6


def test_ids_are_swords_and_nodes_200_m_apart():
    rivers = landscape(seed=7).rivers
    reach_ids, nodes = rivers.reaches["reach_id"], rivers.nodes
    assert reach_ids.astype(str).str.fullmatch(BASIN_CODE + r"\d{4}1").all()
    assert reach_ids.is_monotonic_increasing
    assert (reach_of(nodes["node_id"].to_numpy()) == nodes["reach_id"]).all()
    assert nodes["node_id"].is_unique
    assert nodes["node_len"].between(120, 300).all()
    assert (nodes.groupby("reach_id").size() == rivers.reaches.set_index("reach_id")["n_nodes"]).all()


def test_widths_match_the_raster():
    """Bankfull water area over centreline length is the node width, for rivers that are wider than four pixels."""
    ground = landscape(seed=7, size=512)
    share = channel.water_share(ground.channel, stage=1.3)
    course, size = ground.rivers.course, ground.shape[0]
    inside = ((course.xy_m / PIXEL_M - MARGIN_PX) % 1e9 < size).all(axis=1)
    for row in ground.rivers.reaches.index[ground.rivers.reaches["width"] > 120]:
        points = np.flatnonzero(course.reach == row)
        if inside[points].all() and len(points) > 60:
            area = share[course.reach[ground.channel.point] == row].sum() * PIXEL_M**2
            wet = area / arc(course.xy_m[points])[-1]
            assert wet == pytest.approx(course.width_m[points].mean(), rel=0.12)


def test_several_widths_on_one_tile():
    widths = landscape(seed=7, size=512).rivers.reaches["width"]
    assert widths.max() > 250
    assert widths.min() < 90


def test_the_bed_of_the_dem_is_the_water_of_the_nodes():
    ground = landscape(seed=7)
    course = ground.rivers.course
    col, row = (course.xy_m // PIXEL_M).astype(int).T
    inside = (row >= 0) & (col >= 0) & (row < ground.dem_m.shape[0]) & (col < ground.dem_m.shape[1])
    main = inside & (course.width_m > 120)
    assert np.abs(ground.dem_m[row[main], col[main]] - course.height_m[main]).max() < 0.5


# Sediment


@pytest.mark.parametrize("day", [date(2024, 1, 12), date(2024, 6, 20), date(2025, 9, 1)])
def test_sediment_is_conserved_at_every_confluence_and_at_the_outlet(day):
    reaches = landscape(seed=7, size=512).rivers.reaches
    carried = sediment.load(reaches, day, 7)
    flux = carried.flow_m3_s * carried.ssc
    own = carried.source_flow_m3_s * carried.source_ssc
    below = reaches["downstream"].to_numpy()
    for row in range(len(reaches)):
        assert flux[row] == pytest.approx(flux[below == row].sum() + own[row])
    assert flux[0] == pytest.approx(own.sum())
    assert carried.ssc.min() > sediment.LOWEST * 0.999
    assert carried.ssc.max() < sediment.HIGHEST * 1.001


def test_a_year_spans_low_and_high_water():
    stages = [sediment.stage(date(2024, month, 15), 7) for month in range(1, 13)]
    assert min(stages) < 0.5
    assert max(stages) > 1.5


# Light and clouds


def test_cloud_shadow_lies_where_the_sun_puts_it():
    """A flat layer at 1500 m: its optical depth, moved along the sun, is the optical depth of its shadow."""
    layer = clouds.Layer(cover=0.3, base_m=1500, depth_m=0, density=5)
    sky = clouds.form((layer,), (300, 300), zenith=50.0, azimuth=140.0, rng=stream(1, "test"))
    above = -clouds.VIEW_DEPTH * np.log(1 - sky.water_opacity.astype(float))
    length = 1500 * math.tan(math.radians(50)) / PIXEL_M
    rows, cols = round(length * math.cos(math.radians(140))), round(-length * math.sin(math.radians(140)))
    assert rows < 0 > cols  # the sun in the south-east throws shadows to the north-west
    moved = ndimage.shift(above, (rows, cols), order=0)
    inside = (slice(0, 300 + rows), slice(0, 300 + cols))
    np.testing.assert_allclose(sky.beam[inside], np.exp(-clouds.SHADOW_SHARE * moved)[inside], atol=1e-4)


def test_slopes_that_face_the_sun_are_brighter():
    slope = np.linspace(0, 60, 8, dtype=np.float32)[:, None] + np.zeros(8, np.float32)  # rises southward: faces north
    flat = light.sun_on_slopes(np.zeros((8, 8), np.float32), 60, 180)
    assert (flat == 1).all()
    assert (light.sun_on_slopes(slope, 60, 180) < 0.7).all()
    assert (light.sun_on_slopes(slope, 60, 0) > 1.2).all()


def test_terrain_shadow_agrees_with_a_slow_march_to_the_sun():
    made = scene(7, 256, WINTER).scene
    dem, sun = made.landscape.dem_m, made.sun
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (500, 2))
    east, north = math.sin(math.radians(sun.grid_azimuth)), math.cos(math.radians(sun.grid_azimuth))
    rise = PIXEL_M / math.tan(math.radians(sun.zenith))

    def hidden(row, col):
        steps = np.arange(1, 200)
        at = np.array([row + MARGIN_PX - steps * north, col + MARGIN_PX + steps * east])
        ahead = ndimage.map_coordinates(dem, at, order=1, cval=-1e6)
        return (ahead > dem[row + MARGIN_PX, col + MARGIN_PX] + steps * rise).any()

    marched = np.array([hidden(*pixel) for pixel in pixels])
    assert 0.05 < marched.mean() < 0.6
    assert (marched == made.terrain_shadow[pixels[:, 0], pixels[:, 1]]).mean() > 0.93


def test_banks_shine_into_the_river():
    """Adjacency: near-infrared over mid-river is higher beside green banks than water alone would be."""
    example = scene(7, 256, CLEAR)
    water = ndimage.binary_erosion(example.masks[Mask.WATER], iterations=2)
    excess = (example.observation.band(Band.NIR) - bare(example.scene, Band.NIR))[water]
    assert 0.004 < np.median(excess) < 0.04


def test_glint_needs_a_high_sun():
    assert light.glint(25.0, 6.0, 180.0, 4.0) > 20 * light.glint(70.0, 6.0, 180.0, 4.0)
    assert light.glint(30.0, 6.0, 140.0, 2.0) < 0.02


def test_noise_has_the_spectrum_it_says():
    field = fractal((512, 512), np.random.default_rng(1), exponent=3.0)
    power = np.abs(np.fft.fft2(field)) ** 2
    wave = np.hypot(np.fft.fftfreq(512)[:, None], np.fft.fftfreq(512)[None, :])
    near, far = (power[(wave > low) & (wave < 1.2 * low)].mean() for low in (0.02, 0.2))
    assert math.log(near / far) / math.log(10) == pytest.approx(3.0, abs=0.15)


# What the sensor sees


def test_clear_water_in_mid_river_shows_its_colour():
    example = scene(7, 256, CLEAR, "S2A")
    middle = ndimage.binary_erosion(example.masks[Mask.WATER], iterations=3)
    for band in (Band.GREEN, Band.RED, Band.NIR):
        seen = np.median(example.observation.band(band)[middle])
        assert seen == pytest.approx(np.median(bare(example.scene, band)[middle]), abs=0.03)


def test_reflectance_is_plausible_in_all_weathers():
    for example in every_weather():
        seen = example.observation.reflectance[:, example.observation.valid]
        assert seen.min() > -0.05
        assert seen.max() < 1.6


def test_bands_end_a_pixel_or_two_apart_at_the_swath_edge():
    example = scene(7, 256, SWATH_EDGE)
    finite = np.isfinite(example.observation.reflectance)
    some = finite.any(axis=0) & ~finite.all(axis=0)
    assert 0 < some.sum() < 3 * 256
    assert (example.observation.fmask[~finite.all(axis=0)] == 255).all()
    assert example.masks.valid.mean() == pytest.approx(0.62, abs=0.03)
    assert not example.masks.stack[:, ~example.masks.valid].any()


def test_high_cloud_shows_in_the_cirrus_band_only_when_high():
    veil, cumulus = (scene(7, 256, weather) for weather in (HAZY, SCATTERED))
    high, low = (render(example.scene, Band.CIRRUS) for example in (veil, cumulus))
    assert np.percentile(high, 95) > 0.01
    assert np.percentile(low, 95) < 0.006


# Truth


def test_truth_masks_exclude_each_other_as_documented():
    for example in every_weather():
        masks = example.masks
        assert not (masks[Mask.WATER] & masks[Mask.SNOW_ICE]).any()
        assert not (masks[Mask.CLOUD] & masks[Mask.CLOUD_SHADOW]).any()
        assert (np.isfinite(example.ssc) == masks[Mask.WATER]).all()
        assert (example.ssc[masks[Mask.WATER]] > 1).all()


def test_each_mask_has_its_day():
    cover = {example.scene.weather.name: example.masks.stack.mean(axis=(1, 2)) for example in every_weather()}
    assert (np.array(list(cover.values()))[:, Mask.WATER] > 0.01).all()
    assert cover["overcast"][Mask.CLOUD] > 0.7
    assert 0.05 < cover["scattered"][Mask.CLOUD] < 0.3
    assert cover["scattered"][Mask.CLOUD_SHADOW] > 0.03
    assert cover["winter"][Mask.SNOW_ICE] > 0.03
    assert cover["winter"][Mask.TERRAIN_SHADOW] > 0.05
    assert cover["clear"][Mask.CLOUD :].sum() < 0.001


# Fmask


def fmask_of(example):
    return decode(example.observation.fmask)


@pytest.mark.parametrize("seed", [3, 7])
@pytest.mark.parametrize("platform", ["L8", "S2A"])
def test_fmask_errs_within_the_documented_range(seed, platform):
    """docs/simulator.md: cloud missed below 15 %, invented farther than 8 px away below 5 %, water within 2 px."""
    example = scene(seed, 384, SCATTERED, platform)
    bits, masks = fmask_of(example), example.masks
    cloud = masks[Mask.CLOUD]
    assert (cloud & ~bits.cloud).sum() < 0.15 * cloud.sum()
    assert (bits.cloud & ~ndimage.binary_dilation(cloud, iterations=8)).sum() < 0.05 * bits.cloud.sum()
    shadow = masks[Mask.CLOUD_SHADOW]
    assert 0.02 < (shadow & ~bits.shadow).sum() / shadow.sum() < 0.7
    seen = bits.valid & ~bits.cloud & ~bits.shadow & ~bits.adjacent & ~masks[Mask.CLOUD]
    water = masks[Mask.WATER] & seen
    assert (water & ~bits.water).sum() < 0.3 * water.sum()
    assert (bits.water & ~ndimage.binary_dilation(masks[Mask.WATER], iterations=2)).sum() < 0.2 * bits.water.sum()


def test_fmask_bits_are_those_hls_writes():
    for example in every_weather():
        bits, fmask = fmask_of(example), example.observation.fmask
        real = fmask[bits.valid]
        assert not (real & 1).any()
        assert ((real >> 6) > 0).all()
        assert bits.valid.mean() == pytest.approx(example.scene.weather.covered, abs=0.03)
        if example.scene.passing.product is Product.S30:
            ring = bits.adjacent
            assert not (ring & (bits.cloud | bits.shadow | bits.water | bits.snow)).any()


def test_fmask_calls_very_turbid_water_snow_without_a_thermal_band():
    """As AquaSat's authors saw: "sometimes super turbid waterbodies are flagged as snow/ice"."""
    made = simulate_scene(seed=4, size=384, weather=CLEAR, platform="S2A")
    bits, ssc = decode(observation(made).fmask), truth.ssc(made)
    whole = ndimage.binary_erosion(np.isfinite(ssc), iterations=2)
    turbid, moderate = whole & (ssc > 650), whole & (ssc < 300)
    assert bits.snow[turbid].mean() > 0.5
    assert bits.water[moderate].mean() > 0.9
    warm = decode(observation(simulate_scene(seed=4, size=384, weather=CLEAR, platform="L8")).fmask)
    assert not warm.snow[whole].any()


def test_fmask_invents_water_in_terrain_shadow():
    winter = scene(7, 256, WINTER)
    false_water = fmask_of(winter).water & ~ndimage.binary_dilation(winter.masks[Mask.WATER], iterations=2)
    assert false_water[winter.masks[Mask.TERRAIN_SHADOW]].sum() > 0.5 * false_water.sum()


# The same seed, the same numbers


def test_same_seed_same_scene_other_seed_other_scene():
    first, again = (simulate_scene(seed=21, size=128, weather=OVERCAST) for _ in range(2))
    landscape.cache_clear()
    fresh = simulate_scene(seed=21, size=128, weather=OVERCAST)
    other = simulate_scene(seed=22, size=128, weather=OVERCAST)
    images = [observation(one).reflectance.tobytes() for one in (first, again, fresh, other)]
    assert images[0] == images[1] == images[2] != images[3]


def test_bands_do_not_depend_on_the_order_they_are_asked_for():
    made = scene(7).scene
    forward = {band: render(made, band) for band in SIX}
    backward = {band: render(made, band) for band in reversed(SIX)}
    assert all((forward[band] == backward[band]).all() for band in SIX)


def test_lines_are_smooth():
    """No corners sharper than 60 degrees between neighbouring 30 m steps."""
    drainage = drain((60, 60), 0.3, [Inflow(turn=0.8, area_km2=2e5), Inflow(turn=0.1, area_km2=9e3)], 5)
    for line in trace(drainage, 5):
        steps = np.diff(line.xy_m, axis=0)
        cosine = (
            (steps[1:] * steps[:-1]).sum(axis=1)
            / np.linalg.norm(steps[1:], axis=1)
            / np.linalg.norm(steps[:-1], axis=1)
        )
        assert (cosine > 0.5).all()
