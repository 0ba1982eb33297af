"""The clear-water rule: bank, cloud buffer, snow that is turbid water, reflectance that is no measurement."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from ssc.bands import SIX, Band
from ssc.clear import ClearWaterRule, grow, near_bank, near_cloud, turbid_lookalike, usable
from ssc.errors import BandError, InputError
from ssc.masks import Mask, clear_water
from tinyriver import mask, observe

RULE = ClearWaterRule()
TURBID = {"blue": 0.08, "green": 0.15, "red": 0.22, "nir": 0.18, "swir1": 0.03, "swir2": 0.02}
FRESH_SNOW = {"blue": 0.92, "green": 0.91, "red": 0.89, "nir": 0.80, "swir1": 0.04, "swir2": 0.03}
"""Wiscombe and Warren 1980, grains of 200 um and more: bright, a little blue, black in SWIR."""

masks_of_any_size = arrays.arrays(bool, arrays.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9))


def spectrum(values, shape=(1, 1)):
    column = np.array([values[band.value] for band in SIX], np.float32)
    return np.broadcast_to(column[:, None, None], (6, *shape)).copy()


@given(layer=masks_of_any_size, px=st.integers(0, 3))
def test_grow_is_dilation_by_a_square(layer, px):
    square = np.ones((2 * px + 1, 2 * px + 1), bool)
    assert np.array_equal(grow(layer, px), ndimage.binary_dilation(layer, square))


@given(water=masks_of_any_size, data=st.data(), px=st.integers(1, 2))
def test_bank_is_land_missing_data_or_border_within_reach(water, data, px):
    cloud = data.draw(arrays.arrays(bool, water.shape))
    found = near_bank(mask(water.shape, water=water, cloud=cloud), ClearWaterRule(erosion_px=px))
    padded = np.pad(water | cloud, px, constant_values=False)
    for row, col in np.ndindex(water.shape):
        around = padded[row : row + 2 * px + 1, col : col + 2 * px + 1]
        assert found[row, col] == (not around.all())


@pytest.mark.parametrize(("metres", "columns"), [(60, 0), (90, 1), (150, 3), (300, 8)])
def test_columns_left_between_eroded_banks(metres, columns):
    water = np.zeros((9, 16), bool)
    water[:, 3 : 3 + metres // 30] = True
    bank = near_bank(mask(water.shape, water=water), RULE)
    assert (water & ~bank)[4].sum() == columns


@pytest.mark.parametrize("masker_sees_water_under_cloud", [True, False])
@pytest.mark.parametrize("kind", ["cloud", "cloud_shadow"])
def test_a_cloud_in_midstream_is_no_bank(kind, masker_sees_water_under_cloud):
    cloud = np.zeros((9, 9), bool)
    cloud[4, 4] = True
    water = np.full(cloud.shape, fill_value=True) if masker_sees_water_under_cloud else ~cloud
    bank = near_bank(mask(cloud.shape, water=water, **{kind: cloud}), RULE)
    assert not bank[1:-1, 1:-1].any()


def test_land_in_terrain_shadow_and_snow_are_banks():
    water = np.ones((7, 7), bool)
    water[3, 3] = False
    for kind in ("terrain_shadow", "snow_ice"):
        bank = near_bank(mask(water.shape, water=water, **{kind: ~water}), RULE)
        assert bank[2:5, 2:5].all()


def test_the_cloud_buffer_reaches_two_pixels_and_no_third():
    cloud = np.zeros((9, 9), bool)
    cloud[4, 4] = True
    near = near_cloud(mask(cloud.shape, cloud_shadow=cloud), RULE)
    assert np.argwhere(near).min() == 2
    assert np.argwhere(near).max() == 6
    assert near.sum() == 25


def test_very_turbid_water_masked_as_snow_is_kept():
    masks = mask((1, 1), water=True, snow_ice=True)
    layers = usable(observe(spectrum(TURBID)), masks, RULE)
    assert not clear_water(masks).any()
    assert layers.turbid.all()
    assert layers.clear.all()


@pytest.mark.parametrize("also", ["cloud", "cloud_shadow", "terrain_shadow"])
def test_snow_under_anything_else_is_not_kept(also):
    layers = usable(observe(spectrum(TURBID)), mask((1, 1), water=True, snow_ice=True, **{also: True}), RULE)
    assert not layers.turbid.any()
    assert not layers.clear.any()


@pytest.mark.parametrize(
    "change", [{"red": 0.1}, {"nir": 0.1}, {"swir1": 0.05}, {"blue": 0.22}, {"red": np.nan}], ids=str
)
def test_snow_without_the_colour_of_sediment_is_not_kept(change):
    reflectance = spectrum(TURBID | change)
    stack = mask((1, 1), water=True, snow_ice=True).stack
    assert not turbid_lookalike(stack, reflectance, RULE).any()


def test_fresh_snow_is_not_kept():
    assert not usable(observe(spectrum(FRESH_SNOW)), mask((1, 1), water=True, snow_ice=True), RULE).clear.any()


def test_snow_on_land_is_not_water():
    assert not usable(observe(spectrum(TURBID)), mask((1, 1), snow_ice=True), RULE).clear.any()


@pytest.mark.parametrize(
    ("red", "clear"), [(-0.2, True), (0.0, True), (1.2, True), (1.21, False), (np.nan, False), (np.inf, False)]
)
def test_negative_reflectance_is_kept_saturation_and_fill_are_not(red, clear):
    reflectance = spectrum({**TURBID, "red": red})
    assert usable(observe(reflectance), mask((1, 1), water=True), RULE).clear.item() is clear


def test_where_the_masker_saw_no_data_nothing_is_clear():
    masks = mask((1, 1), water=True, valid=np.array([[False]]))
    assert not usable(observe(spectrum(TURBID)), masks, RULE).clear.any()


def test_without_snow_the_rule_agrees_with_clear_water():
    rng = np.random.default_rng(7)
    layers = rng.random((len(Mask), 20, 20)) < 0.3
    layers[Mask.SNOW_ICE] = False
    masks = mask((20, 20), **{name.name.lower(): layers[name] for name in Mask})
    found = usable(observe(spectrum(TURBID, (20, 20))), masks, RULE)
    assert np.array_equal(found.clear, clear_water(masks))
    assert np.array_equal(found.used, found.clear & ~near_bank(masks, RULE) & ~near_cloud(masks, RULE))


def test_every_band_must_have_been_read():
    observation = observe(spectrum(TURBID)[:5], bands=SIX[:5])
    with pytest.raises(BandError, match=Band.SWIR2.value):
        usable(observation, mask((1, 1), water=True), RULE)


def test_the_halo_covers_both_neighbourhoods():
    assert RULE.halo == 2
    assert ClearWaterRule(erosion_px=3, cloud_buffer_px=0).halo == 3


@pytest.mark.parametrize(
    "wrong", [{"erosion_px": 0}, {"cloud_buffer_px": -1}, {"least_px": 0}, {"least_px": 31}, {"good_px": 7}], ids=str
)
def test_a_rule_out_of_range_is_refused(wrong):
    with pytest.raises(InputError, match="out of range"):
        ClearWaterRule(**wrong)
