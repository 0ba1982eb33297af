"""The Parana at Corrientes: rasters, masks, point features, laboratory samples. Real data from end to end.

    matchups, lost = parana_matchups("parana_sentinel2_tss")

Six Sentinel-2 scenes of 2.2 km of the river where the dark Parana and the turbid Paraguay run side by side, each with
laboratory TSS along a transect of the same day, corrected for the atmosphere by ACOLITE and by sen2cor.

Everything is done on 30 m means of 3 by 3 pixels, masks and features alike: the masker was trained on 30 m pixels, the
estimator will see 30 m pixels of HLS (which makes S30 by area means too), and nine averaged pixels are
quieter. `factor=1` keeps the 10 m.

Nearly all of the crop is turbid river, so what a masker takes for cloud, snow or land there is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssc.bands import Band, Product
from ssc.clear import turbid_lookalike
from ssc.errors import InputError
from ssc.features import normalised_difference
from ssc.masks import Masks
from ssc.matchups.columns import conform
from ssc.matchups.pairing import Paired
from ssc.matchups.points import Look, PointRule, discs, pair_points
from ssc.matchups.raster import SEN2COR, Raster, Scaling
from tasks.matchups import BareMasker, Source, chip_of, labels_of, open_bare, raster_look
from tasks.turbid_loss import CAUSES, CLASSES, count_losses

OVERPASS: Final = timedelta(hours=14, minutes=10)
"""UTC. The tags of 2025-11-26 say 14:10:06 on relative orbit 67; the other dates lie multiples of five days before
it, so it is the same orbit, which passes within a minute or two of the same time."""
NOON: Final = timedelta(hours=12)
"""UTC: what stands for a day without time, with half a day of doubt; the same solar day anywhere on Earth."""
LABEL: Final = "sst_mg_l"
SITE, BASIN = "parana-corrientes", "parana"
CORRECTIONS: Final[Mapping[str, tuple[str, Scaling]]] = {
    "acolite": ("%Y-%m-%d", Scaling()),
    "sen2cor": ("%Y%m%d", SEN2COR),
}
"""File names and scaling by atmospheric correction."""
NEAR_M: Final = 300.0
"""Clear water this near to a point is counted as kept or lost."""
WATER: Final = 0.0
"""MNDWI above this is water for the count (Xu 2006): an index that sediment hardly moves, since SWIR stays dark."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParanaRule:
    """How the road goes."""

    factor: int = 3
    """10 m pixels per side of a pixel that is worked with."""
    near_m: float = NEAR_M
    points: PointRule = field(default_factory=PointRule)


