"""Fmask, bit by bit: all 256 values against a table, real tiles against their histograms and their own tags."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st

from ssc.errors import InputError
from ssc.legacy import fmask

EVERY = np.arange(256, dtype=np.uint8)
TILES = (
    "HLS.L30.T06WVS.2024120T211159",
    "HLS.S30.T13RCN.2024128T173909",
    "HLS.L30.T22VEQ.2021248T143156",
    "HLS.S30.T15SXR.2021250T163901",
)


@pytest.fixture(scope="module")
def table(shared: Path) -> pd.DataFrame:
    return pd.read_csv(shared / "reference/legacy/fmask_decode_256.csv", index_col="fmask")


def test_every_value_but_fill_decodes_as_the_table_says(table):
    bits = fmask.decode(EVERY)
    for name in ("cirrus", "cloud", "adjacent", "shadow", "snow", "water", "aerosol"):
        assert getattr(bits, name)[:255].tolist() == table[name][:255].tolist(), name
    assert bits.valid[:255].all()


def test_fill_says_nothing_at_all():
    bits = fmask.decode(np.array([255], np.uint8))
    assert not bits.valid[0]
    assert not any(getattr(bits, name)[0] for name in ("cirrus", "cloud", "adjacent", "shadow", "snow", "water"))
    assert bits.aerosol[0] == 0


def test_legacy_keeps_the_sixteen_values_of_the_table(table):
    kept = EVERY[fmask.legacy_keep(EVERY)].tolist()
    assert kept == [32, 33, 36, 37, 96, 97, 100, 101, 160, 161, 164, 165, 224, 225, 228, 229]
    assert kept == table.index[table["legacy_keep"] == 1].tolist()


def test_strict_keeps_the_eight_values_away_from_clouds():
    assert EVERY[fmask.strict_keep(EVERY)].tolist() == [32, 33, 96, 97, 160, 161, 224, 225]


def test_the_cirrus_bit_never_decides_what_is_kept():
    flipped = EVERY ^ np.uint8(1)
    assert (fmask.legacy_keep(EVERY) == fmask.legacy_keep(flipped)).all()
    assert (fmask.strict_keep(EVERY) == fmask.strict_keep(flipped)).all()


@settings(deadline=None)
@given(st.lists(st.integers(0, 255), min_size=1, max_size=40), st.randoms(use_true_random=False))
def test_decoding_commutes_with_any_order_of_the_pixels(codes, random):
    order = list(range(len(codes)))
    random.shuffle(order)
    values = np.array(codes, np.uint8)
    straight, shuffled = fmask.decode(values), fmask.decode(values[order])
    for name in ("cloud", "adjacent", "shadow", "snow", "water", "cirrus", "aerosol", "valid"):
        assert (getattr(straight, name)[order] == getattr(shuffled, name)).all()


@settings(deadline=None)
@given(st.integers(0, 254))
def test_bits_put_together_again_give_the_value(code):
    bits = fmask.decode(np.array(code))
    flags = (bits.cirrus, bits.cloud, bits.adjacent, bits.shadow, bits.snow, bits.water)
    assert sum(int(flag) << k for k, flag in enumerate(flags)) + (int(bits.aerosol) << 6) == code


@pytest.mark.parametrize("wrong", [np.array([256]), np.array([-1]), np.array([96.0]), np.array([True])])
def test_what_is_no_byte_is_refused(wrong):
    with pytest.raises(InputError, match="wanted integers 0 to 255"):
        fmask.decode(wrong)


def test_an_empty_array_decodes_to_empty_arrays():
    assert fmask.decode(np.empty((0, 5), np.int64)).water.shape == (0, 5)


@pytest.mark.parametrize(("number", "tile"), [(1, TILES[0]), (2, TILES[1])])
def test_real_tiles_have_the_classes_their_histograms_say(shared, table, number, tile):
    histogram = pd.read_csv(
        shared / "reference/legacy/hls_fmask_histograms.csv", names=["granule", "fmask", "n"], skiprows=1
    )
    counts = histogram[histogram["granule"] == number].set_index("fmask")["n"]
    bits = fmask.decode(_read(shared, tile))
    known = counts.drop(index=255, errors="ignore")
    assert np.count_nonzero(bits.valid) == known.sum()
    for name in ("cloud", "adjacent", "shadow", "snow", "water"):
        assert np.count_nonzero(getattr(bits, name)) == (known * table[name]).sum(), name
    for level in range(4):
        assert np.count_nonzero((bits.aerosol == level) & bits.valid) == known[known.index // 64 == level].sum()


@pytest.mark.parametrize(
    ("tile", "water", "snow_and_water", "clean"), [(TILES[0], 1.193, 37_812, 121_808), (TILES[1], 0.0046, 35, 579)]
)
def test_real_tiles_pin_that_bits_co_occur(shared, tile, water, snow_and_water, clean):
    codes = _read(shared, tile)
    bits = fmask.decode(codes)
    assert 100 * np.count_nonzero(bits.water) / np.count_nonzero(bits.valid) == pytest.approx(water, abs=5e-4)
    assert np.count_nonzero(bits.snow & bits.water) == snow_and_water
    assert np.count_nonzero(fmask.legacy_keep(codes)) == clean


@pytest.mark.parametrize("tile", TILES[:3])
def test_cloud_coverage_of_real_tiles_is_their_own_tag(shared, tile):
    assert fmask.cloud_coverage(fmask.decode(_read(shared, tile))) == _tag(shared, tile)


def test_cloud_coverage_of_an_early_s30_tile_is_a_little_more_than_its_tag(shared):
    """44.5 % of its 30 m pixels against 43 in the tag: a bit is set when any of nine 10 m pixels has it."""
    assert 0 <= fmask.cloud_coverage(fmask.decode(_read(shared, TILES[3]))) - _tag(shared, TILES[3]) <= 2


def _tag(shared: Path, tile: str) -> int:
    with rasterio.open(shared / f"data/hls_v20_fmask_tiles/{tile}.v2.0.Fmask.tif") as file:
        return int(file.tags()["cloud_coverage"])


def _read(shared: Path, tile: str) -> np.ndarray:
    with rasterio.open(shared / f"data/hls_v20_fmask_tiles/{tile}.v2.0.Fmask.tif") as file:
        return file.read(1)
