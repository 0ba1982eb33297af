"""S0: the predecessor's own masking and sampling, as it ran, faults and slow loops included. For the benchmark alone.

Restated from its description so that a comparison can say what it was compared with. Never use it for science:

- The sun is taken at the time in the granule's name (S30: up to 17 minutes early) and against true north on a map grid.
- The shadow search always looks east, in the pixel's own row or the one below, and gives up beside the last row.
- Fmask's water bit selects water, the ring adjacent to clouds is kept, fill becomes clear land.
- Layers are resampled to degrees by nearest neighbour; a pixel's corner stands for its centre.
- A disc of 300 m round one point stands for a reach, bank and channel alike.

The full list, with what replaces each, is in docs/legacy-defects.md.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from rasterio.warp import Resampling, reproject

from ssc.bands import Band
from ssc.errors import InputError
from ssc.legacy.dem import Dem, bounds_of
from ssc.legacy.sun import sun_position
from ssc.observation import Observation

Layer = NDArray[np.float64]

RADIUS_KM: Final = 0.3
_KM_PER_DEGREE_LAT: Final = 111.32
_EQUATOR_KM: Final = 40_075
DEM_PIXEL_M: Final = 72.0
"""What three arc seconds of MERIT became on its way to UTM near 30 degrees north."""
DEM_HALF_WIDTH_PX: Final = 110
"""8 km either side of the site."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """Of the reflectance in the disc after one mask, unitless; NaN where nothing was left."""

    minimum: float
    mean: float
    maximum: float
    std: float
    median: float
    count: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AsRan:
    """What a run made of one site in one granule."""

    wos: dict[Band, Statistics]
    """By band, after the Fmask mask ("without sun")."""
    sun: dict[Band, Statistics]
    """By band, after the Fmask mask and the sun mask."""
    seconds: dict[str, float]
    """Wall-clock time by step: sun position, terrain shadow, fmask masks, good-quality water pixels."""


def sample(observation: Observation, lon: float, lat: float, dem: Dem, *, marched: bool = True) -> AsRan:
    """Statistics of every band within 300 m of a site, step by step as in the predecessor's figure of its pipeline.

    Args:
        observation: Any window that holds the site; the predecessor took whole tiles.
        lon: Of the site, degrees east.
        lat: Of the site, degrees north.
        dem: Elevation; the predecessor had MERIT, here any model is sampled as coarsely.
        marched: False replaces the march of the sun mask by its closed form, hundreds of times faster.
    """
    grid = _grid(observation)
    seconds: dict[str, float] = {}
    with _clock(seconds, "sun position"):
        zenith, azimuth = sun_position(observation.granule.acquired, lat, lon)
    with _clock(seconds, "terrain shadow"):
        around = _around(lon, lat, grid)
        shadow = (shadow_marched if marched else shadow_closed_form)(dem.on(around), DEM_PIXEL_M, 90 - zenith, azimuth)
        lit, _ = _to_degrees(np.where(shadow, np.nan, 1.0), around, like=grid)
    with _clock(seconds, "fmask masks"):
        codes, degrees = _to_degrees(observation.fmask.astype(np.float64), grid)
        clean = clean_water_by_value(np.nan_to_num(codes).astype(np.uint8))  # fill, now 0, reads as clear land
    wos, sun = {}, {}
    with _clock(seconds, "good-quality water pixels"):
        for number, band in enumerate(observation.bands):
            layer, _ = _to_degrees(observation.reflectance[number].astype(np.float64), grid)
            wos[band] = statistics_in_disc(layer * clean, degrees, lon, lat)
            sun[band] = statistics_in_disc(layer * clean * lit, degrees, lon, lat)
    return AsRan(wos=wos, sun=sun, seconds=seconds)


@contextmanager
def _clock(seconds: dict[str, float], step: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[step] = time.perf_counter() - start


def clean_water_by_value(fmask: NDArray[np.uint8]) -> Layer:
    """1 where Fmask says water and no cloud, cloud shadow or snow, else NaN: each value spelt out and searched for."""
    clean = np.full(fmask.shape, np.nan)
    for value in range(256):
        digits = f"{value:08b}"
        water, snow, shadow, cloud = digits[2], digits[3], digits[4], digits[6]
        if (water, snow, shadow, cloud) == ("1", "0", "0", "0"):
            clean[fmask == value] = 1.0
    return clean


def shadow_marched(
    dem_m: NDArray[np.number], pixel_m: float, sun_elevation_deg: float, sun_azimuth_deg: float
) -> NDArray[np.bool_]:
    """The predecessor's sun mask, True = shadow, pixel by pixel in Python: minutes to hours for a tile.

    Without the original's copying of every number in its innermost loop, which made it several times slower still.

    The step's components lost their signs, so the search goes east and south whatever the azimuth; the southward one is
    taken from the pixel anew each time, so the search stays in one row; and the row last looked at is forgotten only
    when the next row of pixels begins, so that once it is the raster's last, the rest of the row goes unsearched.

    Raises:
        InputError: The sun is due north or south, where the original never ends.
    """
    dem, rise, east_step, south_step = _steps(dem_m, pixel_m, sun_elevation_deg, sun_azimuth_deg)
    heights, summit = dem.tolist(), float(dem.max())
    rows, cols = dem.shape
    shadow = np.zeros(dem.shape, bool)
    for row in range(rows):
        looked_at = -1
        for col in range(cols):
            height = heights[row][col]
            steps = 0
            while looked_at != rows - 1:
                steps += 1
                east, south = col + 0.5 + steps * east_step, row + 0.5 + south_step
                beam = rise * math.hypot(steps * east_step, south_step)
                if east > cols or south > rows or beam > summit - height:
                    break
                looked_at, column = (
                    min(round(row + south_step), rows - 1),
                    min(round(col + steps * east_step), cols - 1),
                )
                if heights[looked_at][column] - height > beam:
                    shadow[row, col] = True
                    break
    return shadow


def shadow_closed_form(
    dem_m: NDArray[np.number], pixel_m: float, sun_elevation_deg: float, sun_azimuth_deg: float
) -> NDArray[np.bool_]:
    """What `shadow_marched` finds, True = shadow, a step at a time for all pixels.

    Raises:
        InputError: The sun is due north or south, where the original never ends.
    """
    dem, rise, east_step, south_step = _steps(dem_m, pixel_m, sun_elevation_deg, sun_azimuth_deg)
    rows, cols = dem.shape
    shadow = np.zeros(dem.shape, bool)
    searched = np.arange(rows)[np.arange(rows) + 0.5 + south_step <= rows]
    target = np.minimum(np.rint(searched + south_step).astype(int), rows - 1)
    columns = np.arange(cols)
    relief = float(np.ptp(dem))
    steps = 1
    while (beam := rise * math.hypot(steps * east_step, south_step)) <= relief:
        inside = columns[columns + 0.5 + steps * east_step <= cols]
        if not inside.size:
            break
        ahead = np.minimum(np.rint(inside + steps * east_step).astype(int), cols - 1)
        shadow[np.ix_(searched, inside)] |= dem[np.ix_(target, ahead)] - dem[np.ix_(searched, inside)] > beam
        steps += 1
    for row in searched[target == rows - 1]:
        shadow[row] = _last_look(dem, row, rise * math.hypot(east_step, south_step), east_step)
    return shadow


def _steps(
    dem_m: NDArray[np.number], pixel_m: float, elevation_deg: float, azimuth_deg: float
) -> tuple[Layer, float, float, float]:
    """Elevation as float64, metres a sunbeam rises a pixel, and the unsigned steps east and south, pixels."""
    azimuth = math.radians(azimuth_deg)
    if abs(math.sin(azimuth)) < 1e-6:
        raise InputError(
            f"predecessor's sun mask: found azimuth {azimuth_deg}, wanted one off 0 and 180: it never ends"
        )
    rise = math.tan(math.radians(elevation_deg)) * pixel_m
    return np.asarray(dem_m, np.float64), rise, abs(math.sin(azimuth)), abs(math.cos(azimuth))


def _last_look(dem: Layer, row: int, beam: float, east_step: float) -> NDArray[np.bool_]:
    """A row that searches in the raster's last: its first pixel to be compared at all is compared once, no other."""
    cols = dem.shape[1]
    shadow = np.zeros(cols, bool)
    compared = (np.arange(cols) + 0.5 + east_step <= cols) & (beam <= dem.max() - dem[row])
    if compared.any():
        first = int(compared.argmax())
        ahead = min(round(first + east_step), cols - 1)
        shadow[first] = dem[-1, ahead] - dem[row, first] > beam
    return shadow