def parana_matchups(
    folder: str | Path,
    *,
    correction: str = "acolite",
    masker: str = "default",
    rule: ParanaRule = ParanaRule(),
    progress: Callable[[int, int, str], None] | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Match-ups of the laboratory points, and the clear water that the masker lost near them.

    Args:
        folder: With acolite/, sen2cor/ and matchups_*_wide.csv.
        correction: acolite or sen2cor.
        masker: Name or card of a network, or mndwi; those that need Fmask cannot be asked.
        rule: Pixels and radii.
        progress: Called with scenes done, how many, and the last one's name.

    Returns:
        A match-up table (`ssc.matchups.columns`), and the table of `lost_water`.

    Raises:
        InputError: No such folder, correction or masker.
        DataError: A raster that does not read.
    """
    paired, lost = parana_paired(folder, correction=correction, masker=masker, rule=rule, progress=progress)
    return paired.matchups, lost


def parana_paired(
    folder: str | Path,
    *,
    correction: str = "acolite",
    masker: str = "default",
    rule: ParanaRule = ParanaRule(),
    progress: Callable[[int, int, str], None] | None = None,
) -> tuple[Paired, pd.DataFrame]:
    """As `parana_matchups`, with the samples that found no pixels."""
    folder = Path(folder)
    samples, ask = read_samples(folder), open_bare(masker)
    looks = [_scene(path, correction, ask, rule.factor) for path in _rasters(folder, correction)]
    paired = pair_points(samples, looks, rule.points, progress=progress)
    lost = [lost_water(look, samples, rule) for look in looks]
    return paired, pd.concat(lost, ignore_index=True)


def read_samples(folder: str | Path) -> pd.DataFrame:
    """The laboratory points with TSS, as a sample table; days without time, so noon with 12 hours of doubt.

    Raises:
        InputError: No such table.
    """
    path = Path(folder) / "matchups_acolite_wide.csv"  # the samples are the same in both tables
    if not path.is_file():
        raise InputError(f"no {path.name} in {folder}: wanted the folder of the Parana rasters")
    table = pd.read_csv(path).dropna(subset=[LABEL]).reset_index(drop=True)
    number = table.groupby("fecha").cumcount() + 1
    told = pd.DataFrame(
        {
            "site": SITE,
            "sample_id": table["fecha"] + " " + number.astype(str),
            "sample_time": pd.to_datetime(table["fecha"], utc=True) + NOON,
            "ssc_mg_l": table[LABEL],
            "label_source": "tss",
            "basin": BASIN,
            "longitude": table["longitud"],
            "latitude": table["latitud"],
            "dt_uncertain_h": NOON / timedelta(hours=1),
        }
    )
    return conform(told, "sample")


def lost_water(look: Look, samples: pd.DataFrame, rule: ParanaRule = ParanaRule()) -> pd.DataFrame:
    """Clear water near the points of a scene's day: kept, and lost by what it was taken for.

    These scenes are cloudless over the river, by eye, so all water there is clear; two are in sun glint.

    Returns:
        A row per class of `tasks.turbid_loss.CLASSES` that has any: date, by, class, water_px, kept, a column for each
        of `CAUSES`, released (of those lost to snow or ice, how many the clear-water rule takes back as turbid).
    """
    raster, masks = look.load()
    today = samples[samples["sample_time"].dt.date == look.acquisition.date()]
    near = np.zeros(masks.valid.shape, dtype=bool)
    _, row, col = discs(raster.geobox, today[["longitude", "latitude"]].to_numpy(), rule.near_m)
    inside = (row >= 0) & (row < near.shape[0]) & (col >= 0) & (col < near.shape[1])
    near[row[inside], col[inside]] = True
    water = near & masks.valid & _is_water(raster)
    counts = _counted(raster, masks, water)
    released = _counted(raster, masks, water & turbid_lookalike(masks.stack, raster.six, rule.points.clear)).sum(axis=1)
    table = pd.DataFrame(CLASSES, columns=["by", "class"])
    table.insert(0, "date", f"{look.acquisition:%Y-%m-%d}")
    table = table.assign(water_px=counts.sum(axis=1), kept=counts[:, 0], **dict(zip(CAUSES, counts.T[1:], strict=True)))
    return table.assign(released=released)[counts.sum(axis=1) > 0].reset_index(drop=True)


def _rasters(folder: Path, correction: str) -> list[Path]:
    if correction not in CORRECTIONS:
        raise InputError(f"correction {correction!r}: wanted {' or '.join(CORRECTIONS)}")
    if found := sorted((folder / correction).glob("*.tif")):
        return found
    raise InputError(f"no rasters in {folder / correction}: wanted the folder of the Parana rasters")


def _scene(path: Path, correction: str, ask: BareMasker, factor: int) -> Look:
    pattern, scaling = CORRECTIONS[correction]
    day = datetime.strptime(path.stem, pattern).replace(tzinfo=UTC)
    source = Source(product=Product.S30, scaling=scaling, factor=factor)
    return raster_look(path, source, day + OVERPASS, ask, granule_id=f"{correction}/{path.name}")


def _is_water(raster: Raster) -> NDArray[np.bool_]:
    green, swir1 = (raster.reflectance[raster.bands.index(band)] for band in (Band.GREEN, Band.SWIR1))
    return normalised_difference(green, swir1) > WATER


def _counted(raster: Raster, masks: Masks, water: NDArray[np.bool_]) -> NDArray[np.int64]:
    labels = labels_of(water)
    return count_losses(chip_of(raster, labels), masks.stack, labels)
