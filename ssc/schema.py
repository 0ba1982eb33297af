"""The results table: the only place where a column, its unit and its meaning are written.

One row per (reach_id, acquisition, platform, masker, regressor).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, IntFlag

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ssc.bands import SIX
from ssc.quality import Quality, Summary


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of the results table."""

    name: str
    type: pa.DataType
    unit: str
    """UDUNITS spelling; "1" for dimensionless numbers, "" for names and times."""
    meaning: str
    nullable: bool = True


KEY = ("reach_id", "acquisition", "platform", "masker", "regressor")
"""What makes a row unique: a re-run replaces, never duplicates."""

PARTITIONS = ("basin", "year")
"""Integers, so that a merge can prune (delta-io/delta-rs#3786, #4301)."""

_TEXT, _F32, _I32, _I64, _LIST = pa.string(), pa.float32(), pa.int32(), pa.int64(), pa.list_(pa.string())
_TIME = pa.timestamp("us", tz="UTC")


def _column(name: str, type_: pa.DataType, unit: str, meaning: str, *, nullable: bool = True) -> Column:
    return Column(name=name, type=type_, unit=unit, meaning=meaning, nullable=nullable)


IDENTITY = (
    _column("reach_id", _I64, "", "SWORD reach id", nullable=False),
    _column("acquisition", _TIME, "", "time in the granule name (S30: datatake start)", nullable=False),
    _column(
        "platform", _TEXT, "", "satellite: L8 L9 S2A S2B S2C, or the product when the tags do not say", nullable=False
    ),
    _column("masker", _TEXT, "", "name of the masker", nullable=False),
    _column("regressor", _TEXT, "", "name of the regressor", nullable=False),
    _column("basin", _I32, "", "first two digits of the reach id (Pfafstetter level 2)", nullable=False),
    _column("year", _I32, "", "UTC year of the acquisition", nullable=False),
    _column("time", _TIME, "", "when the tile was seen (mean SENSING_TIME)", nullable=False),
    _column("product", _TEXT, "", "HLS product: L30 or S30", nullable=False),
    _column("granule_ids", _LIST, "", "granules the row was made from", nullable=False),
    _column("tile_ids", _LIST, "", "MGRS tiles the row was made from", nullable=False),
    _column("reach_share", _F32, "1", "share of the reach's centreline inside those tiles, 0 to 1", nullable=False),
)

ESTIMATE = (
    _column("ssc", _F32, "mg L-1", "suspended sediment concentration, median estimate"),
    _column("ssc_mean", _F32, "mg L-1", "mean estimate: the median times the smearing factor; for sums and fluxes"),
    _column("ssc_lo90", _F32, "mg L-1", "lower end of the 90 % interval"),
    _column("ssc_hi90", _F32, "mg L-1", "upper end of the 90 % interval"),
    _column("ln_ssc_sd", _F32, "1", "standard deviation of ln(SSC in mg/L)"),
    _column("turbidity", _F32, "1", "turbidity after Dogliotti et al. 2015, in FNU"),
    _column("ssc_qual", pa.int32(), "1", "quality bits, see flag_masks", nullable=False),
    _column("ssc_quality", pa.int8(), "1", "summary: 0 good, 1 suspect, 2 degraded, 3 bad", nullable=False),
)

