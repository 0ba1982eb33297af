"""Quality bits: each condition on both sides of its threshold, the summary over all bits, what is withheld."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ssc.clear import ClearWaterRule
from ssc.flags import sample_flags, summary, withhold
from ssc.quality import BAD, DEGRADED, SUSPECT, Quality, Summary

GOOD_SAMPLE = {
    "n_px_channel": 500,
    "n_px_valid": 1000,
    "n_px_water": 500,
    "n_px_used": 300,
    "n_nodes": 50,
    "n_nodes_covered": 50,
    "clear_frac": 1.0,
    "edge_frac": 0.1,
    "snow_ice_frac": 0.0,
    "cloud_adjacent_frac": 0.0,
    "aerosol_high_frac": 0.0,
    "red_med": 0.08,
    "nir_med": 0.05,
    "swir1_med": 0.01,
}
RIVER = {"width_m": 300.0, "lakeflag": 0, "kind": 1}


def flags_of(**change):
    """Bits of a good sample of a good reach, with one thing changed."""
    sample = {name: change.get(name, value) for name, value in GOOD_SAMPLE.items()}
    reach = {name: change.get(name, value) for name, value in RIVER.items()}
    flags = sample_flags(pd.DataFrame([sample], index=[7]), pd.DataFrame([reach], index=[7]))
    return Quality(int(flags.loc[7]))


def test_a_good_sample_of_a_good_reach_has_no_flag():
    assert flags_of() == Quality(0)


@pytest.mark.parametrize(
    ("change", "bits"),
    [
        ({"n_px_used": 30}, 0),
        ({"n_px_used": 29}, Quality.FEW_PIXELS),
        ({"n_px_used": 8}, Quality.FEW_PIXELS),
        ({"n_px_used": 7}, Quality.FEW_PIXELS | Quality.VERY_FEW),
        ({"n_px_used": 0}, Quality.FEW_PIXELS | Quality.VERY_FEW),
        ({"width_m": 120.0}, 0),
        ({"width_m": 119.0}, Quality.MIXED_PIXELS),
        ({"width_m": 90.0}, Quality.MIXED_PIXELS),
        ({"width_m": 89.0}, Quality.MIXED_PIXELS | Quality.NARROW),
        ({"width_m": np.nan}, Quality.MIXED_PIXELS),
        ({"clear_frac": 0.3}, 0),
        ({"clear_frac": 0.29}, Quality.PARTIAL_REACH),
        ({"clear_frac": np.nan}, 0),
        ({"n_nodes_covered": 25}, 0),
        ({"n_nodes_covered": 24}, Quality.PARTIAL_REACH),
        ({"n_nodes_covered": 0, "n_nodes": 0}, 0),
        ({"edge_frac": 0.5}, 0),
        ({"edge_frac": 0.51}, Quality.MIXED_PIXELS),
        ({"swir1_med": 0.1}, 0),
        ({"swir1_med": 0.11}, Quality.GLINT_OR_HAZE),
        ({"nir_med": 0.11}, Quality.GLINT_OR_HAZE),
        ({"nir_med": 0.11, "red_med": 0.15}, 0),
        ({"nir_med": 0.09, "red_med": 0.08}, 0),
        ({"nir_med": np.nan, "swir1_med": np.nan}, 0),
        ({"cloud_adjacent_frac": 0.2}, 0),
        ({"cloud_adjacent_frac": 0.21}, Quality.CLOUD_ADJACENT),
        ({"aerosol_high_frac": 0.2}, 0),
        ({"aerosol_high_frac": 0.21}, Quality.AEROSOL_HIGH),
        ({"snow_ice_frac": 0.05}, 0),
        ({"snow_ice_frac": 0.051}, Quality.ICE_POSSIBLE),
        ({"snow_ice_frac": 0.051, "n_px_water": 0}, Quality.ICE_POSSIBLE),
        ({"snow_ice_frac": 0.005, "n_px_water": 0}, 0),
        ({"snow_ice_frac": 0.051, "n_px_water": 600}, 0),
        ({"kind": 3}, Quality.LAKE_OR_DAM),
        ({"kind": 4}, Quality.LAKE_OR_DAM),
        ({"kind": 5}, 0),
        ({"kind": 6}, Quality.LAKE_OR_DAM),
        ({"lakeflag": 1}, Quality.LAKE_OR_DAM),
        ({"lakeflag": 2}, 0),
        ({"lakeflag": 3}, Quality.TIDAL),
        ({"lakeflag": -1}, 0),
    ],
    ids=str,
)
def test_each_condition_on_both_sides_of_its_threshold(change, bits):
    assert flags_of(**change) == Quality(bits)


def test_a_sample_without_anything_seen_is_only_too_small_and_partial():
    nothing = dict.fromkeys(GOOD_SAMPLE, np.nan) | {
        "n_px_channel": 500,
        "n_px_valid": 0,
        "n_px_water": 0,
        "n_px_used": 0,
    }
    nothing |= {"n_nodes": 50, "n_nodes_covered": 0}
    assert flags_of(**nothing) == Quality.FEW_PIXELS | Quality.VERY_FEW | Quality.PARTIAL_REACH


def test_counts_and_width_follow_the_rule():
    sample, reach = pd.DataFrame([GOOD_SAMPLE]), pd.DataFrame([RIVER])
    strict = ClearWaterRule(good_px=1000, least_px=500, erode_from_m=400.0)
    wanted = Quality.FEW_PIXELS | Quality.VERY_FEW | Quality.MIXED_PIXELS
    assert sample_flags(sample, reach, strict).tolist() == [wanted]


def test_flags_are_int32_in_the_order_of_the_samples():
    samples = pd.DataFrame([GOOD_SAMPLE, {**GOOD_SAMPLE, "n_px_used": 10}], index=[30, 20])
    reaches = pd.DataFrame([RIVER, {**RIVER, "lakeflag": 3}], index=["by", "place"])
    flags = sample_flags(samples, reaches)
    assert flags.dtype == "int32"
    assert flags.to_dict() == {30: 0, 20: Quality.FEW_PIXELS | Quality.TIDAL}


def test_no_samples_have_no_flags():
    empty = pd.DataFrame([GOOD_SAMPLE]).iloc[:0]
    assert sample_flags(empty, pd.DataFrame([RIVER]).iloc[:0]).empty
    assert summary(pd.Series([], dtype="int32")).empty


def test_the_three_classes_of_bits_hold_every_bit_once():
    for bit in Quality:
        assert sum(bool(bit & group) for group in (BAD, DEGRADED, SUSPECT)) == 1


@pytest.mark.parametrize("bit", list(Quality), ids=lambda bit: bit.name)
def test_one_bit_alone_decides_the_summary(bit):
    wanted = Summary.BAD if bit & BAD else Summary.DEGRADED if bit & DEGRADED else Summary.SUSPECT
    assert summary(pd.Series([int(bit)], dtype="int32")).tolist() == [wanted]


def test_the_worst_bit_wins_in_all_65536_combinations():
    flags = pd.Series(range(2**16), dtype="int32")
    alone = {bit: summary(pd.Series([int(bit)])).item() for bit in Quality}
    wanted = np.zeros(flags.size, int)
    for bit, worth in alone.items():
        wanted = np.maximum(wanted, np.where(flags & int(bit), worth, 0))
    found = summary(flags)
    assert found.dtype == "int8"
    assert np.array_equal(found, wanted)


def test_very_few_pixels_withhold_the_numbers_and_keep_the_bits():
    numbers = {name: [1.0, 2.0] for name in ("ssc", "ssc_mean", "ssc_lo90", "ssc_hi90", "ln_ssc_sd", "turbidity")}
    flags = pd.Series([int(Quality.VERY_FEW | Quality.FEW_PIXELS), int(Quality.FEW_PIXELS)], dtype="int32")
    estimates = pd.DataFrame({**numbers, "ssc_qual": flags})
    withheld = withhold(estimates, flags)
    assert withheld[list(numbers)].iloc[0].isna().all()
    assert withheld.iloc[1].equals(estimates.iloc[1])
    assert withheld["ssc_qual"].equals(flags)
    assert estimates.notna().all(axis=None)


def test_a_table_without_turbidity_can_be_withheld():
    withheld = withhold(pd.DataFrame({"ssc": [1.0]}), pd.Series([int(Quality.VERY_FEW)]))
    assert withheld["ssc"].isna().tolist() == [True]
