"""Bands by meaning, file codes by product, wavelengths by sensor."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from ssc.bands import (
    CODES,
    RESPONSES,
    SENSOR_OF,
    SIX,
    Band,
    Layer,
    Level,
    Product,
    Response,
    Sensor,
    band_of,
    merged,
    responses,
)
from ssc.errors import BandError, InputError

EVERY = [(sensor, band) for sensor, table in RESPONSES.items() for band in table]


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


@pytest.mark.parametrize(("sensor", "band"), EVERY)
def test_a_response_is_a_band_in_sunlight(sensor, band):
    seen = RESPONSES[sensor][band]
    assert 400 < seen.low_nm < seen.centre_nm < seen.high_nm < 2500
    assert seen.centre_nm == pytest.approx((seen.low_nm + seen.high_nm) / 2)
    assert 10 < seen.width_nm < 300


@pytest.mark.parametrize("sensor", Sensor)
def test_bands_stand_along_the_spectrum(sensor):
    centres = [seen.centre_nm for seen in RESPONSES[sensor].values()]
    assert centres == sorted(centres)
    assert list(RESPONSES[sensor]) == [band for band in Band if band in RESPONSES[sensor]]


@pytest.mark.parametrize("product", Product)
def test_every_band_with_a_file_has_a_response(product):
    assert set(RESPONSES[SENSOR_OF[product]]) == set(CODES[product])
    assert responses(product, tuple(CODES[product])) == responses(SENSOR_OF[product], tuple(CODES[product]))


@pytest.mark.parametrize("sensor", Sensor)
def test_every_sensor_has_the_six_and_names_agree_on_the_spectrum(sensor):
    """The same name means overlapping light on any two sensors."""
    for seen, other in zip(responses(sensor, SIX), responses(Sensor.OLI, SIX), strict=True):
        assert seen.low_nm < other.centre_nm < seen.high_nm


def test_the_old_sensors_have_the_six_alone():
    assert set(RESPONSES[Sensor.TM]) == set(RESPONSES[Sensor.ETM]) == set(SIX)


def test_only_cirrus_and_water_vapour_are_seen_at_the_top():
    top = {band for sensor, band in EVERY if RESPONSES[sensor][band].level is Level.TOP}
    assert top == {Band.CIRRUS, Band.WATER_VAPOUR}
    assert responses(Sensor.OLI, (Band.CIRRUS,))[0].level is Level.TOP


def test_oli_against_what_is_printed_elsewhere():
    """USGS product metadata to 1 nm (Landsat 8), and NASA's table of OLI-2 (Landsat 9)."""
    usgs = {
        Band.COASTAL: (435, 451),
        Band.BLUE: (452, 512),
        Band.GREEN: (533, 590),
        Band.RED: (636, 673),
        Band.NIR: (851, 879),
        Band.CIRRUS: (1363, 1384),
        Band.SWIR1: (1566, 1651),
        Band.SWIR2: (2107, 2294),
    }
    landsat9 = {
        Band.COASTAL: (435.06, 450.57),
        Band.BLUE: (451.96, 511.82),
        Band.GREEN: (532.71, 589.20),
        Band.RED: (635.88, 672.76),
        Band.NIR: (850.26, 879.03),
        Band.CIRRUS: (1363.68, 1384.57),
        Band.SWIR1: (1565.08, 1651.22),
        Band.SWIR2: (2105.38, 2294.86),
    }
    for band, seen in RESPONSES[Sensor.OLI].items():
        assert (seen.low_nm, seen.high_nm) == pytest.approx(usgs[band], abs=0.6)
        assert (seen.low_nm, seen.high_nm) == pytest.approx(landsat9[band], abs=2.1)


def test_msi_against_the_design():
    """ESA's rounded table of centres and widths, in GDAL's driver and many handbooks."""
    design = {
        Band.COASTAL: (443, 20),
        Band.BLUE: (490, 65),
        Band.GREEN: (560, 35),
        Band.RED: (665, 30),
        Band.RED_EDGE1: (705, 15),
        Band.RED_EDGE2: (740, 15),
        Band.RED_EDGE3: (783, 20),
        Band.NIR_BROAD: (842, 115),
        Band.NIR: (865, 20),
        Band.WATER_VAPOUR: (945, 20),
        Band.CIRRUS: (1375, 30),
        Band.SWIR1: (1610, 90),
        Band.SWIR2: (2190, 180),
    }
    for band, seen in RESPONSES[Sensor.MSI].items():
        centre, width = design[band]
        assert seen.centre_nm == pytest.approx(centre, rel=0.012)
        assert seen.width_nm == pytest.approx(width, rel=0.08)


