"""The predecessor as it ran: its numbers, its faults, and its fast double."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from ssc.bands import SIX
from ssc.errors import InputError
from ssc.granules import parse
from ssc.legacy import as_ran, fmask, maskers
from ssc.legacy.dem import Dem
from ssc.legacy.terrain import cast_shadow
from ssc.observation import Directions, Observation, TileFacts, Window

SUNS = [(168.4, 40), (125.1, 70.5), (90, 20), (60, 30), (30, 15), (210, 25), (300, 35), (181, 50), (45, 14)]
"""Azimuth and elevation, degrees."""


def rough() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 40, (60, 70)).cumsum(axis=1)


def hill() -> np.ndarray:
    at = np.arange(91.0) - 45
    return 600 * np.exp(-(at[:, None] ** 2 + at**2) / (2 * 8**2))


# Sun mask


@pytest.mark.parametrize(("azimuth", "elevation"), SUNS)
def test_the_closed_form_is_the_march_on_every_pixel(azimuth, elevation):
    slow = as_ran.shadow_marched(rough(), 30, elevation, azimuth)
    assert slow.any()
    assert (slow == as_ran.shadow_closed_form(rough(), 30, elevation, azimuth)).all()


@pytest.mark.parametrize("shape", [(1, 20), (2, 20), (20, 1), (3, 3)])
def test_the_closed_form_is_the_march_on_narrow_terrain(shape):
    dem = np.random.default_rng(7).normal(0, 60, shape)
    for azimuth, elevation in SUNS:
        slow, fast = (f(dem, 30, elevation, azimuth) for f in (as_ran.shadow_marched, as_ran.shadow_closed_form))
        assert (slow == fast).all()


def test_hill_counts_of_the_original(shared):
    """Exact but where the sine of the azimuth is a half and the original's rounding ties fall otherwise: 6 of 684."""
    for case in pd.read_csv(shared / "reference/legacy/cast_shadow_hill_cases.csv").itertuples():
        slack = 6 if case.saa in {210, 330} else 0
        assert abs(as_ran.shadow_closed_form(hill(), 30, case.elev, case.saa).sum() - case.shadow_px_legacy) <= slack


def test_wall_counts_of_the_original(shared):
    for case in pd.read_csv(shared / "reference/legacy/cast_shadow_wall_cases.csv").itertuples():
        dem = np.zeros((61, 61))
        if case.saa in {90, 270}:
            dem[:, 30] = 300
            seen = np.s_[30]
        elif case.saa in {0.5, 180.5}:
            dem[30] = 300
            seen = np.s_[:, 30]
        else:
            dem[30, 30] = 300
            seen = np.s_[:]
        assert as_ran.shadow_closed_form(dem, 30, case.elev, case.saa)[seen].sum() == case[7], case
        if case.saa not in {0.5, 180.5}:  # where the march takes seconds
            assert as_ran.shadow_marched(dem, 30, case.elev, case.saa)[seen].sum() == case[7], case


def test_it_looks_the_wrong_way(shared):
    """Overlap with true shadow is as measured of the original: full with the sun due east, none with it in the west."""
    for case in pd.read_csv(shared / "reference/legacy/cast_shadow_hill_cases.csv").itertuples():
        ours = as_ran.shadow_closed_form(hill(), 30, case.elev, case.saa)
        truth = cast_shadow(hill(), 30, 90 - case.elev, case.saa)
        overlap = np.count_nonzero(ours & truth) / np.count_nonzero(ours | truth)
        assert overlap == pytest.approx(case.iou_legacy, abs=0.03), case


def test_it_breaks_the_symmetry_that_true_shadow_keeps():
    dem = rough()[:60, :60]
    turned = as_ran.shadow_closed_form(np.rot90(dem), 30, 30, 60)
    assert (turned != np.rot90(as_ran.shadow_closed_form(dem, 30, 30, 150))).any()


@pytest.mark.parametrize("sun_mask", [as_ran.shadow_marched, as_ran.shadow_closed_form])
@pytest.mark.parametrize("azimuth", [0, 180, 360])
def test_a_sun_due_north_or_south_is_refused_where_the_original_hangs(sun_mask, azimuth):
    with pytest.raises(InputError, match="it never ends"):
        sun_mask(rough(), 30, 30, azimuth)


# Fmask


def test_it_keeps_the_sixteen_values():
    every = np.arange(256, dtype=np.uint8)
    clean = as_ran.clean_water_by_value(every)
    assert set(np.unique(clean[np.isfinite(clean)])) == {1.0}
    assert (np.isfinite(clean) == fmask.legacy_keep(every)).all()
    assert np.count_nonzero(np.isfinite(clean)) == 16


# Disc


def metric_degrees(lat: float, pixel_m: float, centre: tuple[float, float], size: int) -> Affine:
    """Pixels of so many metres at a latitude, in degrees; the first pixel's corner lies `centre` px before the site."""
    dx, dy = pixel_m / (1000 * 40_075 / 360 * math.cos(math.radians(lat))), pixel_m / 111_320
    return Affine(dx, 0, -147 - centre[0] * dx, 0, -dy, lat + centre[1] * dy)


