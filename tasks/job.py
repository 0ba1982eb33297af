"""What a run holds constant (`Job`) and what one task is given (`Work`): small, by name, fit for any worker."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from ssc.clear import ClearWaterRule
from ssc.corridor import CorridorRule
from ssc.granules import Granule
from ssc.masks import Masker
from ssc.pools import Duty
from ssc.provenance import code_version, settings_hash
from ssc.reaches import Reaches, read_reaches
from ssc.regression import Regressor, identity, load
from tasks import maskers


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
    polygon: str | None = None
    """File with the polygons to which reaches must come."""


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
        return settings_hash(
            {
                "code": code_version(),
                "reaches": open_reaches(self.reaches).digest,
                "masker": maskers.identity(self.masker),
                "regressor": identity(self.regressor),
                "dem": self.dem,
                "corridor": self.corridor,
                "clear": self.clear,
            }
        )

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


def open_reaches(selection: Selection) -> Reaches:
    """The selected reaches, read once per process and anew when their file has changed."""
    return _read_reaches(selection, _stamp(selection.path))


@lru_cache(maxsize=4)
def _read_reaches(selection: Selection, _stamp: tuple[int, int]) -> Reaches:
    return read_reaches(
        selection.path,
        nodes=selection.nodes,
        ids=selection.ids,
        bbox=selection.bbox,
        basin=selection.basin,
        polygon=selection.polygon,
    )


def _stamp(path: str) -> tuple[int, int]:
    """Size and time of a file; zeros for what is no local file, which `read_reaches` will judge."""
    try:
        found = Path(path).stat()
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns


def open_masker(name: str, dem: str | None) -> Masker:
    """The masker of that name, opened once per process and anew when its card or weights have changed."""
    return _open_masker(name, dem, settings_hash({"masker": maskers.identity(name)}))


@lru_cache(maxsize=4)
def _open_masker(name: str, dem: str | None, _identity: str) -> Masker:
    return maskers.open_masker(name, dem=dem)


open_masker.cache_clear = _open_masker.cache_clear  # as of any cached function; the benchmark starts afresh with it


def open_regressor(name: str) -> Regressor:
    """The regressor of that name or card, opened once per process and anew when its card or file has changed."""
    return _open_regressor(name, identity(name))


@lru_cache(maxsize=4)
def _open_regressor(name: str, _identity: str) -> Regressor:
    return load(name)
