"""The corridor pixels of a granule, cut out of its windows: everything aggregation needs and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from enum import IntFlag
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from ssc.bands import SIX
from ssc.clear import Bools, ClearWaterRule, clear_pixels, near_bank, near_cloud, turbid_lookalike
from ssc.corridor import Corridor
from ssc.errors import InputError
from ssc.features import Floats
from ssc.legacy.fmask import AEROSOL_HIGH, decode
from ssc.masks import Mask, Masks
from ssc.observation import AngleGrid, Observation, Window


class State(IntFlag):
    """What is known of a pixel, one bit each; set = the thing named is there."""

    VALID = 1
    """There are data: in all six bands and for the masker."""
    WATER = 2
    CLOUD = 4
    CLOUD_SHADOW = 8
    SNOW_ICE = 16
    TERRAIN_SHADOW = 32
    TURBID = 64
    """Masked as snow or ice but kept: looks like very turbid water."""
    CLEAR = 128
    """Clear water."""
    BANK = 256
    """Within the erosion distance of land, of missing data or of the tile's edge."""
    NEAR_CLOUD = 512
    """Within the cloud buffer."""
    ADJACENT = 1024
    """Fmask: adjacent to cloud or cloud shadow."""
    AEROSOL_HIGH = 2048
    """Fmask: aerosol level high."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TileMeans:
    """What is known of the tile as a whole; stands in where a reach has no used pixel. NaN where unknown."""

    sun_zenith: float
    view_zenith: float
    relative_azimuth: float
    """Degrees, 0 to 180."""
    cloud_cover: float
    """Percent."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReachPixels:
    """Corridor pixels of one or several windows, in any order; arrays end in the pixel axis."""

    reach: NDArray[np.int32]
    """(n,) index into the corridor's reach_ids."""
    node: NDArray[np.int32]
    """(n,) index into the corridor's node_ids, -1 without nodes."""
    channel: Bools
    """(n,) True inside the channel polygon, False in the search margin."""
    reflectance: Floats
    """(6, n) in the order of `SIX`; NaN where there is no data."""
    state: NDArray[np.uint16]
    """(n,) bits of `State`."""
    sun_zenith: Floats
    """(n,) degrees, NaN where unknown; likewise the next two."""
    view_zenith: Floats
    relative_azimuth: Floats
    """(n,) absolute difference of sun and view azimuth, degrees, 0 to 180."""
    easting: NDArray[np.float64]
    """(n,) metres, of the pixel's centre."""
    northing: NDArray[np.float64]
    epsg: int
    """Code of the grid's CRS: eastings of two zones must never meet."""
    tile: TileMeans

    def __len__(self) -> int:
        return self.reach.size

    def has(self, state: State) -> Bools:
        """(n,), True where all these bits are set."""
        return (self.state & np.uint16(state)) == state

    def any(self, state: State) -> Bools:
        """(n,), True where one of these bits is set."""
        return (self.state & np.uint16(state)) != 0

    def take(self, index: NDArray[np.int64] | Bools) -> ReachPixels:
        """The pixels at these places, or where True."""
        return replace(self, **{name: getattr(self, name)[..., index] for name in _ARRAYS})


_ARRAYS = tuple(field.name for field in fields(ReachPixels) if field.name not in {"epsg", "tile"})


def gather_pixels(
    observation: Observation,
    masks: Masks,
    corridor: Corridor,
    core: Window,
    angles: AngleGrid,
    rule: ClearWaterRule,
) -> ReachPixels:
    """Cut the corridor pixels inside `core` out of an observation.

    Args:
        observation: Covers `core` padded by at least `rule.halo` (less only at the tile's edge), with all six bands.
        masks: On the observation's window.
        corridor: Drawn on the observation's tile.
        core: Window of the tile; windows of one granule must not overlap.
        angles: Of the whole tile.
        rule: Erosion and cloud buffer.

    Raises:
        InputError: The observation does not reach far enough round `core`.
        BandError: One of the six bands was not read.
    """
    _require_halo(observation, core, rule)
    inside = corridor.within(core)
    row, col = corridor.row[inside], corridor.col[inside]
    here = row - observation.window.row, col - observation.window.col
    reflectance = np.stack([observation.band(band)[here] for band in SIX])
    sun_zenith, view_zenith, relative_azimuth = _angles_at(angles, row, col)
    geobox = observation.facts.geobox
    return ReachPixels(
        reach=corridor.reach[inside],
        node=corridor.node[inside],
        channel=corridor.channel[inside],
        reflectance=reflectance,
        state=_state(observation, masks, reflectance, here, rule),
        sun_zenith=sun_zenith,
        view_zenith=view_zenith,
        relative_azimuth=relative_azimuth,
        easting=geobox.affine.c + geobox.affine.a * (col.astype(np.float64) + 0.5),
        northing=geobox.affine.f + geobox.affine.e * (row.astype(np.float64) + 0.5),
        epsg=epsg_of(geobox),
        tile=_tile_means(observation),
    )


