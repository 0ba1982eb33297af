"""Samples beside what rasters show round the very points: for laboratory points in a wide river, or away from SWORD.

    look = Look(acquisition=..., product=Product.S30, load=lambda: (raster, masks))
    paired = pair_points(samples, [look])

The pixels whose centre lies within a radius of a point are to the point what a channel is to a reach: the same rule
picks the clear ones, the same code takes medians and ratios, the same columns come out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from ssc.aggregate import reach_samples
from ssc.bands import Product
from ssc.clear import ClearWaterRule, clear_pixels, near_bank, near_cloud, turbid_lookalike
from ssc.corridor import Corridor
from ssc.errors import DataError, InputError
from ssc.masks import Masks
from ssc.matchups.columns import TIME, conform
from ssc.matchups.pairing import FEATURES, LOOK, Paired, PairRule, finish, group_of, windows
from ssc.matchups.raster import Raster
from ssc.pixels import ReachPixels, State, TileMeans
from ssc.schema import SAMPLE
from ssc.tiles import project

_STATES: Final = (State.WATER, State.CLOUD, State.CLOUD_SHADOW, State.SNOW_ICE, State.TERRAIN_SHADOW)
"""In the order of `Mask`."""
_ALWAYS_M: Final = 1e9
"""A width that any rule erodes."""
_UNTOLD: Final = ("cloud_adjacent_frac", "aerosol_high_frac")
"""Features that need Fmask's ring and aerosol level, which a raster does not bring."""


UNKNOWN: Final = TileMeans(sun_zenith=np.nan, view_zenith=np.nan, relative_azimuth=np.nan, cloud_cover=np.nan)
"""Sun and view of a raster that tells nothing of them."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Look:
    """One raster with its masks, loaded only when a sample asks for it."""

    acquisition: datetime
    """Aware UTC."""
    product: Product
    """Whose bands they are; the nearer one for other sensors."""
    load: Callable[[], tuple[Raster, Masks]]
    platform: str = ""
    granule_id: str = ""
    angles: TileMeans = UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class PointRule:
    """Which pixels speak for a point."""

    radius_m: float = 60.0
    """From the point to a pixel's centre: 11 to 14 pixels of 30 m, about 113 of 10 m."""
    clear: ClearWaterRule = field(default_factory=lambda: ClearWaterRule(least_px=5))
    """As for reaches, but the count of a node product: five pixels."""
    pairs: PairRule = field(default_factory=lambda: PairRule(least_px=5))

    def __post_init__(self) -> None:
        """Refuses a radius that is none."""
        if not self.radius_m > 0:
            raise InputError(f"radius of a point: found {self.radius_m} m, wanted above 0")


def point_samples(
    raster: Raster,
    masks: Masks,
    lonlat: NDArray[np.float64],
    rule: PointRule = PointRule(),
    angles: TileMeans = UNKNOWN,
) -> pd.DataFrame:
    """What a raster shows round points.

    Args:
        raster: Reflectance.
        masks: On its grid.
        lonlat: (n, 2) longitude, latitude, degrees.
        rule: Radius, clear water.
        angles: Sun and view.

    Returns:
        n rows, columns `ssc.schema.SAMPLE`: n_px_channel counts the pixels within the radius, also those beyond the
        raster, n_px_valid those with data, the `_frac` of each mask are shares of these. Nodes there are none.

    Raises:
        InputError: Masks of another shape.
    """
    if masks.valid.shape != raster.reflectance.shape[1:]:
        raise InputError(f"masks of {masks.valid.shape} on a raster of {raster.reflectance.shape[1:]}: wanted one grid")
    point, row, col = discs(raster.geobox, lonlat, rule.radius_m)
    shape = raster.geobox.shape
    inside = (row >= 0) & (row < shape.y) & (col >= 0) & (col < shape.x)
    here = (row[inside], col[inside])
    pixels = _pixels(raster, _states(raster, masks, rule.clear), point[inside], here, angles)
    table = reach_samples(pixels, _as_corridor(raster.geobox, point, len(lonlat)), rule.clear)
    return table.reset_index(drop=True).assign(**dict.fromkeys(_UNTOLD, np.float32(np.nan)))


