"""One granule end to end: open, find its reaches, mask, keep clear water, aggregate, estimate.

Everything is named by value, so the same call runs in this process, in a thread or on another machine; what is costly
to open (reaches, masker, regressor) is opened once per process.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from ssc.aggregate import reach_samples
from ssc.bands import SIX
from ssc.clear import ClearWaterRule
from ssc.corridor import Corridor, CorridorRule, draw_corridor
from ssc.granules import Granule
from ssc.legacy import maskers
from ssc.masks import Masker
from ssc.observation import Reader, Window
from ssc.pixels import ReachPixels, gather_pixels, pool
from ssc.provenance import code_version, settings_hash
from ssc.rasters import open_granule
from ssc.reaches import Reaches, read_reaches
from ssc.regression import Regressor, load
from ssc.rows import compose_rows
from tasks.outcome import Outcome, Status
from tasks.quicklooks import write_quicklook

SEEN_SHARE = 0.5
"""A granule without estimates is "cloudy" when less than this share of its channel pixels was seen, else "no_water"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which reaches of a file take part; empty fields select everything."""

    path: str
    nodes: str | None = None
    ids: tuple[int, ...] | None = None
    bbox: tuple[float, float, float, float] | None = None
    """West, south, east, north in degrees; west > east crosses the antimeridian."""
    basin: str | None = None
    """Leading digits of the reach ids (Pfafstetter)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a run holds constant over its granules: small, by name, able to travel to any worker."""

    reaches: Selection
    masker: str
    regressor: str
    dem: str | None = None
    corridor: CorridorRule = field(default_factory=CorridorRule)
    clear: ClearWaterRule = field(default_factory=ClearWaterRule)
    threads: int = 4
    cache: str | None = None
    """Folder for drawn corridors."""
    quicklooks: str | None = None
    """Folder for one picture per granule; reads whole tiles."""

    @property
    def hash(self) -> str:
        """Hash of all that can change the numbers of a row."""
        return settings_hash(
            {
                "reaches": open_reaches(self.reaches).digest,
                "masker": self.masker,
                "regressor": self.regressor,
                "dem": self.dem,
                "corridor": self.corridor,
                "clear": self.clear,
            }
        )


@lru_cache(maxsize=4)
def open_reaches(selection: Selection) -> Reaches:
    """The selected reaches, read once per process."""
    return read_reaches(
        selection.path, nodes=selection.nodes, ids=selection.ids, bbox=selection.bbox, basin=selection.basin
    )


@lru_cache(maxsize=4)
def open_masker(name: str, dem: str | None) -> Masker:
    """The masker of that name, opened once per process."""
    return maskers.load(name, dem=dem)


@lru_cache(maxsize=4)
def open_regressor(name: str) -> Regressor:
    """The regressor of that name, opened once per process."""
    return load(name)


def estimate_granule(job: Job, granule: Granule) -> Outcome:
    """SSC of every selected reach on one granule.

    Raises:
        DataError: A file of the granule is missing, broken or not what it claims.
        AccessError: A service refuses us.
        TransientError: Worth another try.
    """
    started = time.perf_counter()
    reaches = open_reaches(job.reaches)
    with open_granule(granule, threads=job.threads) as reader:
        cache = Path(job.cache) if job.cache else None
        corridor = draw_corridor(reaches, reader.facts.geobox, job.corridor, cache)
        if corridor.reach_ids.size == 0:
            return Outcome(granule=granule.name, status=Status.NO_REACH)
        pixels = read_corridor(reader, corridor, job)
        samples = reach_samples(pixels, corridor, job.clear)
        rows = compose_rows(samples, reader, corridor, reaches, open_regressor(job.regressor), job.masker)
    rows = rows.assign(code_version=code_version(), settings_hash=job.hash)
    seconds = time.perf_counter() - started
    return Outcome(granule=granule.name, status=_status(rows), rows=rows, seconds=seconds)


def read_corridor(reader: Reader, corridor: Corridor, job: Job) -> ReachPixels:
    """Every corridor pixel of a granule with its reflectance and masks, window by window."""
    masker = open_masker(job.masker, job.dem)
    halo = max(masker.halo, job.clear.halo)
    shape = reader.facts.geobox.shape
    windows = corridor.windows(reader.facts.block, halo)
    if job.quicklooks is not None:
        windows = [Window.whole((shape.y, shape.x))]
    angles = reader.angles()
    parts = []
    for core in windows:
        observation = reader.read(SIX, core.padded(halo, (shape.y, shape.x)))
        masks = masker(observation)
        parts.append(gather_pixels(observation, masks, corridor, core, angles, job.clear))
        if job.quicklooks is not None:
            write_quicklook(Path(job.quicklooks), observation, masks, corridor)
    return pool(parts)


def _status(rows: pd.DataFrame) -> Status:
    if rows["ssc"].notna().any():
        return Status.ESTIMATED
    weights = rows["n_px_channel"].to_numpy(dtype=float)
    seen = rows["clear_frac"].fillna(0).to_numpy(dtype=float)
    share = float(np.average(seen, weights=weights)) if weights.sum() > 0 else 0.0
    return Status.CLOUDY if share < SEEN_SHARE else Status.NO_WATER