def pool(parts: Sequence[ReachPixels]) -> ReachPixels:
    """The pixels of several windows of one granule together.

    Raises:
        InputError: No parts.
    """
    if not parts:
        raise InputError("no pixels to pool: found no window, wanted at least one")
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts], axis=-1) for name in _ARRAYS
    }
    return replace(parts[0], **joined)


def fold_azimuth(sun: Floats, view: Floats) -> Floats:
    """Absolute difference of two azimuths, degrees, 0 to 180: no mean of it can wrap round.

    >>> fold_azimuth(np.float32([350.0]), np.float32([20.0])).tolist()
    [30.0]
    """
    difference = np.abs(sun - view) % np.float32(360)
    return np.minimum(difference, np.float32(360) - difference)


def _require_halo(observation: Observation, core: Window, rule: ClearWaterRule) -> None:
    shape = observation.facts.geobox.shape
    wanted, found = core.padded(rule.halo, (shape.y, shape.x)), observation.window
    reaches_down = found.row + found.height >= wanted.row + wanted.height
    reaches_right = found.col + found.width >= wanted.col + wanted.width
    if not (found.row <= wanted.row and found.col <= wanted.col and reaches_down and reaches_right):
        raise InputError(
            f"too little context round {core} of {observation.granule.name}: found {found}, wanted at least {wanted}"
        )


def _state(
    observation: Observation,
    masks: Masks,
    reflectance: Floats,
    here: tuple[NDArray[np.int32], NDArray[np.int32]],
    rule: ClearWaterRule,
) -> NDArray[np.uint16]:
    stack = np.stack([masks[mask][here] for mask in Mask])
    valid = masks.valid[here] & np.isfinite(reflectance).all(axis=0)
    turbid = turbid_lookalike(stack, reflectance, rule) & valid
    fmask = decode(observation.fmask[here])
    layers = {
        State.VALID: valid,
        State.WATER: stack[Mask.WATER],
        State.CLOUD: stack[Mask.CLOUD],
        State.CLOUD_SHADOW: stack[Mask.CLOUD_SHADOW],
        State.SNOW_ICE: stack[Mask.SNOW_ICE],
        State.TERRAIN_SHADOW: stack[Mask.TERRAIN_SHADOW],
        State.TURBID: turbid,
        State.CLEAR: clear_pixels(stack, valid, reflectance, turbid, rule),
        State.BANK: near_bank(masks, rule)[here],
        State.NEAR_CLOUD: near_cloud(masks, rule)[here],
        State.ADJACENT: fmask.adjacent,
        State.AEROSOL_HIGH: fmask.aerosol == AEROSOL_HIGH,
    }
    state = np.zeros(valid.shape, np.uint16)
    for bit, layer in layers.items():
        state |= np.where(layer, np.uint16(bit), np.uint16(0))
    return state


def _angles_at(angles: AngleGrid, row: NDArray[np.int32], col: NDArray[np.int32]) -> tuple[Floats, Floats, Floats]:
    cell = row // angles.step, col // angles.step
    relative = fold_azimuth(angles.sun_azimuth, angles.view_azimuth)
    return angles.sun_zenith[cell], angles.view_zenith[cell], relative[cell]


def epsg_of(geobox: GeoBox) -> int:
    """EPSG code of the grid; every HLS grid has one (326zz)."""
    code = None if geobox.crs is None else geobox.crs.epsg
    assert code is not None
    return code


def _tile_means(observation: Observation) -> TileMeans:
    means = observation.facts.directions
    relative = fold_azimuth(np.array(means.sun_azimuth, np.float32), np.array(means.view_azimuth, np.float32))
    return TileMeans(
        sun_zenith=means.sun_zenith,
        view_zenith=means.view_zenith,
        relative_azimuth=float(relative),
        cloud_cover=observation.facts.cloud_cover,
    )