def test_the_measured_etm_against_its_design():
    """USGS band designations of Landsat 7, to 10 nm."""
    design = ((450, 520), (520, 600), (630, 690), (770, 900), (1550, 1750), (2090, 2350))
    for seen, edges in zip(responses(Sensor.ETM, SIX), design, strict=True):
        assert (seen.low_nm, seen.high_nm) == pytest.approx(edges, abs=26)


def test_the_table_in_the_docs_is_this_one():
    written = {}
    for line in (Path(__file__).parent.parent / "docs" / "bands.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and cells[0] in set(Sensor):
            written[Sensor(cells[0]), Band(cells[1])] = (*map(float, cells[3:7]), cells[7])
    expected = {
        (sensor, band): (*(round(n, 1) for n in (seen.low_nm, seen.centre_nm, seen.high_nm, seen.width_nm)), seen.level)
        for sensor, table in RESPONSES.items()
        for band, seen in table.items()
    }
    assert written == expected


def test_responses_come_in_the_order_asked_for():
    swir, blue = responses(Product.L30, (Band.SWIR1, Band.BLUE))
    assert (swir.centre_nm, blue.centre_nm) == (1608.86, 482.04)
    assert responses(Product.S30, ()) == ()


def test_an_unknown_sensor_is_oli_where_it_has_the_band():
    blue, edge = responses(None, (Band.BLUE, Band.RED_EDGE1))
    assert (blue.centre_nm, edge.centre_nm) == (482.04, 704.1)


def test_a_band_the_sensor_does_not_have():
    with pytest.raises(BandError, match="no band cirrus coastal on sensor tm: it has blue green red nir swir1 swir2"):
        responses(Sensor.TM, (Band.CIRRUS, Band.RED, Band.COASTAL))
    with pytest.raises(BandError, match="no band red_edge1 on sensor oli"):
        responses(Product.L30, (Band.RED_EDGE1,))


@pytest.mark.parametrize(
    ("low", "centre", "high"),
    [(500, 450, 600), (500, 650, 600), (500, 500, 600), (0, 1, 2), (-5, 1, 2), (1, 2, math.inf), (math.nan, 2, 3)],
)
def test_no_band_like_that(low, centre, high):
    with pytest.raises(InputError, match="wanted 0 < low < centre < high"):
        Response(low_nm=low, centre_nm=centre, high_nm=high)


def test_merged_by_hand():
    """Widths 20 and 60: the centre is a quarter of 510 and three quarters of 630, which is 600."""
    narrow = Response(low_nm=500, centre_nm=510, high_nm=520)
    wide = Response(low_nm=600, centre_nm=630, high_nm=660)
    assert merged((narrow, wide)) == merged((wide, narrow)) == Response(low_nm=500, centre_nm=600, high_nm=660)
    assert merged((wide,)) == wide


def test_red_edge_and_broad_nir_make_nearly_the_nir_of_tm():
    """By hand: (740.5 * 15 + 782.8 * 20 + 832.8 * 106) / 141 = 815.9."""
    broad = merged(responses(Sensor.MSI, (Band.RED_EDGE2, Band.RED_EDGE3, Band.NIR_BROAD)))
    assert (broad.low_nm, broad.centre_nm, broad.high_nm) == pytest.approx((733.0, 815.889, 885.8), abs=1e-3)
    assert broad.level is Level.SURFACE


def test_one_part_from_the_top_of_the_atmosphere_puts_the_whole_there():
    assert merged(responses(Sensor.MSI, (Band.NIR, Band.WATER_VAPOUR))).level is Level.TOP
    assert merged(responses(Sensor.MSI, (Band.CIRRUS, Band.WATER_VAPOUR))).level is Level.TOP


def test_nothing_to_merge():
    with pytest.raises(InputError, match="bands to merge: none given"):
        merged(())
