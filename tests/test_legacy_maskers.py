"""The maskers without weights on observations whose truth is written down, and the shadow their windows share."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox

from ssc.bands import SIX, Band
from ssc.errors import DataError, InputError
from ssc.granules import parse
from ssc.legacy import dswx, fmask, maskers, shading
from ssc.legacy.kept import LastFew
from ssc.legacy.sun import convergence, sun_position
from ssc.legacy.terrain import cast_shadow
from ssc.masks import Mask, clear_water
from ssc.observation import Directions, Observation, TileFacts, Window

GRANULE = parse("HLS.L30.T06WVS.2024120T211159.v2.0")
SIZE = 400
WEST, NORTH = 463_000, 7_189_000
"""A square of 12 km within tile T06WVS, west of its central meridian."""


def grid(size: int = SIZE, west: float = WEST, north: float = NORTH) -> GeoBox:
    return GeoBox((size, size), Affine(30, 0, west, 0, -30, north), "EPSG:32606")


def facts(zenith: float = 60.0, azimuth: float = 168.4, geobox: GeoBox | None = None) -> TileFacts:
    return TileFacts(
        geobox=geobox or grid(),
        block=(256, 256),
        directions=Directions(sun_zenith=zenith, sun_azimuth=azimuth, view_zenith=5, view_azimuth=100),
        sensed=datetime(2024, 4, 29, 21, 12, 11, tzinfo=UTC),
        platform="L8",
        cloud_cover=6,
    )


def observe(
    dn: np.ndarray, codes: np.ndarray, window: Window | None = None, tile: TileFacts | None = None, granule=GRANULE
) -> Observation:
    tile = tile or facts()
    reflectance = np.where(dn == -9999, np.nan, dn * np.float32(1e-4)).astype(np.float32)
    window = window or Window(row=0, col=0, height=codes.shape[0], width=codes.shape[1])
    return Observation(
        granule=granule, facts=tile, window=window, bands=SIX, reflectance=reflectance, fmask=codes.astype(np.uint8)
    )


def plain(window: Window, tile: TileFacts | None = None, granule=GRANULE) -> Observation:
    """Water everywhere, no cloud."""
    dn = np.broadcast_to(np.array([600, 500, 300, 150, 80, 50])[:, None, None], (6, window.height, window.width))
    return observe(dn, np.full((window.height, window.width), 96), window, tile, granule)


@pytest.fixture
def ridge(tmp_path: Path) -> str:
    """Elevation of the square and 16 km round it: a plain, and a ridge of 600 m across, 600 m south."""
    path = tmp_path / "ridge.tif"
    wide = shading.padded(grid(), 540)
    height = np.full(wide.shape, 100, np.float32)
    bottom = 540 + SIZE + 20
    height[bottom : bottom + 5] = 700
    profile = {"driver": "GTiff", "height": wide.shape[0], "width": wide.shape[1], "count": 1, "dtype": "float32"}
    with rasterio.open(path, "w", crs="EPSG:32606", transform=wide.affine, **profile) as file:
        file.write(height, 1)
    return str(path)


# What each masker says

KINDS = {
    # six bands, Fmask; then water, cloud, cloud shadow and snow by Fmask's bits and by DSWx, and water by MNDWI
    "clear lake": ([600, 500, 300, 150, 80, 50], 96, "W", "W", "W"),
    "clear lake Fmask missed": ([600, 500, 300, 150, 80, 50], 64, "", "W", "W"),
    "hyper-turbid river": ([1200, 1700, 2200, 2100, 550, 350], 160, "W", "W", "W"),
    "vegetation": ([300, 500, 350, 3500, 1500, 650], 64, "", "", ""),
    "partial water": ([400, 600, 500, 1400, 850, 500], 64, "", "", ""),
    "cloud": ([6000, 6100, 6200, 6500, 4500, 3500], 66, "C", "WC", "W"),
    "water beside cloud": ([600, 500, 300, 150, 80, 50], 100, "W", "W", "W"),
    "water in cloud shadow": ([600, 500, 300, 150, 80, 50], 104, "WH", "WH", "W"),
    "snow": ([7600, 7900, 7700, 7300, 850, 640], 80, "S", "WS", "W"),
    "dark water under aerosol": ([320, 440, 310, 680, 520, 310], 96, "W", "W", ""),
    "fill in one band": ([-9999, 500, 300, 150, 80, 50], 96, "", "", ""),
    "fill in Fmask": ([600, 500, 300, 150, 80, 50], 255, "", "", ""),
}
LETTERS = {"W": Mask.WATER, "C": Mask.CLOUD, "H": Mask.CLOUD_SHADOW, "S": Mask.SNOW_ICE}


@pytest.mark.parametrize(("name", "column"), [("fmask", 2), ("legacy-fmask", 2), ("legacy-dswx", 3), ("mndwi", 4)])
def test_every_kind_of_pixel(name, column):
    kinds = list(KINDS.values())
    dn, codes = np.array([kind[0] for kind in kinds]).T[:, None], np.array([[kind[1] for kind in kinds]])
    masks = maskers.load(name)(observe(dn, codes))
    for at, (kind, expected) in enumerate(KINDS.items()):
        found = {letter for letter, mask in LETTERS.items() if masks[mask][0, at]}
        assert found == set(expected[column]), kind
    assert not masks[Mask.TERRAIN_SHADOW].any()
    assert masks.valid[0].tolist() == [True] * (len(kinds) - 2) + [False, False]
    assert not masks.stack[:, ~masks.valid].any()


def test_names_load_and_say_their_name():
    assert list(maskers.NAMES) == ["legacy-dswx", "legacy-fmask", "fmask", "mndwi"]
    for name in maskers.NAMES:
        masker = maskers.load(name)
        assert (masker.name, masker.halo) == (name, 0)


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match="wanted one of legacy-dswx legacy-fmask fmask mndwi"):
        maskers.load("dswx")


def test_elevation_that_is_not_there_is_refused_before_any_work(tmp_path):
    with pytest.raises(InputError, match="no elevation model"):
        maskers.load("legacy-fmask", dem=tmp_path / "absent.tif")


def test_bands_in_another_order_with_others_between_give_the_same_masks():
    rng = np.random.default_rng(8)
    dn, codes = rng.integers(0, 4000, (6, 30, 40)), rng.integers(0, 256, (30, 40))
    straight = observe(dn, codes)
    order = [3, 0, 5, 1, 4, 2]
    extra = np.full((1, 30, 40), 0.1, np.float32)
    shuffled = replace(
        straight,
        bands=(Band.COASTAL, *(SIX[k] for k in order)),
        reflectance=np.concatenate([extra, straight.reflectance[order]]),
    )
    for name in maskers.NAMES:
        masker = maskers.load(name)
        assert (masker(straight).stack == masker(shuffled).stack).all()


def test_a_real_granule_has_the_clean_water_of_the_reference(shared):
    """T15SXR, 1000 x 1000 px: 2883 px by Fmask's bits, 1588 by WTR-1 with adjacent masked, 1446 by both."""
    name = shared / "data/hls_s30_t15sxr/input/HLS.S30.T15SXR.2021250T163901.v2.0."
    dn = np.stack([_read(f"{name}{code}.tif") for code in ("B02", "B03", "B04", "B8A", "B11", "B12")])
    codes = _read(f"{name}Fmask.tif")
    observation = observe(np.where(dn == -32768, -9999, dn), codes)
    by_bits, by_dswx = (clear_water(maskers.load(n)(observation)) for n in ("fmask", "legacy-dswx"))
    assert np.count_nonzero(by_bits) == np.count_nonzero(fmask.legacy_keep(codes) & observation.valid) == 2883
    layers = dswx.classify(observation.reflectance, codes)
    strict = np.isin(layers.wtr1, (1, 2)) & np.isin(layers.cloud, (0, 8))
    assert (np.count_nonzero(strict), np.count_nonzero(strict & by_bits)) == (1588, 1446)
    # The masker adds what the aerosol step calls water and what lies beside clouds, and drops nothing.
    assert not (strict & ~by_dswx).any()
    assert np.count_nonzero(by_dswx) == 2791


