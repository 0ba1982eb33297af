"""Simulated basins, each sampled through several maskers and through its truth: the ground of every SSC experiment.

    samples = run_basins(BasinPlan(maskers=("default", "mndwi")), Path("out"), report=print)

A basin (a seed) is one landscape seen on several days under the simulator's programme of weathers, by Landsat and
Sentinel-2 in turn. Half of the passes carry the simulator's own sediment, the others a tenth to twenty times of it, so
that every class of concentration is met. Granules are written, sampled and removed; a basin's samples are one file, so
a basin that is finished is not done again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from datetime import date, timedelta
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import pandas as pd

from ssc.drafts import drafted
from ssc.errors import InputError
from ssc.provenance import code_version, settings_hash
from ssc.simulate import Scene, surface, vectors
from ssc.simulate.basin import PLATFORMS, lit_overpass, weather_of, write_dem
from ssc.simulate.calendar import spread
from ssc.simulate.grid import corner
from ssc.simulate.landscape import Landscape, shape_land
from ssc.simulate.scene import observe
from ssc.simulate.seeds import stream
from ssc.simulate.writer import write_granule
from tasks import maskers
from tasks.experiments.basin_samples import BasinFiles, sample_granule

Report = Callable[[str, int, int, str], None]
"""Stage, units of it done, of how many, what else there is to say."""

TEST_TILES: Final = ("11SKU", "33TVN", "36MZE", "21JVH", "49QGF")
"""From 48 N to 29 S, none of them among the tiles that `tasks.chips.simulated` trains maskers on."""
TEST_SEEDS: Final = range(9300, 9500)
TRAINING_SEEDS: Final = range(9500, 20_000)
"""To train regressors on. The shipped masker knows basins from 1000 on, the sensor experiment those from 70 000 on."""
LOADED_SHARE: Final = 0.5
LOADS: Final = (0.1, 20.0)
"""Least and most that a loaded pass carries, over the simulator's own load."""
MOST_TURBID_MG_L: Final = 5000.0
MOST_ORGANIC: Final = 3.0
"""Floods are of mineral sediment: the organic part grows by no more than this factor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BasinPlan:
    """Which basins, and through which maskers."""

    maskers: tuple[str, ...]
    """Names, see `tasks.maskers`."""
    basins: int = 10
    first: int = TEST_SEEDS.start
    """Seed of the first basin; the others follow."""
    granules: int = 8
    """Overpasses of each basin."""
    size: int = 512
    """Pixels of 30 m per side."""
    tiles: tuple[str, ...] = TEST_TILES
    """MGRS tiles, in turn."""
    processes: int | None = None
    """That work at once, each in one thread; None: as many as there are processors, 1: this one."""

    def __post_init__(self) -> None:
        if self.basins < 1 or self.granules < 1 or not self.maskers or not self.tiles:
            raise InputError(f"cannot simulate: found {self}, wanted at least one basin, granule, masker and tile")

    @property
    def seeds(self) -> range:
        """Of the basins."""
        return range(self.first, self.first + self.basins)

    def tile(self, seed: int) -> str:
        """Tile of a basin."""
        return self.tiles[seed % len(self.tiles)]

    def key(self, seed: int) -> str:
        """Hash of all that can change the samples of a basin."""
        return settings_hash(
            {
                "code": code_version(),
                "seed": seed,
                "tile": self.tile(seed),
                "granules": self.granules,
                "size": self.size,
                "maskers": [maskers.identity(name) for name in self.maskers],
            }
        )


def require_apart(plan: BasinPlan, kept: range, what: str) -> None:
    """Refuse basins that are kept for something else.

    Raises:
        InputError: A seed of the plan lies in `kept`.
    """
    if taken := [seed for seed in plan.seeds if seed in kept]:
        raise InputError(
            f"basins {kept.start} to {kept.stop - 1} are kept for {what}: "
            f"found {taken[0]} to {taken[-1]} among those asked for, wanted none of them"
        )


def run_basins(plan: BasinPlan, out: Path, report: Report) -> pd.DataFrame:
    """Samples of all basins, made now or before; see `sample_granule` for the columns, and basin, tile, load.

    Args:
        plan: What to do.
        out: Folder; the basins' files lie in `out/basins`.
        report: Hears of every basin.

    Raises:
        InputError: No such masker or tile, or no sun.
        DataError: A masker's card or weights are damaged.
    """
    files = {seed: out / "basins" / f"{seed}-{plan.key(seed)}.parquet" for seed in plan.seeds}
    todo = [seed for seed, path in files.items() if not path.exists()]
    done = len(files) - len(todo)
    report("simulated basins", done, len(files), "")
    for number, seed in enumerate(_finished(plan, files, todo), start=1):
        report("simulated basins", done + number, len(files), f"basin {seed}")
    return pd.concat([pd.read_parquet(path) for path in files.values()], ignore_index=True)


def run_basin(plan: BasinPlan, seed: int, path: Path) -> int:
    """Simulate one basin, sample it and write its samples; its seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=path.parent, prefix=f".{seed}-") as folder:
        samples = _sample_basin(plan, seed, Path(folder))
    with drafted(path) as draft:
        samples.to_parquet(draft, index=False)
    return seed


