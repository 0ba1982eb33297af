"""Which water pixels may speak for a river: seen, away from clouds and, on a wide river, away from the bank."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssc.bands import SIX, Band
from ssc.errors import InputError
from ssc.masks import Mask, Masks
from ssc.observation import Observation

Bools = NDArray[np.bool_]
_BLUE, _RED, _NIR, _SWIR1 = (SIX.index(band) for band in (Band.BLUE, Band.RED, Band.NIR, Band.SWIR1))


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearWaterRule:
    """Numbers that decide which clear pixels carry the statistics of a reach."""

    erosion_px: int = 1
    """Water this close to the bank (8 neighbours, square) is mixed with land; 30 m pixels, so one suffices."""
    erode_from_m: float = 120.0
    """Reaches at least this wide are eroded; narrower ones would keep less than two pixel columns (60 m keep 0, 90 m
    keep 1 and 150 m keep 3 columns), so they keep their bank pixels and are flagged as mixed."""
    cloud_buffer_px: int = 2
    """Water this close to a cloud or its shadow (square) is dropped: thin edges, and light scattered from the cloud."""
    good_px: int = 30
    """Fewer used pixels are flagged (FEW_PIXELS); AquaMatch siteSR and Fluvius ask for 8 and 20."""
    least_px: int = 8
    """Fewer used pixels give no estimate (VERY_FEW); AquaMatch siteSR asks for 8."""
    node_covered_px: int = 3
    """Clear pixels that make a node count as covered."""
    node_least_px: int = 5
    """Fewer used pixels give no node statistics."""
    turbid_red: float = 0.1
    """Red reflectance above which water called snow or ice may be very turbid water instead."""
    turbid_nir: float = 0.1
    """The same for NIR: Fmask calls cold bright pixels snow from NIR 0.11 upwards (Zhu and Woodcock 2012, eq. 20)."""
    turbid_swir1: float = 0.05
    """SWIR1 reflectance below which it may be: water absorbs SWIR whatever it carries."""
    saturated: float = 1.2
    """Reflectance above this in any band is no measurement: HLS saturates at 12000 digital numbers."""

    def __post_init__(self) -> None:
        if self.erosion_px < 1 or self.cloud_buffer_px < 0:
            raise InputError(
                f"clear-water rule out of range: found erosion_px {self.erosion_px}, cloud_buffer_px "
                f"{self.cloud_buffer_px}, wanted at least 1 and 0 (to switch erosion off, raise erode_from_m)"
            )
        if not 1 <= self.least_px <= self.good_px:
            raise InputError(
                f"clear-water rule out of range: found least_px {self.least_px}, good_px {self.good_px}, "
                "wanted 1 <= least_px <= good_px"
            )

    @property
    def halo(self) -> int:
        """Pixels of context a window needs before the rule no longer depends on the window."""
        return max(self.erosion_px, self.cloud_buffer_px)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UsableLayers:
    """What the rule says of one window; every layer is (H, W) bool."""

    clear: Bools
    """True on water that is seen: `ssc.masks.clear_water`, plus `turbid`, minus fill and saturation in any band."""
    turbid: Bools
    """True on water kept although masked as snow or ice, because it looks like very turbid water."""
    bank: Bools
    """True within `erosion_px` of seen land, of missing data or of the tile's edge, on water and off it."""
    near_cloud: Bools
    """True within `cloud_buffer_px` of a cloud or cloud shadow, and under them."""

    @property
    def used(self) -> Bools:
        """True on the clear pixels that carry the statistics of a reach wide enough to erode."""
        return self.clear & ~self.bank & ~self.near_cloud


def usable(observation: Observation, masks: Masks, rule: ClearWaterRule) -> UsableLayers:
    """Every layer of the rule over a window (all six bands must have been read).

    Raises:
        BandError: A band was not read.
    """
    reflectance = np.stack([observation.band(band) for band in SIX])
    turbid = turbid_lookalike(masks.stack, reflectance, rule)
    return UsableLayers(
        clear=clear_pixels(masks.stack, masks.valid, reflectance, turbid, rule),
        turbid=turbid,
        bank=near_bank(masks, rule),
        near_cloud=near_cloud(masks, rule),
    )