def statistics_in_disc(layer: Layer, degrees: Affine, lon: float, lat: float) -> Statistics:
    """Statistics of the layer's values within 300 m of a site, every pixel of the layer visited twice in Python.

    Args:
        layer: (H, W) masked reflectance, NaN where dropped.
        degrees: From (col, row) to longitude and latitude; a pixel's corner stands for the pixel.
        lon: Of the site.
        lat: Of the site.
    """
    rows, cols = layer.shape
    across = RADIUS_KM * 360 / _EQUATOR_KM / math.cos(math.radians(lat))
    along = RADIUS_KM / _KM_PER_DEGREE_LAT
    inside = [[False] * cols for _ in range(rows)]
    for row in range(rows):
        for col in range(cols):
            x, y = degrees.c + degrees.a * col, degrees.f + degrees.e * row
            inside[row][col] = ((x - lon) / across) ** 2 + ((y - lat) / along) ** 2 < 1
    values = []
    for row in range(rows):
        for col in range(cols):
            if inside[row][col]:
                values.append(float(layer[row, col]))  # noqa: PERF401  # the loops are what is timed
    return _statistics(np.array(values))


def _statistics(values: Layer) -> Statistics:
    kept = values[np.isfinite(values)]
    if not kept.size:
        return Statistics(minimum=np.nan, mean=np.nan, maximum=np.nan, std=np.nan, median=np.nan, count=0)
    return Statistics(
        minimum=float(kept.min()),
        mean=float(kept.mean()),
        maximum=float(kept.max()),
        std=float(kept.std()),
        median=float(np.median(kept)),
        count=int(kept.size),
    )


