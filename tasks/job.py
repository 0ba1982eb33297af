"""What a run holds constant (`Job`) and what one task is given (`Work`): small, by name, fit for any worker."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from ssc.clear import ClearWaterRule
from ssc.corridor import CorridorRule
from ssc.granules import Granule
from ssc.legacy import maskers
from ssc.masks import Masker
from ssc.pools import Duty
from ssc.provenance import code_version, settings_hash
from ssc.reaches import Reaches, read_reaches
from ssc.regression import Regressor, load


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
    """Everything a run holds constant over its granules."""

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
        """Hash of all that can change the numbers of a row, the granule apart."""
        return _job_hash(self)

    @property
    def cache_folder(self) -> Path | None:
        """`cache` as a path."""
        return Path(self.cache) if self.cache else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One granule's task: the granule, its reaches, and the granules that lend it pixels."""

    granule: Granule
    duty: Duty
    partners: tuple[Granule, ...] = ()

    def pools(self) -> dict[tuple[str, ...], tuple[int, ...]]:
        """Pooled reach ids by the names of the partners they need."""
        found: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for reach_id, partners in self.duty.pooled:
            found[partners].append(reach_id)
        return {partners: tuple(ids) for partners, ids in found.items()}

    def hash(self, job: Job) -> str:
        """Hash of what decides this granule's rows: done once with it is done for good."""
        return settings_hash({"job": job.hash, "owned": self.duty.owned, "pooled": self.duty.pooled})


@lru_cache(maxsize=64)
def _job_hash(job: Job) -> str:
    return settings_hash(
        {
            "code": code_version(),
            "reaches": open_reaches(job.reaches).digest,
            "masker": job.masker,
            "regressor": job.regressor,
            "dem": job.dem,
            "corridor": job.corridor,
            "clear": job.clear,
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
