"""Cast shadow against a march along every ray, known walls and hills, its own symmetries; elevation from real files."""

from __future__ import annotations

import logging
import math
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from scipy.ndimage import binary_dilation, map_coordinates
from shapely.geometry import box

from ssc.errors import AccessError, DataError, InputError, TransientError
from ssc.legacy.dem import Bounds, Dem, bounds_of, glo30_names, lonlat
from ssc.legacy.terrain import cast_shadow, margin_px

PIXEL_M = 30
AZIMUTHS = [*range(0, 360, 15), 1, 44.7, 45.3, 89.9, 137.2, 168.4, 181, 268.8, 316]


def march(dem: np.ndarray, zenith_deg: float, azimuth_deg: float) -> np.ndarray:
    """Shadow by looking from every pixel toward the sun, sample by sample of bilinear terrain: slow and plain."""
    azimuth, rise = math.radians(azimuth_deg), 1 / math.tan(math.radians(zenith_deg))
    south, east = -math.cos(azimuth), math.sin(azimuth)
    longest = max(abs(south), abs(east))
    step_m = PIXEL_M / longest
    rows, cols = np.indices(dem.shape)
    shadow = np.zeros(dem.shape, bool)
    for n in range(1, int(np.ptp(dem) / (rise * step_m)) + 2):
        r, c = rows + n * south / longest, cols + n * east / longest
        inside = (r >= 0) & (r <= dem.shape[0] - 1) & (c >= 0) & (c <= dem.shape[1] - 1)
        shadow |= inside & (map_coordinates(dem, [r, c], order=1) > dem + n * step_m * rise + 1e-9)
    return shadow


