"""The pixels of several tiles of one overpass together, each ground pixel once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from ssc.corridor import Corridor
from ssc.errors import GridError
from ssc.pixels import ReachPixels, State, TileMeans, epsg_of, pool


def joint_grid(grids: Sequence[GeoBox]) -> GeoBox:
    """The smallest grid that spans tiles of one zone, with their pixels.

    Raises:
        GridError: The tiles lie in different zones, or their pixels do not fall on each other.
    """
    first = grids[0].affine
    lefts = np.array([grid.affine.c for grid in grids])
    tops = np.array([grid.affine.f for grid in grids])
    rights = lefts + first.a * np.array([grid.shape.x for grid in grids])
    bottoms = tops + first.e * np.array([grid.shape.y for grid in grids])
    shifts = np.concatenate([(lefts - first.c) / first.a, (tops - first.f) / first.e])
    if len({str(grid.crs) for grid in grids}) > 1 or np.any(shifts != np.round(shifts)):
        found = ", ".join(f"({grid.affine.c:.0f}, {grid.affine.f:.0f}) in {grid.crs}" for grid in grids)
        raise GridError(f"tiles without a joint grid: found corners {found}, wanted one zone and whole pixels apart")
    corner = Affine(first.a, 0, lefts.min(), 0, first.e, tops.max())
    shape = (round((bottoms.min() - tops.max()) / first.e), round((rights.max() - lefts.min()) / first.a))
    return GeoBox(shape, corner, grids[0].crs)


def pool_tiles(parts: Sequence[ReachPixels], corridor: Corridor) -> ReachPixels:
    """The pixels of two or more tiles of one overpass together, each ground pixel once.

    HLS tiles of one UTM zone overlap by 9.8 km and hold the same resampled pixels there. A pixel that is fill in one
    tile may have data in another, which then wins; of two with data a clear one wins. It is at the bank only if all
    tiles say so (a tile's edge is no bank) and near a cloud if one does (none sees the clouds beyond its edge).
    Pixels outside the corridor are left out.

    Args:
        parts: One per tile, of any corridors.
        corridor: Drawn on a grid that spans the tiles; reach, node and channel of every pixel are taken from it, so
            that `reach_samples` can use it with the result.

    Raises:
        GridError: The parts, or the corridor's grid, lie in different UTM zones.
        InputError: No parts.
    """
    zones = {part.epsg for part in parts} | {epsg_of(corridor.tile)}
    if len(zones) > 1:
        raise GridError(f"tiles of different zones cannot share pixels: found EPSG {sorted(zones)}, wanted one")
    pixels = pool(parts)
    place = _place(pixels, corridor)
    worth = pixels.has(State.VALID).astype(np.int8) + pixels.has(State.CLEAR)
    order = np.lexsort((-worth, place))[np.count_nonzero(place < 0) :]
    where, first = np.unique(place[order], return_index=True)
    return replace(
        pixels.take(order[first]),
        reach=corridor.reach[where],
        node=corridor.node[where],
        channel=corridor.channel[where],
        state=_merged_state(pixels.state[order], first),
        tile=_mean_of([part.tile for part in parts]),
    )


def _place(pixels: ReachPixels, corridor: Corridor) -> NDArray[np.int64]:
    """(n,) index of each pixel among the corridor's pixels, -1 outside the corridor."""
    affine, width = corridor.tile.affine, corridor.tile.shape.x
    row = np.floor((pixels.northing - affine.f) / affine.e).astype(np.int64)
    col = np.floor((pixels.easting - affine.c) / affine.a).astype(np.int64)
    wanted = row * width + col
    known = corridor.row.astype(np.int64) * width + corridor.col
    order = np.argsort(known)
    if order.size == 0:
        return np.full(len(pixels), -1, np.int64)
    found = order[np.minimum(np.searchsorted(known, wanted, sorter=order), order.size - 1)]
    inside = (known[found] == wanted) & (col >= 0) & (col < width)
    return np.where(inside, found, -1)


def _mean_of(tiles: Sequence[TileMeans]) -> TileMeans:
    """Each mean over the tiles that know it."""
    known = {f.name: [getattr(tile, f.name) for tile in tiles] for f in fields(TileMeans)}
    finite = {name: [value for value in values if np.isfinite(value)] for name, values in known.items()}
    return TileMeans(**{name: float(np.mean(values)) if values else np.nan for name, values in finite.items()})


def _merged_state(state: NDArray[np.uint16], first: NDArray[np.int64]) -> NDArray[np.uint16]:
    """State of the first pixel of each group, but for BANK (set if in all of the group) and NEAR_CLOUD (in any)."""
    kept = state[first] & ~np.uint16(State.BANK | State.NEAR_CLOUD)
    bank = np.bitwise_and.reduceat(state, first) & np.uint16(State.BANK)
    cloud = np.bitwise_or.reduceat(state, first) & np.uint16(State.NEAR_CLOUD)
    return kept | bank | cloud