def discs(
    geobox: GeoBox, lonlat: NDArray[np.float64], radius_m: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Pixels round points: those whose centre is within the radius, and the one the point is in.

    Returns:
        (n,) number of the point, row and column, ordered by point; rows and columns may lie beyond the grid.

    Raises:
        DataError: A grid in degrees.
    """
    if geobox.crs is None or not geobox.crs.projected:
        raise DataError(f"grid in {geobox.crs}: wanted metres, to measure {radius_m:g} m on")
    xy = project(np.asarray(lonlat, dtype=np.float64), str(geobox.crs))
    affine = geobox.affine
    col_at, row_at = (xy[:, 0] - affine.c) / affine.a, (xy[:, 1] - affine.f) / affine.e
    reach = int(np.ceil(radius_m / min(abs(affine.a), abs(affine.e)))) + 1
    step = np.arange(-reach, reach + 1)
    row = np.floor(row_at).astype(np.int64)[:, None, None] + step[None, :, None]
    col = np.floor(col_at).astype(np.int64)[:, None, None] + step[None, None, :]
    apart = np.hypot((row + 0.5 - row_at[:, None, None]) * affine.e, (col + 0.5 - col_at[:, None, None]) * affine.a)
    taken = apart <= radius_m
    taken[:, reach, reach] = True
    point, down, right = np.nonzero(taken)
    return point, row[point, down, 0], col[point, 0, right]


def pair_points(
    samples: pd.DataFrame,
    looks: Sequence[Look],
    rule: PointRule = PointRule(),
    *,
    progress: Callable[[int, int, str], None] | None = None,
) -> Paired:
    """Pair samples with rasters by place.

    Every point looks at pixels of its own, so a group is what was sampled at one place (11 m) of a site on one day.

    Args:
        samples: A sample table with longitude and latitude.
        looks: In any order; one without a sample in its time is not loaded.
        rule: Pixels, and time.
        progress: Called with looks done, how many there are, and what the last one was.

    Raises:
        DataError: Not a sample table, or a raster that does not read.
    """
    taken = conform(samples, "sample")
    placed = taken["longitude"].notna() & taken["latitude"].notna()
    refused = pd.Series(np.where(placed, "", "no place"), index=taken.index)
    ordered = sorted(looks, key=lambda look: look.acquisition)
    pairs = _in_time(taken[placed], ordered, rule.pairs.within_h)
    seen = [_seen(taken, pairs, number, look, rule) for number, look in _told(ordered, progress)]
    place = taken["longitude"].map("{:.4f}".format) + " " + taken["latitude"].map("{:.4f}".format)
    return finish(
        taken.assign(width_m=np.nan), refused, pd.concat([_nothing(), *seen]), group_of(taken) + " " + place, rule.pairs
    )


def _told(looks: Sequence[Look], progress: Callable[[int, int, str], None] | None) -> Iterator[tuple[int, Look]]:
    for number, look in enumerate(looks):
        yield number, look
        if progress is not None:
            progress(number + 1, len(looks), look.granule_id)


def _in_time(samples: pd.DataFrame, looks: Sequence[Look], within_h: float) -> pd.DataFrame:
    """`windows` with every sample and every look at one place."""
    times = pd.Series([look.acquisition for look in looks], dtype=TIME)
    return windows(samples.assign(reach_id=1), pd.DataFrame({"acquisition": times, "reach_id": np.int64(1)}), within_h)


def _seen(samples: pd.DataFrame, pairs: pd.DataFrame, number: int, look: Look, rule: PointRule) -> pd.DataFrame:
    """What one look shows of its samples: sample, `LOOK`, `FEATURES`."""
    mine = pairs.loc[pairs["look"] == number, "sample"]
    if mine.empty:
        return _nothing()
    raster, masks = look.load()
    lonlat = samples.loc[mine, ["longitude", "latitude"]].to_numpy()
    table = point_samples(raster, masks, lonlat, rule, look.angles)
    told: dict[str, Any] = {"acquisition": look.acquisition, "platform": look.platform, "granule_id": look.granule_id}
    table = table.assign(sample=mine.to_numpy(), product=look.product.value, **told)
    return table.astype({"acquisition": TIME})[["sample", *LOOK, *FEATURES]]


def _nothing() -> pd.DataFrame:
    types = {"sample": "int64", "acquisition": TIME} | dict.fromkeys(LOOK[1:], "str")
    types |= {column.name: column.type.to_pandas_dtype() for column in SAMPLE}
    return pd.DataFrame({name: pd.Series(dtype=dtype) for name, dtype in types.items()})


def _states(raster: Raster, masks: Masks, rule: ClearWaterRule) -> NDArray[np.uint16]:
    """(H, W) bits of `State`, but for those of Fmask."""
    six = raster.six
    valid = masks.valid & np.isfinite(six).all(axis=0)
    turbid = turbid_lookalike(masks.stack, six, rule) & valid
    layers = {
        State.VALID: valid,
        **dict(zip(_STATES, masks.stack, strict=True)),
        State.TURBID: turbid,
        State.CLEAR: clear_pixels(masks.stack, valid, six, turbid, rule),
        State.BANK: near_bank(masks, rule),
        State.NEAR_CLOUD: near_cloud(masks, rule),
    }
    state = np.zeros(valid.shape, np.uint16)
    for bit, layer in layers.items():
        state |= np.where(layer, np.uint16(bit), np.uint16(0))
    return state


def _pixels(
    raster: Raster,
    states: NDArray[np.uint16],
    point: NDArray[np.int64],
    here: tuple[NDArray[np.int64], NDArray[np.int64]],
    angles: TileMeans,
) -> ReachPixels:
    """The pixels of points as those of reaches."""
    row, col = here
    untold = np.full(len(point), np.nan, np.float32)
    affine = raster.geobox.affine
    return ReachPixels(
        reach=point.astype(np.int32),
        node=np.full(len(point), -1, np.int32),
        channel=np.ones(len(point), dtype=bool),
        reflectance=raster.six[:, row, col],
        state=states[here],
        sun_zenith=untold,
        view_zenith=untold,
        relative_azimuth=untold,
        easting=affine.c + affine.a * (col.astype(np.float64) + 0.5),
        northing=affine.f + affine.e * (row.astype(np.float64) + 0.5),
        epsg=0,  # points are never pooled across grids, and a grid need not have a code
        tile=angles,
    )


def _as_corridor(geobox: GeoBox, point: NDArray[np.int64], points: int) -> Corridor:
    """Points as reaches wide enough to be kept from their banks, without nodes."""
    none, whole = np.empty(0, np.int32), np.empty(0, np.int64)
    return Corridor(
        tile=geobox,
        reach_ids=np.arange(points, dtype=np.int64),
        reach_share=np.ones(points, np.float32),
        width_m=np.full(points, _ALWAYS_M, np.float32),
        n_channel=np.bincount(point, minlength=points).astype(np.int32),
        row=none,
        col=none,
        reach=none,
        node=none,
        node_ids=whole,
        node_reach=none,
        channel=np.empty(0, dtype=bool),
    )