@pytest.mark.parametrize(("centre", "count"), [((9.5, 9.5), 316), ((10, 10), 305)])
def test_a_disc_of_ten_pixels_holds_the_reference_count(centre, count):
    degrees = metric_degrees(45, 30.0001, centre, 20)  # a pixel at exactly 300 m is outside
    found = as_ran.statistics_in_disc(np.arange(441.0).reshape(21, 21), degrees, -147, 45)
    assert found.count == count


def test_statistics_are_those_of_the_disc_alone():
    rng = np.random.default_rng(9)
    layer = rng.random((40, 50))
    layer[::3] = np.nan
    degrees = metric_degrees(60, 30, (25.3, 17.8), 40)
    rows, cols = np.indices(layer.shape)
    inside = (cols - 25.3) ** 2 + (rows - 17.8) ** 2 < 100
    kept = layer[inside & np.isfinite(layer)]
    found = as_ran.statistics_in_disc(layer, degrees, -147, 60)
    assert found.count == kept.size
    assert (found.minimum, found.maximum) == (kept.min(), kept.max())
    assert (found.mean, found.std, found.median) == pytest.approx((kept.mean(), kept.std(), np.median(kept)))


def test_a_disc_without_a_value_has_no_statistics():
    found = as_ran.statistics_in_disc(np.full((21, 21), np.nan), metric_degrees(45, 30, (10, 10), 21), -147, 45)
    assert found.count == 0
    assert math.isnan(found.mean)


# All of it

WEST, NORTH, SIZE = 463_000, 7_189_000, 120


def observation() -> Observation:
    """A river 900 m wide from north to south through Fairbanks' plain, sediment rising eastward, cloud in the north."""
    geobox = GeoBox((SIZE, SIZE), Affine(30, 0, WEST, 0, -30, NORTH), "EPSG:32606")
    codes = np.full((SIZE, SIZE), 64, np.uint8)
    codes[:, 45:75] = 96
    codes[:40] |= 2
    reflectance = np.broadcast_to(np.linspace(0.02, 0.14, SIZE, dtype=np.float32), (6, SIZE, SIZE))
    directions = Directions(sun_zenith=50, sun_azimuth=168.4, view_zenith=5, view_azimuth=100)
    facts = TileFacts(
        geobox=geobox,
        block=(256, 256),
        directions=directions,
        sensed=datetime(2024, 4, 29, 21, 12, 11, tzinfo=UTC),
        platform="L8",
        cloud_cover=6,
    )
    return Observation(
        granule=parse("HLS.L30.T06WVS.2024120T211159.v2.0"),
        facts=facts,
        window=Window.whole((SIZE, SIZE)),
        bands=SIX,
        reflectance=reflectance,
        fmask=codes,
    )


def site(east_px: float, south_px: float) -> tuple[float, float]:
    to_degrees = Transformer.from_crs("EPSG:32606", "EPSG:4326", always_xy=True)
    return to_degrees.transform(WEST + 30 * east_px, NORTH - 30 * south_px)


@pytest.fixture
def flat(tmp_path: Path) -> Dem:
    path = tmp_path / "flat.tif"
    profile = {"driver": "GTiff", "height": 60, "width": 60, "count": 1, "dtype": "float32", "crs": "EPSG:32606"}
    corner = Affine(500, 0, WEST - 13_000, 0, -500, NORTH + 13_000)
    with rasterio.open(path, "w", transform=corner, **profile) as file:
        file.write(np.full((1, 60, 60), 130, np.float32))
    return Dem(location=str(path))


def test_a_run_gives_both_statistics_of_every_band_and_the_time_of_every_step(flat):
    run = as_ran.sample(observation(), *site(60, 80), flat, marched=False)
    assert list(run.wos) == list(run.sun) == list(SIX)
    assert list(run.seconds) == ["sun position", "terrain shadow", "fmask masks", "good-quality water pixels"]
    for band in SIX:
        assert run.wos[band] == run.sun[band]  # flat ground: nothing in shadow
        assert run.wos[band].median == pytest.approx(0.08, abs=0.003)
    # Pixels of 23 x 54 m instead of 30 x 30: fewer than the 314 of the disc in metres (table of defects).
    assert 150 < run.wos[SIX[0]].count < 260


def test_the_march_and_its_double_give_the_same_run(shared):
    dem = Dem(location=str(shared / "data/dem/fairbanks_dem_geoid.tif"))
    slow, fast = (as_ran.sample(observation(), *site(60, 80), dem, marched=marched) for marched in (True, False))
    assert (slow.wos, slow.sun) == (fast.wos, fast.sun)


def test_a_site_under_cloud_has_no_pixels(flat):
    run = as_ran.sample(observation(), *site(60, 15), flat, marched=False)
    assert run.wos[SIX[0]].count == run.sun[SIX[0]].count == 0


def test_the_predecessor_is_no_masker():
    assert not {"as_ran", "as-ran", "s0"} & set(maskers.NAMES)