def clear_pixels(
    stack: Bools, valid: Bools, reflectance: NDArray[np.float32], turbid: Bools, rule: ClearWaterRule
) -> Bools:
    """True on clear water: seen, or released by `turbid`, with a measurement in all six bands.

    Negative reflectance is kept: over dark water it is noise round a small number, and dropping it would bias medians.

    Args:
        stack: (5, ...) in the order of `Mask`, True = the thing named is there.
        valid: (...) True where there are data.
        reflectance: (6, ...) in the order of `SIX`, NaN where there is no data.
        turbid: (...) from `turbid_lookalike`.
        rule: Only `saturated` is read.
    """
    hidden = np.any(stack[Mask.CLOUD :], axis=0) & ~turbid
    measured = np.all(reflectance <= rule.saturated, axis=0)  # False for NaN
    return stack[Mask.WATER] & valid & ~hidden & measured


def turbid_lookalike(stack: Bools, reflectance: NDArray[np.float32], rule: ClearWaterRule) -> Bools:
    """True on water masked as snow or ice, and as nothing else, that has the colour of very turbid water.

    AquaSat kept such pixels because "sometimes super turbid waterbodies are flagged as snow/ice": dropping them
    censors the highest concentrations. Red, NIR and SWIR1 alone would let fresh snow in; sediment is redder than
    blue, clean snow is not. Dirty ice passes, so a reach with many such pixels is flagged ICE_POSSIBLE.

    Args:
        stack: (5, ...) in the order of `Mask`, True = the thing named is there.
        reflectance: (6, ...) in the order of `SIX`.
        rule: The three `turbid_*` limits.
    """
    hidden = stack[Mask.CLOUD] | stack[Mask.CLOUD_SHADOW] | stack[Mask.TERRAIN_SHADOW]
    snow_alone = stack[Mask.WATER] & stack[Mask.SNOW_ICE] & ~hidden
    blue, red, nir, swir1 = (reflectance[band] for band in (_BLUE, _RED, _NIR, _SWIR1))
    bright = (red > rule.turbid_red) & (nir > rule.turbid_nir)
    return snow_alone & bright & (swir1 < rule.turbid_swir1) & (red > blue)


def near_bank(masks: Masks, rule: ClearWaterRule) -> Bools:
    """(H, W), True within `erosion_px` of anything that is not water, and along the window's border.

    Pixels under cloud or cloud shadow are not taken for land, whatever the masker says of water there: a cloud in
    midstream is no bank, and the cloud buffer deals with its surroundings. Missing data and what lies beyond the
    window are: a window padded by `rule.halo` ends only at the tile's edge, where the bank is unknown.
    """
    land = ~(masks[Mask.WATER] | masks[Mask.CLOUD] | masks[Mask.CLOUD_SHADOW])
    bank = grow(land, rule.erosion_px)
    px = rule.erosion_px
    bank[:px], bank[-px:], bank[:, :px], bank[:, -px:] = True, True, True, True
    return bank


def near_cloud(masks: Masks, rule: ClearWaterRule) -> Bools:
    """(H, W), True under clouds and cloud shadows and within `cloud_buffer_px` of them."""
    return grow(masks[Mask.CLOUD] | masks[Mask.CLOUD_SHADOW], rule.cloud_buffer_px)


def grow(mask: Bools, px: int) -> Bools:
    """The (H, W) mask dilated by a square of 2 px + 1; nothing grows in from beyond the array.

    >>> grow(np.array([[True, False, False]]), 1).tolist()
    [[True, True, False]]
    """
    tall = mask.copy()
    for step in range(1, px + 1):
        tall[step:] |= mask[:-step]
        tall[:-step] |= mask[step:]
    square = tall.copy()
    for step in range(1, px + 1):
        square[:, step:] |= tall[:, :-step]
        square[:, :-step] |= tall[:, step:]
    return square
