"""Ratios and indices per pixel."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ssc.features import floating_algae_index, normalised_difference, pixel_features, ratio
from ssc.schema import RATIOS

six_bands = arrays.arrays(
    np.float32, (6, 20), elements=st.floats(-0.25, 1.25, width=32) | st.sampled_from([0.0, -0.0, 1e-45, np.nan])
)


def pixel(**bands):
    """One pixel, bands in the order of `SIX`."""
    names = ("blue", "green", "red", "nir", "swir1", "swir2")
    return np.array([[bands.get(name, 0.1)] for name in names], np.float32)


def test_features_are_the_ratio_columns_in_their_order():
    found = [name for name, _ in pixel_features(pixel())]
    assert found == [column.name for column in RATIOS if column.name != "nir_bank"]


def test_values_worked_out_by_hand():
    found = dict(pixel_features(pixel(blue=0.04, green=0.08, red=0.10, nir=0.06, swir1=0.02)))
    wanted = {
        "red_green": 0.10 / 0.08,
        "nir_red": 0.06 / 0.10,
        "nir_green": 0.06 / 0.08,
        "blue_green": 0.04 / 0.08,
        "swir1_nir": 0.02 / 0.06,
        "ndssi": (0.04 - 0.06) / (0.04 + 0.06),
        "ndti": (0.10 - 0.08) / (0.10 + 0.08),
        # 210.1 nm of 954.4 nm along the way from red to SWIR1: 0.10 - 0.08 x 0.220138 = 0.082389
        "fai": 0.06 - 0.082389,
    }
    assert {name: value.item() for name, value in found.items()} == pytest.approx(wanted, rel=1e-4)


def test_water_has_a_negative_algae_index_and_floating_plants_a_positive_one():
    assert floating_algae_index(*np.float32([[0.05], [0.02], [0.01]])) < 0
    assert floating_algae_index(*np.float32([[0.05], [0.30], [0.15]])) > 0


def test_zero_denominators_and_overflow_are_nan():
    zero, one, tiny = np.float32([0.0]), np.float32([1.0]), np.float32([1e-45])
    assert np.isnan(ratio(one, zero))
    assert np.isnan(ratio(zero, zero))
    assert np.isnan(ratio(one, tiny))
    assert np.isnan(normalised_difference(one, -one))
    assert ratio(zero, one) == 0


def test_negative_reflectance_keeps_its_sign():
    assert ratio(np.float32([0.1]), np.float32([-0.05])) == -2


@given(reflectance=six_bands)
def test_every_feature_is_finite_or_nan_and_never_warns(reflectance):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        features = dict(pixel_features(reflectance))
    for values in features.values():
        assert values.dtype == np.float32
        assert values.shape == (20,)
        assert not np.isinf(values).any()