def _read(path: str) -> np.ndarray:
    with rasterio.open(path) as file:
        return file.read(1)


# Terrain shadow


def test_shadow_of_a_ridge_outside_the_tile_falls_on_it(ridge):
    """Sun 15 degrees high in the south: 600 m reach 2239 m north of the crest, 25 px beyond the ridge's foot."""
    masks = maskers.load("legacy-fmask", dem=ridge)(plain(Window.whole((SIZE, SIZE)), facts(75, 180)))
    shadow = masks[Mask.TERRAIN_SHADOW]
    columns = shadow[:, 50:350]
    assert columns[-54:].all()
    assert not columns[:-56].any()
    assert not (clear_water(masks) & shadow).any()


def test_windows_are_cut_from_the_shadow_of_the_whole_tile(ridge):
    for name in ("legacy-fmask", "legacy-dswx"):
        whole = maskers.load(name, dem=ridge)(plain(Window.whole((SIZE, SIZE)), facts(75)))
        masker = maskers.load(name, dem=ridge)
        for window in (Window(row=330, col=10, height=70, width=90), Window(row=0, col=0, height=10, width=10)):
            rows, cols = window.slices
            assert (masker(plain(window, facts(75))).stack == whole.stack[:, rows, cols]).all()


def test_the_suns_azimuth_is_turned_to_grid_north():
    zenith, azimuth = shading.sun_on_grid(facts(50, 168.4155))
    gamma = convergence(64.8, -147.65, -147)
    assert zenith == 50
    assert gamma < -0.5
    assert azimuth == pytest.approx(168.4155 - gamma, abs=0.02)