def _grid(observation: Observation) -> GeoBox:
    """Of the window."""
    a, window = observation.facts.geobox.affine, observation.window
    corner = Affine(a.a, 0, a.c + window.col * a.a, 0, a.e, a.f + window.row * a.e)
    return GeoBox((window.height, window.width), corner, observation.facts.geobox.crs)


def _around(lon: float, lat: float, grid: GeoBox) -> GeoBox:
    """The coarse grid of elevation, 8 km either side of a site, in the CRS of the granule."""
    x, y = Transformer.from_crs("EPSG:4326", str(grid.crs), always_xy=True).transform(lon, lat)
    half = DEM_HALF_WIDTH_PX * DEM_PIXEL_M
    size = 2 * DEM_HALF_WIDTH_PX + 1
    return GeoBox((size, size), Affine(DEM_PIXEL_M, 0, x - half, 0, -DEM_PIXEL_M, y + half), str(grid.crs))


def _to_degrees(layer: Layer, grid: GeoBox, like: GeoBox | None = None) -> tuple[Layer, Affine]:
    """A layer resampled by nearest neighbour to degrees, on the grid that fits it or another."""
    degrees, shape = _degree_grid(like or grid)
    warped = np.full(shape, np.nan)
    reproject(
        layer,
        warped,
        src_transform=grid.affine,
        src_crs=str(grid.crs),
        src_nodata=np.nan,
        dst_transform=degrees,
        dst_crs="EPSG:4326",
        dst_nodata=np.nan,
        resampling=Resampling.nearest,
    )
    return warped, degrees


def _degree_grid(grid: GeoBox) -> tuple[Affine, tuple[int, int]]:
    """Pixels square in degrees, as many along the diagonal as before (GDAL's choice): 23 x 54 m at 64 degrees."""
    box = bounds_of(grid)
    width, height = box.east - box.west, box.north - box.south
    size = math.hypot(width, height) / math.hypot(*grid.shape)
    return Affine(size, 0, box.west, 0, -size, box.north), (math.ceil(height / size), math.ceil(width / size))
