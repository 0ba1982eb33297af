"""`make bench`: the steps of the road on one full tile, as ratios measured in one run.

    python -m tests.bench --out build/bench.json

The granule is simulated (labelled so), full size, made once and kept in build/bench. Seconds depend on the machine and
on its other load; ratios between steps of one run are what can be compared. The last saved run is shown beside.
S0 is our restatement of the predecessor's pipeline with its slow loops, not its code, which was slower still.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import rasterio
from rich.console import Console
from rich.table import Table

from ssc.aggregate import reach_samples
from ssc.bands import SIX
from ssc.clear import ClearWaterRule
from ssc.corridor import Corridor, draw_corridor
from ssc.granules import Granule, find
from ssc.legacy import as_ran, dswx, maskers, terrain
from ssc.legacy.dem import Dem
from ssc.observation import Window
from ssc.pixels import gather_pixels
from ssc.pools import plan_pools
from ssc.rasters import open_granule
from ssc.reaches import Reaches, read_reaches
from ssc.simulate import simulate_basin
from tasks.granule import estimate_granule
from tasks.job import Job, Selection, Work, open_masker

REPEATS = 3
REACHES = 20
SEED = 7


def seconds(action: Callable[[], object], repeats: int = REPEATS) -> float:
    """Least wall time of some repeats: the one least disturbed."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        action()
        times.append(time.perf_counter() - started)
    return min(times)


def decode(granule: Granule) -> None:
    """What any reader must do: decode six whole bands, two at a time, and drop them."""

    def one(path: str) -> int:
        with rasterio.open(path) as file:
            return file.read(1).size

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one, [granule.href(band) for band in SIX]))


def read(granule: Granule, windows: Sequence[Window]) -> None:
    """Open, read, close: nothing is left in GDAL's cache for the next repeat."""
    with open_granule(granule, threads=2) as reader:
        for window in windows:
            reader.read(SIX, window)


def afresh(job: Job, work: Work) -> None:
    """A granule as in a new process: terrain shadow cast anew."""
    open_masker.cache_clear()
    estimate_granule(job, work)


def basin(folder: Path) -> tuple[Granule, Reaches]:
    """The simulated tile, made when it is not there, and its first reaches."""
    if not (folder / "truth" / "reaches.csv").exists():
        simulate_basin(folder, granules=1, seed=SEED, size=3660)
    everything = read_reaches(folder / "reaches.gpkg")
    return find(folder)[0], everything.select(ids=everything.ids[:REACHES].tolist())


def bench_corridor(folder: Path) -> Corridor:
    """Corridors of those reaches."""
    granule, reaches = basin(folder)
    with open_granule(granule) as reader:
        return draw_corridor(reaches, reader.facts.geobox)


def measure(folder: Path) -> dict[str, float]:
    """Seconds by step."""
    granule, reaches = basin(folder)
    reaches_path, dem = folder / "reaches.gpkg", str(folder / "dem.tif")
    rule = ClearWaterRule()
    found: dict[str, float] = {"decode six bands": seconds(lambda: decode(granule))}
    with open_granule(granule) as reader:
        shape = (reader.facts.geobox.shape.y, reader.facts.geobox.shape.x)
        corridor = draw_corridor(reaches, reader.facts.geobox)
        found["draw corridor"] = seconds(lambda: draw_corridor(reaches, reader.facts.geobox))
        windows = [core.padded(rule.halo, shape) for core in corridor.windows(reader.facts.block, rule.halo)]
        observation, angles = reader.read(SIX), reader.angles()
    found["read whole tile"] = seconds(lambda: read(granule, [Window.whole(shape)]))
    found["read corridor windows"] = seconds(lambda: read(granule, windows))
    for name in ("legacy-dswx", "legacy-fmask", "fmask", "mndwi"):
        masker = maskers.load(name)
        found[f"mask whole tile, {name}, no DEM"] = seconds(lambda masker=masker: masker(observation))
    found["DSWx diagnostic of a tile"] = seconds(lambda: dswx.diagnostic(*observation.reflectance))
    masks, whole = maskers.load("fmask")(observation), Window.whole(shape)
    pixels = gather_pixels(observation, masks, corridor, whole, angles, rule)
    found["gather corridor pixels"] = seconds(lambda: gather_pixels(observation, masks, corridor, whole, angles, rule))
    found["aggregate"] = seconds(lambda: reach_samples(pixels, corridor, rule))
    with rasterio.open(dem) as file:
        elevation = file.read(1)
    found["cast shadow, full tile"] = seconds(lambda: terrain.cast_shadow(elevation, 30.0, 60.0, 160.0))
    middle = reaches.table.geometry.iloc[0].interpolate(0.5, normalized=True)
    found["legacy as it ran (S0), one site"] = seconds(
        lambda: as_ran.sample(observation, middle.x, middle.y, Dem(location=dem)), repeats=1
    )
    selection = Selection(path=str(reaches_path), ids=tuple(int(number) for number in reaches.ids))
    for masker in ("legacy-fmask", "legacy-dswx"):
        job = Job(reaches=selection, masker=masker, regressor="physical", dem=dem)
        (duty,) = plan_pools([granule], reaches).values()
        work = Work(granule=granule, duty=duty)
        found[f"granule end to end, {masker}"] = seconds(lambda job=job, work=work: afresh(job, work))
    return found


def ratios(found: dict[str, float]) -> dict[str, float]:
    """The figures to quote."""
    base = found["decode six bands"]
    return {
        "end to end / decoding six bands": found["granule end to end, legacy-dswx"] / base,
        "read whole tile / decoding six bands": found["read whole tile"] / base,
        "read corridor windows / read whole tile": found["read corridor windows"] / found["read whole tile"],
        f"S0 for one site / S1 for {REACHES} reaches": found["legacy as it ran (S0), one site"]
        / found["granule end to end, legacy-fmask"],
    }


def machine() -> dict[str, str]:
    """Where and with what."""
    names = ("numpy", "rasterio", "scipy", "pandas")
    cores = f"{os.cpu_count()} cores"
    return {"python": platform.python_version(), "machine": f"{platform.machine()}, {cores}"} | {
        name: version(name) for name in names
    }


def main() -> None:
    """Measure, print beside the last run, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("build/bench.json"))
    out = parser.parse_args().out
    last = json.loads(out.read_text()) if out.exists() else {"seconds": {}, "ratios": {}}
    found = measure(out.parent / "bench")
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    result = {"simulated": True, "seed": SEED, "reaches": REACHES, **machine(), "peak_gb": round(peak_gb, 2)}
    result |= {"seconds": found, "ratios": ratios(found)}
    for kind in ("seconds", "ratios"):
        table = Table(title=f"{kind} (simulated full tile, {REACHES} reaches)")
        for title in ("step", "this run", "last run"):
            table.add_column(title, justify="left" if title == "step" else "right")
        for name, value in result[kind].items():
            before = last[kind].get(name)
            table.add_row(name, f"{value:.3f}", "" if before is None else f"{before:.3f}")
        Console().print(table)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
