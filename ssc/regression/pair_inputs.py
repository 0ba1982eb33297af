"""The 66 numbers that the production network pair sees of a river node, from raw HLS integers.

    windows = {band: node_window(layers[band], row, col) for band in BANDS}
    inputs = pair_inputs(windows, node_window(clear, row, col, fill=False), Product.S30)

Production looks at a window of 512 x 512 pixels around each SWORD node and takes statistics of each band twice: over
the clear water of a disc of 300 m, and over the whole window, land and cloud included. Values are the integers of the
files (reflectance x 10 000), because the networks were scaled to those. Restated as it is, for the yardstick alone;
our own samples are those of `ssc.aggregate`.

Source: SWOT-Confluence/ssc_model_deployment (e227445), described in notes/ssc.md 1.2 and 1.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from ssc.bands import Band, Product
from ssc.errors import BandError, InputError

Layer = NDArray[Any]
Floats = NDArray[np.float64]

NODATA: Final = -9999
"""Fill of HLS reflectance, and what lies beyond the edge of the tile."""
SIZE: Final = 512
"""Rows and columns of the window; the node pixel has index 256 in both."""
_HALF: Final = SIZE // 2
_RADIUS: Final = 10
"""Pixels: 300 m."""
_FROM_CORNER: Final = np.arange(-_RADIUS, _RADIUS) + 0.5
"""Of pixel centres, from the upper left corner of the node pixel: the disc is half a pixel off the node's own pixel."""
CIRCLE: Final[NDArray[np.bool_]] = np.add.outer(_FROM_CORNER**2, _FROM_CORNER**2) < _RADIUS**2
"""(20, 20), True inside the node circle: 316 pixels, rows and columns 246 to 265 of the window."""
CIRCLE.flags.writeable = False
_CENTRE: Final = slice(_HALF - _RADIUS, _HALF + _RADIUS)

BANDS: Final = (
    *(Band.COASTAL, Band.BLUE, Band.GREEN, Band.RED),
    *(Band.CIRRUS, Band.SWIR1, Band.SWIR2, Band.NIR),
)
"""In the order of the inputs. Production renames S30 columns to the L30 code of the same light (B8A to B05, B11 to B06,
B12 to B07, B10 to B09); red edges, water vapour and broad NIR get names of their own and are not used."""
STATISTICS: Final = ("min", "mean", "max", "std", "median", "count", "wmin", "wmean", "wmax", "wstd", "wmedian")
"""Of one band: six over the clear water of the circle, five (w) over the whole window."""
_USED: Final = ("min", "mean", "max", "std", "median", "wmean", "wstd", "wmedian")


def _names() -> tuple[str, ...]:
    of_bands = [f"{band.code(Product.L30)}_{statistic}" for band in BANDS for statistic in _USED]
    return (*of_bands[: len(_USED)], "B01_count", *of_bands[len(_USED) :], "LorS")


INPUTS: Final = _names()
"""Names of the 66 inputs in the order of the networks: B01_min ... B01_wmedian, B01_count, B02_min ..., LorS."""


def node_pixel(easting: float, northing: float, transform: Affine) -> tuple[int, int]:
    """Row and column of a node in the tile's CRS (m), negative or beyond the last pixel where it lies outside.

    Truncated towards zero as in production, so a node up to one pixel outside in the north or west falls into pixel 0.

    >>> node_pixel(300_045.0, 3_299_900.0, Affine(30, 0, 300_000, 0, -30, 3_300_000))
    (3, 1)
    """
    col, row = ~transform @ (easting, northing)
    return int(row), int(col)


def node_window(layer: Layer, row: int, col: int, fill: float = NODATA) -> Layer:
    """(512, 512) of a layer of the tile, the node pixel at [256, 256], `fill` beyond the edge of the tile.

    A node far outside the tile gets a window of `fill` alone, where production lost the whole granule.

    Args:
        layer: (rows, columns) of the tile, any type.
        row: Of the node pixel, from `node_pixel`.
        col: The same.
        fill: -9999 for bands, False for masks.
    """
    window = np.full((SIZE, SIZE), fill, layer.dtype)
    rows, cols = (_overlap(at - _HALF, length) for at, length in zip((row, col), layer.shape, strict=True))
    window[_moved(rows, row), _moved(cols, col)] = layer[rows, cols]
    return window


def node_statistics(window: Layer, clear: NDArray[np.bool_]) -> dict[str, float]:
    """The eleven statistics of one band, by the names of `STATISTICS`.

    Standard deviations are of the population. `count` leaves out zeros, which all the others keep: production's own
    inconsistency. The w-statistics ignore the mask. An empty set gives NaN, and count 0.

    Args:
        window: (512, 512) raw integers, or floats; -9999 and NaN are no data.
        clear: (512, 512), True = clear water (water, sunlit, no cloud, cloud shadow, snow or ice).

    Raises:
        InputError: Another shape.
    """
    _check_shape("window of a band", window)
    _check_shape("clear water", clear)
    inside = CIRCLE & clear[_CENTRE, _CENTRE].astype(bool)
    water, everything = _seen(window[_CENTRE, _CENTRE][inside]), _seen(window)
    numbers = (*_five(water), float(np.count_nonzero(water)), *_five(everything))
    return dict(zip(STATISTICS, numbers, strict=True))


def pair_inputs(windows: Mapping[Band, Layer], clear: NDArray[np.bool_], product: Product) -> Floats:
    """(66,) inputs of one node, in the order of `INPUTS`, raw integers; NaN where nothing was seen.

    Args:
        windows: (512, 512) raw integers of at least `BANDS`, by what they see; others are left aside.
        clear: (512, 512), True = clear water.
        product: LorS is 0 for L30 and 1 for S30.

    Raises:
        BandError: A band of `BANDS` is missing.
        InputError: Another shape.
    """
    missing = [f"{band.value} ({band.code(product)})" for band in BANDS if band not in windows]
    if missing:
        raise BandError(f"inputs of the network pair, {product.value}: no window of {', '.join(missing)}")
    found = {"LorS": float(product is Product.S30)}
    for band in BANDS:
        code = band.code(Product.L30)
        found |= {f"{code}_{name}": number for name, number in node_statistics(windows[band], clear).items()}
    return np.array([found[name] for name in INPUTS])


def _overlap(start: int, length: int) -> slice:
    """The part of rows or columns start to start + 512 that the tile has; empty where it has none."""
    low, high = np.clip((start, start + SIZE), 0, length).tolist()
    return slice(low, high)


def _moved(part: slice, at: int) -> slice:
    """From the tile's rows or columns to those of the window around `at`; an empty part stays empty."""
    start = min(max(part.start - at + _HALF, 0), SIZE)
    return slice(start, start + part.stop - part.start)


def _seen(values: Layer) -> Floats:
    """(n,) the values that are data."""
    flat = values.ravel()
    return flat[(flat != NODATA) & ~np.isnan(flat)].astype(np.float64)


def _five(values: Floats) -> tuple[float, ...]:
    """Minimum, mean, maximum, population standard deviation, median."""
    if not values.size:
        return (np.nan,) * 5
    return tuple(float(of(values)) for of in (np.min, np.mean, np.max, np.std, np.median))


def _check_shape(what: str, array: Layer) -> None:
    if array.shape != (SIZE, SIZE):
        raise InputError(f"{what}: found shape {array.shape}, wanted {(SIZE, SIZE)}; see node_window")
