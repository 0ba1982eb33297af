"""Bands by meaning, file codes by product."""

from __future__ import annotations

import pytest

from ssc.bands import CODES, SIX, Band, Layer, Product, band_of
from ssc.errors import BandError, InputError


def test_the_six_bands_in_the_order_of_every_masker():
    assert [band.code(Product.L30) for band in SIX] == ["B02", "B03", "B04", "B05", "B06", "B07"]
    assert [band.code(Product.S30) for band in SIX] == ["B02", "B03", "B04", "B8A", "B11", "B12"]


def test_the_same_code_is_another_band_in_the_other_product():
    assert band_of("B05", Product.L30) is Band.NIR
    assert band_of("B05", Product.S30) is Band.RED_EDGE1
    assert band_of("B07", Product.L30) is Band.SWIR2
    assert band_of("B10", Product.S30) is Band.CIRRUS


@pytest.mark.parametrize("product", Product)
def test_codes_lead_back_to_their_bands(product):
    assert {band_of(band.code(product), product) for band in CODES[product]} == set(CODES[product])


def test_files_of_a_granule():
    """User Guide v2.0: S30 has 13 reflectance bands; L30 has 8, its thermal B10 and B11 are not reflectance."""
    assert len(CODES[Product.S30]) == 13
    assert len(CODES[Product.L30]) == 8
    assert {layer.value for layer in Layer} == {"Fmask", "SZA", "SAA", "VZA", "VAA"}


@pytest.mark.parametrize("band", [Band.RED_EDGE1, Band.NIR_BROAD, Band.WATER_VAPOUR])
def test_l30_has_no_bands_of_sentinel(band):
    with pytest.raises(BandError, match=f"no band {band.value} in product L30: it has coastal blue green"):
        band.code(Product.L30)


@pytest.mark.parametrize(("code", "product"), [("B08", Product.L30), ("B10", Product.L30), ("B13", Product.S30)])
def test_unknown_codes_are_the_callers_mistake(code, product):
    with pytest.raises(BandError, match=f"no reflectance band {code} in {product.value}") as told:
        band_of(code, product)
    assert isinstance(told.value, InputError)
    assert isinstance(told.value, ValueError)