def test_without_sun_angles_the_time_seen_tells_them():
    told = shading.sun_on_grid(facts(np.nan, np.nan))
    zenith, azimuth = sun_position(facts().sensed, 64.8, -147.65)
    assert told[0] == pytest.approx(zenith, abs=0.1)
    assert told[1] == pytest.approx(azimuth - convergence(64.8, -147.65, -147), abs=0.1)


def test_shadow_on_real_relief_is_that_of_the_function_with_all_margin(shared):
    """The margin kept is enough: shadow over the middle equals that from the whole piece of elevation."""
    location = shared / "data/dem/fairbanks_dem_geoid.tif"
    middle = grid(60, 466_000, 7_186_000)
    tile = facts(72, 175, middle)
    masker = maskers.load("legacy-fmask", dem=location)
    shadow = masker(plain(Window.whole((60, 60)), tile))[Mask.TERRAIN_SHADOW]
    wide = shading.Dem(location=str(location)).on(shading.padded(middle, 500))
    whole = cast_shadow(wide, 30, *shading.sun_on_grid(tile))
    assert (shadow == whole[500:-500, 500:-500]).all()


def test_dswx_takes_operas_shading_for_terrain_shadow(ridge):
    window = Window.whole((SIZE, SIZE))
    level = maskers.load("legacy-dswx", dem=ridge)(plain(window, facts(75, 180)))
    assert not level[Mask.TERRAIN_SHADOW].any()  # a plain is never shaded, although the ridge's shadow lies on it


def test_dswx_masks_a_back_slope_that_fmask_and_cast_shadow_leave_lit(tmp_path):
    path = tmp_path / "slope.tif"
    wide = shading.padded(grid(), 520)
    height = np.repeat(np.arange(wide.shape[0], dtype=np.float32)[:, None] * 6, wide.shape[1], axis=1)  # 11 degrees
    profile = {"driver": "GTiff", "height": wide.shape[0], "width": wide.shape[1], "count": 1, "dtype": "float32"}
    with rasterio.open(path, "w", crs="EPSG:32606", transform=wide.affine, **profile) as file:
        file.write(height, 1)
    seen = plain(Window.whole((SIZE, SIZE)), facts(45, 180))  # rises southward, toward the sun: turned away, lit
    assert maskers.load("legacy-dswx", dem=path)(seen)[Mask.TERRAIN_SHADOW].all()
    assert not maskers.load("legacy-fmask", dem=path)(seen)[Mask.TERRAIN_SHADOW].any()


def test_elevation_of_elsewhere_sets_the_granule_aside(shared):
    masker = maskers.load("legacy-fmask", dem=shared / "data/dem/los_angeles_dem_geoid.tif")
    with pytest.raises(DataError, match="no elevation under the tile"):
        masker(plain(Window.whole((SIZE, SIZE))))


def test_a_grid_that_is_not_utm_is_told(ridge):
    mercator = GeoBox((SIZE, SIZE), Affine(30, 0, 0, 0, -30, 0), "EPSG:3857")
    with pytest.raises(DataError, match="wanted UTM"):
        maskers.load("legacy-fmask", dem=ridge)(plain(Window.whole((SIZE, SIZE)), facts(geobox=mercator)))
    oblong = GeoBox((SIZE, SIZE), Affine(30, 0, WEST, 0, -20, NORTH), "EPSG:32606")
    with pytest.raises(DataError, match="wanted square pixels"):
        maskers.load("legacy-fmask", dem=ridge)(plain(Window.whole((SIZE, SIZE)), facts(geobox=oblong)))


# Once for each


def test_shadow_is_drawn_once_for_a_granule_and_elevation_read_once_for_a_tile(ridge):
    drawn, lock = [], threading.Lock()

    def slow(dem, pixel, zenith, azimuth):
        with lock:
            drawn.append(zenith)
        time.sleep(0.05)
        return cast_shadow(dem, pixel, zenith, azimuth)

    shadow = shading.TerrainShadow(dem=shading.Dem(location=ridge), shade=slow)
    windows = [Window(row=40 * k, col=0, height=40, width=400) for k in range(8)]
    other = parse("HLS.L30.T06WVS.2024136T211159.v2.0")
    work = [plain(w, facts(75)) for w in windows] + [plain(w, facts(60), other) for w in windows]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(shadow, work))
    assert sorted(drawn) == [60, 75]
    assert all(part.shape == (40, 400) for part in found)
    grown = np.concatenate(found[:8])
    assert (grown == shadow(plain(Window(row=0, col=0, height=320, width=400), facts(75)))).all()


def test_the_last_few_are_kept_and_older_ones_made_again():
    made = []
    kept = LastFew[str, int](2)
    for key in "aabacbca":
        kept.value(key, lambda key=key: made.append(key) or len(made))
    assert "".join(made) == "abcba"


def test_a_failure_is_not_kept():
    kept = LastFew[str, int](2)
    with pytest.raises(ZeroDivisionError):
        kept.value("a", lambda: 1 // 0)
    assert kept.value("a", lambda: 7) == 7