def overlap(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Intersection over union."""
    return np.count_nonzero(ours & theirs) / np.count_nonzero(ours | theirs)


def hill() -> np.ndarray:
    at = np.arange(91.0) - 45
    return 600 * np.exp(-(at[:, None] ** 2 + at**2) / (2 * 8**2))


def rough() -> np.ndarray:
    surface = np.random.default_rng(0).standard_normal((200, 200)).cumsum(0).cumsum(1)
    return (surface - surface.min()) / np.ptp(surface) * 1500


def mountains() -> np.ndarray:
    """1500 m of fractal relief, spectrum f^-4."""
    n = 200
    frequency = np.hypot(np.fft.fftfreq(n)[:, None], np.fft.fftfreq(n))
    frequency[0, 0] = 1
    surface = np.fft.ifft2(np.fft.fft2(np.random.default_rng(1).standard_normal((n, n))) / frequency**2).real
    return (surface - surface.min()) / np.ptp(surface) * 1500


# Against the slow march


@pytest.mark.parametrize("terrain", [rough, mountains])
@pytest.mark.parametrize("elevation", [20, 35])
def test_it_is_the_march_but_for_the_shadow_edge_for_every_azimuth(terrain, elevation, capsys):
    dem = terrain()
    inner, all_of_it = {}, {}
    for azimuth in AZIMUTHS:
        slow, fast = march(dem, 90 - elevation, azimuth), cast_shadow(dem, PIXEL_M, 90 - elevation, azimuth)
        edge = binary_dilation(slow, np.ones((3, 3))) & binary_dilation(~slow, np.ones((3, 3)))
        inner[azimuth], all_of_it[azimuth] = overlap(fast & ~edge, slow & ~edge), overlap(fast, slow)
    with capsys.disabled():
        print(
            f"\ncast shadow against march, {terrain.__name__}, sun {elevation} deg: IoU off the edge at least "
            f"{min(inner.values()):.4f}, everywhere at least {min(all_of_it.values()):.3f}"
        )
    assert min(inner.values()) > 0.99, inner
    assert min(all_of_it.values()) > 0.93, all_of_it


def test_hills_of_the_reference(shared):
    cases = pd.read_csv(shared / "reference/legacy/cast_shadow_hill_cases.csv")
    for case in cases.itertuples():
        fast, slow = cast_shadow(hill(), PIXEL_M, 90 - case.elev, case.saa), march(hill(), 90 - case.elev, case.saa)
        assert fast.sum() == case.shadow_px_sweep, case
        assert slow.sum() == case.shadow_px_brute, case
        assert overlap(fast, slow) == pytest.approx(case.iou_sweep, abs=5e-5), case
        assert overlap(fast, slow) >= 0.95


# Walls and single rows


def wall_count(azimuth: float, elevation: float) -> int:
    """Shadow pixels of 300 m: a wall across the sun counted on its middle line, or one pillar under a diagonal sun."""
    dem = np.zeros((61, 61))
    zenith = 90 - elevation
    if azimuth in {90, 270}:
        dem[:, 30] = 300
        return cast_shadow(dem, PIXEL_M, zenith, azimuth)[30].sum()
    if azimuth in {0.5, 180.5}:
        dem[30] = 300
        return cast_shadow(dem, PIXEL_M, zenith, azimuth)[:, 30].sum()
    dem[30, 30] = 300
    return cast_shadow(dem, PIXEL_M, zenith, azimuth).sum()


def test_walls_of_the_reference(shared):
    cases = pd.read_csv(shared / "reference/legacy/cast_shadow_wall_cases.csv")
    for case in cases.itertuples():
        count = wall_count(case.saa, case.elev)
        assert count == case.sweep == case.brute, case
        if case.expected_px_axis_aligned >= 0 and case.elev > 14:  # at 14 degrees the raster ends first
            assert count == case.expected_px_axis_aligned, case


@settings(deadline=None)
@given(st.integers(10, 600), st.integers(14, 80), st.sampled_from([0, 90, 180, 270]))
def test_a_wall_straight_across_the_sun_shades_what_geometry_says(height_m, elevation, azimuth):
    column = np.zeros((200, 3))
    column[100] = height_m
    dem = np.rot90(column, -azimuth // 90)  # the wall's north side turns to the sun's side
    pixels = math.ceil(height_m / (PIXEL_M * math.tan(math.radians(elevation))) - 1e-9) - 1
    shadow = cast_shadow(dem, PIXEL_M, 90 - elevation, azimuth)
    assert np.rot90(shadow, azimuth // 90)[:, 1].nonzero()[0].tolist() == [101 + k for k in range(min(pixels, 99))]


@pytest.mark.parametrize(
    ("azimuth", "shadow"),
    [(90, [0, 0, 1, 1, 1, 0, 0, 0]), (270, [0, 0, 0, 0, 0, 0, 1, 1]), (-90, [0, 0, 0, 0, 0, 0, 1, 1])],
)
def test_a_bump_in_a_row_shades_away_from_the_sun(azimuth, shadow):
    row = np.array([[0, 0, 0, 0, 0, 95, 0, 0]])
    assert cast_shadow(row, PIXEL_M, 45, azimuth)[0].astype(int).tolist() == shadow
    from_south = cast_shadow(row.T, PIXEL_M, 45, azimuth + 90)  # the same row, walked down a column
    assert from_south[:, 0].astype(int).tolist() == shadow


# Invariants

ANGLES = st.one_of(st.floats(-360, 720), st.sampled_from([0.0, 45.0, 90.0, 135.0, 168.4, 180.0, 225.0, 359.9]))
SMALL = rough()[20:80, 30:100]


@settings(max_examples=60, deadline=None)
@given(ANGLES, st.integers(14, 85))
def test_turned_or_mirrored_terrain_has_the_equally_turned_shadow_to_the_pixel(azimuth, elevation):
    zenith = 90 - elevation
    shadow = cast_shadow(SMALL, PIXEL_M, zenith, azimuth)
    assert (cast_shadow(np.rot90(SMALL), PIXEL_M, zenith, azimuth - 90) == np.rot90(shadow)).all()
    assert (cast_shadow(np.fliplr(SMALL), PIXEL_M, zenith, 360 - azimuth) == np.fliplr(shadow)).all()
    assert (cast_shadow(np.flipud(SMALL), PIXEL_M, zenith, 180 - azimuth) == np.flipud(shadow)).all()


@settings(max_examples=60, deadline=None)
@given(ANGLES, st.integers(14, 84))
def test_a_higher_sun_only_takes_shadow_away(azimuth, elevation):
    low = cast_shadow(SMALL, PIXEL_M, 90 - elevation, azimuth)
    high = cast_shadow(SMALL, PIXEL_M, 89 - elevation, azimuth)
    assert not (high & ~low).any()


@settings(max_examples=60, deadline=None)
@given(ANGLES, st.integers(14, 85))
def test_the_summit_and_the_sunward_border_are_lit(azimuth, elevation):
    shadow = cast_shadow(SMALL, PIXEL_M, 90 - elevation, azimuth)
    assert not shadow[np.unravel_index(SMALL.argmax(), SMALL.shape)]
    border = round(azimuth / 90) % 4
    assert not np.rot90(shadow, border)[0].any()


@settings(deadline=None)
@given(ANGLES, st.integers(0, 89))
def test_flat_ground_is_lit_at_any_height(azimuth, zenith):
    assert not cast_shadow(np.full((5, 7), 3121.7), PIXEL_M, zenith, azimuth).any()


def test_shadow_area_of_the_reference_surface():
    areas = [int(cast_shadow(rough(), PIXEL_M, 90 - elevation, 150).sum()) for elevation in (14, 20, 30, 45, 60)]
    assert areas == [27_220, 23_025, 16_684, 8_904, 2_920]


def test_a_constant_added_to_the_terrain_changes_nothing():
    dem = np.round(rough() * 16) / 16  # adding 1024 to sixteenths loses no bit
    assert (cast_shadow(dem, PIXEL_M, 70, 137) == cast_shadow(dem + 1024, PIXEL_M, 70, 137)).all()


def test_no_data_neither_casts_shadow_nor_lies_in_it_nor_stops_it():
    dem = np.zeros((1, 12))
    dem[0, 9] = 150
    assert cast_shadow(dem, PIXEL_M, 45, 90)[0].nonzero()[0].tolist() == [5, 6, 7, 8]
    dem[0, 7] = np.nan
    assert cast_shadow(dem, PIXEL_M, 45, 90)[0].nonzero()[0].tolist() == [5, 6, 8]
    dem[0, 9] = np.nan
    assert not cast_shadow(dem, PIXEL_M, 45, 90).any()
    assert not cast_shadow(np.full((4, 4), np.nan), PIXEL_M, 70, 33).any()


@pytest.mark.parametrize("kind", [np.int16, np.int32, np.float32, np.float64])
def test_any_number_type_will_do(kind):
    dem = rough().astype(np.int16)
    assert (cast_shadow(dem.astype(kind), PIXEL_M, 65, 211) == cast_shadow(dem, PIXEL_M, 65, 211)).all()


def test_the_sun_overhead_casts_no_shadow():
    assert not cast_shadow(rough(), PIXEL_M, 0, 150).any()


@pytest.mark.parametrize(
    ("dem", "pixel", "zenith", "azimuth"),
    [
        (np.zeros(5), 30, 40, 150),
        (np.zeros((5, 5)), 0, 40, 150),
        (np.zeros((5, 5)), math.nan, 40, 150),
        (np.zeros((5, 5)), 30, 90, 150),
        (np.zeros((5, 5)), 30, -1, 150),
        (np.zeros((5, 5)), 30, math.nan, 150),
        (np.zeros((5, 5)), 30, 40, math.inf),
    ],
)
def test_what_cannot_be_shaded_is_refused(dem, pixel, zenith, azimuth):
    with pytest.raises(InputError, match="wanted"):
        cast_shadow(dem, pixel, zenith, azimuth)


def test_empty_terrain_has_empty_shadow():
    assert cast_shadow(np.empty((0, 4)), PIXEL_M, 40, 150).shape == (0, 4)
    assert cast_shadow(np.empty((4, 0)), PIXEL_M, 40, 140).shape == (4, 0)


def test_the_margin_is_the_longest_shadow():
    assert margin_px(0, 30, 50) == 0
    assert margin_px(300, 30, 45) == 10
    assert margin_px(8000, 30, 76) == 500


# Real relief


def test_real_shadow_is_dark_and_lies_on_the_right_side_of_the_hills(shared):
    """Landsat 7 in November, 300 m of relief: in shadow near infrared is low, with the sun turned round it is high."""
    folder = shared / "data/landsat7_terrain_shading"
    with rasterio.open(folder / "dem.tif") as dem_file, rasterio.open(folder / "nov_6band_DN.tif") as scene:
        dem, nir, tags = dem_file.read(1), scene.read(4).astype(float), scene.tags()
    zenith, azimuth = 90 - float(tags["SUN_ELEVATION"]), float(tags["SUN_AZIMUTH"])
    for lower in (0, 6, 10):  # the steepest slopes only, then more of those turned away
        shadow = cast_shadow(dem, PIXEL_M, zenith + lower, azimuth)
        mirrored = cast_shadow(dem, PIXEL_M, zenith + lower, azimuth + 180)
        assert np.median(nir[shadow]) < 0.7 * np.median(nir) < 0.8 * np.median(nir[mirrored])


# Elevation


def utm(west: float, north: float, rows: int, cols: int, epsg: int, size: float = 30) -> GeoBox:
    return GeoBox((rows, cols), Affine(size, 0, west, 0, -size, north), f"EPSG:{epsg}")


FAIRBANKS = utm(399_960, 7_200_000, 3660, 3660, 32606)  # tile T06WVS
CHENA = utm(465_000, 7_189_500, 200, 100, 32606)  # inside the piece of elevation there
ACROSS = utm(490_000, 7_150_000, 300, 700, 32606)  # both sides of 147 W, the meridian of the zone, at column 333


def plane_tile(path: Path, west: float, north: float, degrees: float = 1, base: float = 0) -> None:
    """A raster of one degree whose height is 1000 m a degree of longitude plus 500 m a degree of latitude."""
    n = 720
    at = (np.arange(n) + 0.5) * degrees / n
    height = base + 1000 * (west + at) + 500 * (north - at[:, None])
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {"driver": "GTiff", "height": n, "width": n, "count": 1, "dtype": "float32", "crs": "EPSG:4326"}
    with rasterio.open(path, "w", transform=Affine(degrees / n, 0, west, 0, -degrees / n, north), **profile) as file:
        file.write(height.astype(np.float32), 1)


def glo30_file(folder: Path, lat: int, lon: int) -> Path:
    (name,) = glo30_names(Bounds(west=lon + 0.1, south=lat + 0.1, east=lon + 0.9, north=lat + 0.9))
    return folder / name / f"{name}.tif"


def plane_on(grid: GeoBox, base: float = 0) -> np.ndarray:
    rows, cols = np.indices(grid.shape) + 0.5
    lons, lats = lonlat(grid, rows.ravel(), cols.ravel())
    return (base + 1000 * lons + 500 * lats).reshape(grid.shape)


def test_names_are_those_of_the_published_index(shared):
    index = gpd.read_parquet(shared / "data/dem/glo_30.parquet")
    rng = np.random.default_rng(3)
    for _ in range(60):
        west, south = rng.uniform(-178, 175), rng.uniform(-60, 80)
        east, north = west + rng.uniform(0.1, 3), south + rng.uniform(0.1, 2)
        names = glo30_names(Bounds(west=west, south=south, east=east, north=north))
        published = set(index["tile_id"][index.intersects(box(west, south, east, north))])
        assert published <= set(names)
        assert set(names) & set(index["tile_id"]) == published
        assert len(names) == len(set(names))


def test_names_at_the_corners_of_the_world():
    assert glo30_names(Bounds(west=-0.5, south=-0.5, east=0.5, north=0.5)) == [
        "Copernicus_DSM_COG_10_S01_00_W001_00_DEM",
        "Copernicus_DSM_COG_10_S01_00_E000_00_DEM",
        "Copernicus_DSM_COG_10_N00_00_W001_00_DEM",
        "Copernicus_DSM_COG_10_N00_00_E000_00_DEM",
    ]
    across = glo30_names(Bounds(west=179.5, south=-17.5, east=180.5, north=-17.1))
    assert across == ["Copernicus_DSM_COG_10_S18_00_E179_00_DEM", "Copernicus_DSM_COG_10_S18_00_W180_00_DEM"]


def test_the_box_of_a_tile_across_the_antimeridian_is_narrow():
    bounds = bounds_of(utm(199_980, -1_800_000, 3660, 3660, 32601))  # T01KAB-like: its west edge lies at 179.2 E
    assert 0.9 < bounds.east - bounds.west < 1.3


def test_real_elevation_lands_on_the_tile(shared):
    location = shared / "data/dem/fairbanks_dem_geoid.tif"
    elevation = Dem(location=str(location)).on(CHENA)
    rows, cols = np.indices(CHENA.shape) + 0.5
    lons, lats = lonlat(CHENA, rows.ravel(), cols.ravel())
    with rasterio.open(location) as file:
        a, heights = file.transform, file.read(1)
    source = map_coordinates(heights, [(lats - a.f) / a.e - 0.5, (lons - a.c) / a.a - 0.5], order=1)
    off = np.abs(elevation - source.reshape(CHENA.shape))
    assert elevation.dtype == np.float32
    assert off.max() < 3  # in longitude the file is finer than 30 m: GDAL's bilinear kernel then widens
    assert off.mean() < 0.2
    assert np.ptp(elevation) > 10


def test_tiles_of_a_folder_meet_without_a_seam(tmp_path):
    for lon in (-148, -147):
        plane_tile(glo30_file(tmp_path, 64, lon), lon, 65, base=200_000)
    plane_tile(glo30_file(tmp_path, 10, 20), 20, 11)  # elsewhere: left alone
    elevation = Dem(location=str(tmp_path)).on(ACROSS)
    assert np.abs(elevation - plane_on(ACROSS, base=200_000)).max() < 1


def test_missing_tiles_are_sea_level_and_said_so(tmp_path, caplog):
    plane_tile(glo30_file(tmp_path, 64, -148), -148, 65, base=200_000)
    with caplog.at_level(logging.INFO, logger="ssc.legacy.dem"):
        elevation = Dem(location=str(tmp_path)).on(ACROSS)
    assert (elevation[:, 400:] == 0).all()
    assert (elevation[:, :300] > 1000).all()
    assert "the rest is taken as sea level" in caplog.text


def test_voids_are_sea_level(tmp_path):
    path = tmp_path / "dem.tif"
    plane_tile(path, -148, 65, base=200_000)
    with rasterio.open(path, "r+") as file:
        heights = file.read(1)
        heights[:, :400] = -9999  # undeclared, as the sea in MERIT
        file.write(heights, 1)
    grid = utm(463_500, 7_189_500, 50, 2000, 32606)
    elevation = Dem(location=str(path)).on(grid)
    assert (elevation[:, :10] == 0).all()
    known = elevation != 0
    assert known.any()
    assert np.abs(elevation - plane_on(grid, base=200_000))[known].max() < 1  # no void leaks into its neighbours


def test_a_model_of_elsewhere_is_refused(shared):
    with pytest.raises(DataError, match=r"covers none of longitude -149\.11 to -146\.79.*wanted a model of that area"):
        Dem(location=str(shared / "data/dem/los_angeles_dem_geoid.tif")).on(FAIRBANKS)


def test_a_model_under_the_margin_alone_does_not_count(tmp_path):
    path = tmp_path / "dem.tif"
    plane_tile(path, -148, 65, base=200_000)
    wide = utm(300_000, 7_189_500, 100, 6000, 32606)
    core = utm(360_000, 7_189_500 - 600, 60, 2000, 32606)
    Dem(location=str(path)).on(wide)
    with pytest.raises(DataError, match="covers none"):
        Dem(location=str(path)).on(wide, core=core)


def test_nothing_at_the_location_is_the_callers_mistake(tmp_path):
    with pytest.raises(InputError, match="wanted a raster, folder or URL"):
        Dem(location=str(tmp_path / "absent.tif"))


def test_a_broken_file_is_told_by_name(tmp_path):
    path = tmp_path / "dem.tif"
    path.write_bytes(b"<html>log in</html>")
    with pytest.raises(DataError, match=r"dem\.tif.*wanted a georeferenced raster"):
        Dem(location=str(path)).on(CHENA)


def test_a_file_cut_short_is_told_by_name(tmp_path):
    path = tmp_path / "dem.tif"
    plane_tile(path, -148, 65)
    path.write_bytes(path.read_bytes()[:300_000])
    with pytest.raises(DataError, match=r"dem\.tif.*wanted a georeferenced raster"):
        Dem(location=str(path)).on(CHENA)


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")  # rasterio says it on writing
def test_a_raster_without_a_coordinate_system_is_told_by_name(tmp_path):
    path = tmp_path / "dem.tif"
    with rasterio.open(path, "w", driver="GTiff", height=9, width=9, count=1, dtype="float32") as file:
        file.write(np.zeros((1, 9, 9), np.float32))
    with pytest.raises(DataError, match="no coordinate system"):
        Dem(location=str(path)).on(CHENA)


# Elevation from afar


class RangeServer(SimpleHTTPRequestHandler):
    """Files of a folder with byte ranges, as an object store serves them; /closed/ refuses, /busy/ is out of order."""

    def do_HEAD(self):
        self._answer(body=False)

    def do_GET(self):
        self._answer(body=True)

    def _answer(self, *, body):
        path = Path(self.translate_path(self.path))
        status = 403 if "/closed/" in self.path else 503 if "/busy/" in self.path else 404
        if status != 404 or not path.is_file():
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        content = path.read_bytes()
        first, last = 0, len(content) - 1
        if asked := self.headers.get("Range"):
            start, end = asked.removeprefix("bytes=").split("-")
            first, last = int(start), min(int(end or last), last)
        self.send_response(206 if asked else 200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        self.send_header("Content-Length", str(last - first + 1))
        self.end_headers()
        if body:
            self.wfile.write(content[first : last + 1])

    def log_message(self, *_):
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(RangeServer, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_tiles_come_from_a_server_and_missing_ones_are_sea(tmp_path):
    plane_tile(glo30_file(tmp_path, 64, -148), -148, 65, base=200_000)
    with served(tmp_path) as url:
        remote = Dem(location=url).on(ACROSS)
        one = Dem(location=f"{url}/{glo30_file(Path(), 64, -148)}").on(ACROSS)
    local = Dem(location=str(tmp_path)).on(ACROSS)
    assert (remote == local).all()
    assert (one == local).all()


def test_a_server_without_any_of_the_tiles_does_not_cover(tmp_path):
    with served(tmp_path) as url, pytest.raises(DataError, match="covers none"):
        Dem(location=url).on(CHENA)


def test_a_port_that_looks_like_a_status_is_none(monkeypatch):
    """Nobody listens: that is trouble, not open sea, whatever the number of the port."""
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "0")
    with socket.socket() as bound:
        for port in range(40400, 40500):
            with suppress(OSError):
                bound.bind(("127.0.0.1", port))
                break
        with pytest.raises(TransientError, match="port 404"):
            Dem(location=f"http://127.0.0.1:{bound.getsockname()[1]}").on(CHENA)


def test_a_server_that_refuses_or_fails_is_told_apart(tmp_path, monkeypatch):
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "0")
    with served(tmp_path) as url:
        with pytest.raises(AccessError, match="anonymous readers"):
            Dem(location=f"{url}/closed").on(CHENA)
        with pytest.raises(TransientError, match="try again"):
            Dem(location=f"{url}/busy").on(CHENA)
    with pytest.raises(TransientError, match="try again"):
        Dem(location=f"{url}/gone").on(CHENA)
