"""From pixels to reaches: what one granule says of each reach, in one pass over all pixels.

Statistics are quantiles because a river's pixels are never all river: boats, bars, glint and thin cloud sit in the
tails. Every group of pixels is a segment of one sorted array, so sixty reaches cost as much as one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssc.bands import SIX, Band
from ssc.clear import Bools, ClearWaterRule
from ssc.corridor import Corridor
from ssc.features import Floats, pixel_features
from ssc.pixels import ReachPixels, State
from ssc.schema import SAMPLE
from ssc.segments import Segments

Counts = NDArray[np.integer[Any]]
Columns = dict[str, NDArray[np.float64] | Counts]
"""Columns of the results table by name, (reaches,) each."""
_NIR = SIX.index(Band.NIR)
_PERCENTILES = {"p10": 0.10, "p25": 0.25, "p75": 0.75, "p90": 0.90}
_OBSTRUCTED = State.CLOUD | State.CLOUD_SHADOW | State.SNOW_ICE | State.TERRAIN_SHADOW
_NAMES = {
    State.CLOUD: "cloud_frac",
    State.CLOUD_SHADOW: "cloud_shadow_frac",
    State.SNOW_ICE: "snow_ice_frac",
    State.TERRAIN_SHADOW: "terrain_shadow_frac",
}


def reach_samples(pixels: ReachPixels, corridor: Corridor, rule: ClearWaterRule) -> pd.DataFrame:
    """What one granule says of every reach of its corridor, also of those it does not show.

    Args:
        pixels: All corridor pixels of the granule, in any order.
        corridor: What the pixels were gathered on.
        rule: Which clear pixels are used.

    Returns:
        One row per reach in the order of `corridor.reach_ids`, index reach_id, columns and types of `schema.SAMPLE`;
        statistics are NaN and counts 0 where nothing was used.
    """
    used = used_pixels(pixels, corridor, rule)
    kept, reaches = pixels.take(used), corridor.reach_ids.size
    columns = {
        **_counts(pixels, kept, corridor, rule),
        **_reflectance(kept, reaches),
        **_ratios(kept, reaches),
        "nir_bank": _nir_bank(pixels, kept, reaches),
        **_geometry(kept, reaches),
    }
    typed = {column.name: columns[column.name].astype(column.type.to_pandas_dtype()) for column in SAMPLE}
    return pd.DataFrame(typed, index=pd.Index(corridor.reach_ids, name="reach_id"))


def node_samples(pixels: ReachPixels, corridor: Corridor, rule: ClearWaterRule) -> pd.DataFrame:
    """Medians at every node of the corridor, from the used pixels nearest to it.

    Returns:
        Index node_id; columns reach_id, n_px_used and the six `<band>_med` (float32, NaN below `rule.node_least_px`).
    """
    kept = pixels.take(used_pixels(pixels, corridor, rule) & (pixels.node >= 0))
    nodes = corridor.node_ids.size
    count = np.bincount(kept.node, minlength=nodes)
    table = pd.DataFrame(
        {"reach_id": corridor.reach_ids[corridor.node_reach], "n_px_used": count.astype(np.int32)},
        index=pd.Index(corridor.node_ids, name="node_id"),
    )
    for band, values in zip(SIX, kept.reflectance, strict=True):
        medians = Segments.of(values, kept.node, nodes).quantile(0.5)
        table[f"{band.value}_med"] = np.where(count >= rule.node_least_px, medians, np.nan).astype(np.float32)
    return table


def used_pixels(pixels: ReachPixels, corridor: Corridor, rule: ClearWaterRule) -> Bools:
    """(n,), True on the clear pixels that carry the statistics of their reach.

    Away from clouds always; away from the bank where the reach is at least `rule.erode_from_m` wide, unless that
    leaves fewer than `rule.least_px` and the bank pixels would mend it (edge_frac then tells of the mixture).
    """
    reaches = corridor.reach_ids.size
    open_sky = pixels.has(State.CLEAR) & ~pixels.any(State.NEAR_CLOUD)
    midstream = open_sky & ~pixels.any(State.BANK)
    with_bank, without = _count(pixels, open_sky, reaches), _count(pixels, midstream, reaches)
    too_few = (without < rule.least_px) & (with_bank >= rule.least_px)
    eroded = (corridor.width_m >= rule.erode_from_m) & ~too_few
    return np.where(eroded[pixels.reach], midstream, open_sky)


def _counts(pixels: ReachPixels, kept: ReachPixels, corridor: Corridor, rule: ClearWaterRule) -> Columns:
    reaches = corridor.reach_ids.size
    valid, clear = pixels.has(State.VALID), pixels.has(State.CLEAR)
    seen = valid & pixels.channel & (~pixels.any(_OBSTRUCTED) | pixels.any(State.TURBID))
    n_valid, n_clear = _count(pixels, valid, reaches), _count(pixels, clear, reaches)
    n_used = np.bincount(kept.reach, minlength=reaches)
    masked = {state: _count(pixels, valid & pixels.has(state), reaches) for state in _NAMES}
    return {
        "n_px_channel": corridor.n_channel,
        "n_px_valid": n_valid,
        "n_px_water": _count(pixels, pixels.has(State.WATER), reaches),
        "n_px_clear": n_clear,
        "n_px_used": n_used,
        "clear_frac": _share(_count(pixels, seen, reaches), corridor.n_channel),
        "edge_frac": _share(_count(pixels, clear & pixels.any(State.BANK), reaches), n_clear),
        **{name: _share(masked[state], n_valid) for state, name in _NAMES.items()},
        "cloud_adjacent_frac": _share(_count(kept, kept.has(State.ADJACENT), reaches), n_used),
        "aerosol_high_frac": _share(_count(kept, kept.has(State.AEROSOL_HIGH), reaches), n_used),
        "n_nodes": np.bincount(corridor.node_reach, minlength=reaches),
        "n_nodes_covered": _nodes_covered(pixels, corridor, rule),
    }


def _nodes_covered(pixels: ReachPixels, corridor: Corridor, rule: ClearWaterRule) -> NDArray[np.int64]:
    near = pixels.has(State.CLEAR) & (pixels.node >= 0)
    clear = np.bincount(pixels.node[near], minlength=corridor.node_ids.size)
    covered = corridor.node_reach[clear >= rule.node_covered_px]
    return np.bincount(covered, minlength=corridor.reach_ids.size)


def _reflectance(kept: ReachPixels, reaches: int) -> Columns:
    columns: Columns = {}
    for band, values in zip(SIX, kept.reflectance, strict=True):
        segments = Segments.of(values, kept.reach, reaches)
        medians = segments.quantile(0.5)
        columns[f"{band.value}_med"] = medians
        columns[f"{band.value}_mad"] = segments.mad(medians)
        columns |= {f"{band.value}_{name}": segments.quantile(share) for name, share in _PERCENTILES.items()}
    return columns


def _ratios(kept: ReachPixels, reaches: int) -> Columns:
    features = pixel_features(kept.reflectance)
    return {name: Segments.of(values, kept.reach, reaches).quantile(0.5) for name, values in features}


def _nir_bank(pixels: ReachPixels, kept: ReachPixels, reaches: int) -> NDArray[np.float64]:
    """NIR median of the used pixels minus that of the bank pixels: light from the land darkens the difference."""
    bank = pixels.has(State.CLEAR | State.BANK) & ~pixels.any(State.NEAR_CLOUD)
    midstream = Segments.of(kept.reflectance[_NIR], kept.reach, reaches).quantile(0.5)
    beside = Segments.of(pixels.reflectance[_NIR, bank], pixels.reach[bank], reaches).quantile(0.5)
    return midstream - beside


def _geometry(kept: ReachPixels, reaches: int) -> Columns:
    tile = kept.tile
    return {
        "sun_zenith": _mean(kept.sun_zenith, kept.reach, reaches, tile.sun_zenith),
        "view_zenith": _mean(kept.view_zenith, kept.reach, reaches, tile.view_zenith),
        "relative_azimuth": _mean(kept.relative_azimuth, kept.reach, reaches, tile.relative_azimuth),
        "tile_cloud_cover": np.full(reaches, tile.cloud_cover),
    }


def _count(pixels: ReachPixels, layer: Bools, reaches: int) -> NDArray[np.int64]:
    return np.bincount(pixels.reach[layer], minlength=reaches)


def _share(part: Counts, whole: Counts) -> NDArray[np.float64]:
    """Share of the part in the whole, NaN where there is no whole."""
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def _mean(values: Floats, group: NDArray[np.int32], groups: int, otherwise: float) -> NDArray[np.float64]:
    """Mean of the finite values of each group, `otherwise` where there is none."""
    known = np.isfinite(values)
    total = np.bincount(group[known], weights=values[known], minlength=groups)
    size = np.bincount(group[known], minlength=groups)
    return np.where(size > 0, total / np.maximum(size, 1), otherwise)