COUNTS = (
    _column("n_px_channel", _I32, "1", "pixels of the channel polygon on the tile", nullable=False),
    _column("n_px_valid", _I32, "1", "corridor pixels with data", nullable=False),
    _column("n_px_water", _I32, "1", "corridor pixels masked as water, seen or not", nullable=False),
    _column("n_px_clear", _I32, "1", "corridor pixels of clear water", nullable=False),
    _column(
        "n_px_used", _I32, "1", "clear pixels that carry the statistics, after erosion and cloud buffer", nullable=False
    ),
    _column(
        "clear_frac",
        _F32,
        "1",
        "seen share of the channel: channel pixels valid and not obstructed, over channel pixels",
    ),
    _column("edge_frac", _F32, "1", "share of the clear pixels that touch the bank"),
    _column("cloud_frac", _F32, "1", "share of valid corridor pixels under cloud"),
    _column("cloud_shadow_frac", _F32, "1", "share of valid corridor pixels in cloud shadow"),
    _column("snow_ice_frac", _F32, "1", "share of valid corridor pixels under snow or ice"),
    _column("terrain_shadow_frac", _F32, "1", "share of valid corridor pixels in terrain shadow"),
    _column("cloud_adjacent_frac", _F32, "1", "share of the used pixels that Fmask calls adjacent to cloud or shadow"),
    _column("aerosol_high_frac", _F32, "1", "share of the used pixels with Fmask aerosol level high"),
    _column("n_nodes", _I32, "1", "SWORD nodes of the reach on the tile", nullable=False),
    _column("n_nodes_covered", _I32, "1", "nodes with at least 3 clear pixels nearest to them", nullable=False),
)

STATISTICS = (
    ("med", "median"),
    ("mad", "1.4826 x median absolute deviation"),
    ("p10", "10th percentile"),
    ("p25", "25th percentile"),
    ("p75", "75th percentile"),
    ("p90", "90th percentile"),
)
"""Suffix and meaning of the statistics written for each of the six bands."""

REFLECTANCE = tuple(
    _column(
        f"{band.value}_{suffix}", _F32, "1", f"{meaning} of surface reflectance, {band.value}, over the used pixels"
    )
    for band in SIX
    for suffix, meaning in STATISTICS
)

RATIOS = (
    _column("red_green", _F32, "1", "median over pixels of red / green"),
    _column("nir_red", _F32, "1", "median over pixels of NIR / red"),
    _column("nir_green", _F32, "1", "median over pixels of NIR / green"),
    _column("blue_green", _F32, "1", "median over pixels of blue / green"),
    _column("swir1_nir", _F32, "1", "median over pixels of SWIR1 / NIR"),
    _column("ndssi", _F32, "1", "median over pixels of (blue - NIR) / (blue + NIR)"),
    _column("ndti", _F32, "1", "median over pixels of (red - green) / (red + green)"),
    _column("fai", _F32, "1", "median over pixels of the floating algae index (reflectance)"),
    _column("nir_bank", _F32, "1", "NIR median of the used pixels minus NIR median of the bank pixels (adjacency)"),
)

GEOMETRY = (
    _column("sun_zenith", _F32, "degree", "mean over the used pixels, else over the tile"),
    _column("view_zenith", _F32, "degree", "mean over the used pixels, else over the tile"),
    _column("relative_azimuth", _F32, "degree", "absolute difference of sun and view azimuth, 0 to 180"),
    _column("tile_cloud_cover", _F32, "percent", "cloud_coverage tag of the granule"),
)

PROVENANCE = (
    _column("sword_version", _TEXT, "", "version of the reach file", nullable=False),
    _column("code_version", _TEXT, "", "version of river-ssc", nullable=False),
    _column("settings_hash", _TEXT, "", "hash of everything that can change the numbers of a row", nullable=False),
)

SAMPLE = (*COUNTS, *REFLECTANCE, *RATIOS, *GEOMETRY)
"""What one granule says of one reach, before any regression."""

COLUMNS = (*IDENTITY, *ESTIMATE, *SAMPLE, *PROVENANCE)

FLAG_MASKS: Mapping[str, type[IntFlag | IntEnum]] = {"ssc_qual": Quality, "ssc_quality": Summary}
"""Columns with CF flags and the enum that names them."""


def arrow_schema() -> pa.Schema:
    """The results table as an Arrow schema; unit and meaning travel as field metadata."""
    return pa.schema(
        pa.field(c.name, c.type, c.nullable, metadata={"units": c.unit, "long_name": c.meaning}) for c in COLUMNS
    )


def basin_of(reach_ids: NDArray[np.int64]) -> NDArray[np.int32]:
    """(n,) the partition of reach ids: their first two digits.

    >>> basin_of(np.array([74299900011, 62270000143])).tolist()
    [74, 62]
    """
    return np.array([int(str(reach_id)[:2]) for reach_id in reach_ids.tolist()], dtype=np.int32)