def loaded(scene: Scene, factor: float) -> Scene:
    """The same scene with more or less sediment in all its rivers, up to `MOST_TURBID_MG_L`."""
    factor = min(factor, MOST_TURBID_MG_L / max(float(scene.load.ssc.max()), 1.0))
    organic = scene.load.organic * min(factor, MOST_ORGANIC)
    load = replace(scene.load, mineral=scene.load.mineral * factor, organic=organic)
    day = scene.passing.sensed.date().isoformat()
    return replace(scene, load=load, ground=surface.settle(scene.landscape, load, scene.weather, day))


def _sample_basin(plan: BasinPlan, seed: int, folder: Path) -> pd.DataFrame:
    tile = plan.tile(seed)
    landscape = shape_land(corner(tile, plan.size), tile=tile, seed=seed)
    files = _write_ground(landscape, folder)
    tables = []
    for scene, factor in _passes(landscape, plan.granules):
        granule = write_granule(scene, folder / "granules")
        samples = sample_granule(scene, granule, files, plan.maskers)
        tables.append(samples.assign(load=factor))
    return pd.concat(tables, ignore_index=True).assign(basin=seed, tile=tile, simulated=True)


def _passes(landscape: Landscape, count: int) -> Iterator[tuple[Scene, float]]:
    """Overpasses of a year that begins on a random day, each with the factor of its load."""
    seed, southern = landscape.seed, landscape.southern
    rng = stream(seed, "budget")
    days = spread(date(2023, 1, 1) + timedelta(days=int(rng.integers(365))), count)
    for number, (day, weather) in enumerate(zip(days, weather_of(days, southern=southern), strict=True)):
        passing = lit_overpass(landscape, day, PLATFORMS[number % len(PLATFORMS)])
        factor = 1.0 if rng.random() >= LOADED_SHARE else float(np.exp(rng.uniform(*np.log(LOADS))))
        yield loaded(observe(landscape, passing, weather), factor), factor


def _write_ground(landscape: Landscape, folder: Path) -> BasinFiles:
    """Reaches and elevation, as `ssc.simulate.simulate_basin` writes them."""
    vectors.write_reaches(landscape, folder / "reaches.gpkg")
    write_dem(landscape, folder / "dem.tif")
    return BasinFiles(reaches=str(folder / "reaches.gpkg"), dem=str(folder / "dem.tif"))


def _finished(plan: BasinPlan, files: dict[int, Path], todo: Sequence[int]) -> Iterator[int]:
    """Seeds as their basins are done, here or in several processes."""
    count = min(plan.processes or os.cpu_count() or 1, len(todo))
    if count <= 1:
        yield from (run_basin(plan, seed, files[seed]) for seed in todo)
        return
    pool = ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_one_thread)
    try:
        for future in as_completed([pool.submit(run_basin, plan, seed, files[seed]) for seed in todo]):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _one_thread() -> None:
    """In each process: as many processes as processors, each with one thread, do not get in each other's way."""
    import torch  # noqa: PLC0415 - slow to load, and only the processes need it here

    torch.set_num_threads(1)
