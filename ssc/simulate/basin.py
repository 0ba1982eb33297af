"""A simulated basin on disk: granules, reaches, elevation, water samples, and the truth behind them."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from affine import Affine
from odc.geo.geobox import GeoBox

from ssc.errors import InputError
from ssc.masks import Mask
from ssc.simulate import truth, vectors
from ssc.simulate.calendar import spread, wave
from ssc.simulate.grid import corner
from ssc.simulate.headers import SIMULATED
from ssc.simulate.insitu import sample
from ssc.simulate.landscape import Landscape, shape_land
from ssc.simulate.overpass import Overpass, overpass, sun_over
from ssc.simulate.scene import Scene, observe
from ssc.simulate.weather import PROGRAMME, WINTER, Weather
from ssc.simulate.writer import write_granule, write_raster

PLATFORMS = ("L8", "S2A", "L9", "S2B")
TILE = "13TDM"
"""Default: on the Yellowstone river, 46.5 N, where June sun stands high and January sun low. Only the grid is real."""
START = date(2024, 5, 6)
LOWEST_SUN = 76.0
"""Solar zenith, degrees, beyond which HLS is not produced."""
NOTE = "SIMULATED.txt"
"""Marks a folder as one of ours."""
MIDWINTER = 12
"""Day of the year."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Basin:
    """Where the files of a simulated basin are."""

    folder: Path
    granules: Path
    """One folder per granule, as `ssc.granules.find` likes it."""
    reaches: Path
    """GeoPackage, layers `reaches` and `nodes`, SWORD columns."""
    dem: Path
    """Elevation, metres, of the tile and 3.8 km round it."""
    insitu: Path
    """CSV of water samples: reach_id, time, ssc_mg_l, longitude, latitude, simulated."""
    truth: Path
    """truth/<granule>/masks.tif and ssc.tif, truth/reaches.csv."""


def simulate_basin(
    out: Path | str,
    *,
    granules: int = 6,
    seed: int = 7,
    size: int = 3660,
    tile: str = TILE,
    start: date = START,
    progress: Callable[[str], object] | None = None,
) -> Basin:
    """Simulate a basin and write everything a run needs, and what it should find.

    Args:
        out: Folder for all files; made when missing. What an earlier simulation left there is replaced.
        granules: How many overpasses, L30 and S30 in turn, spread over a year.
        seed: The same seed gives the same files.
        size: Pixels of 30 m per side, from the tile's upper-left corner; 3660 is the whole tile.
        tile: MGRS tile whose grid and sun are used.
        start: Day of the first overpass.
        progress: Called with a line of text after each granule.

    Raises:
        InputError: No granules, a size that is no tile, or a folder with granules that were not simulated.
    """
    if granules < 1 or not 64 <= size <= 3660:
        raise InputError(f"cannot simulate: found granules={granules}, size={size}; wanted at least 1 and 64 to 3660")
    basin = _layout(Path(out))
    landscape = shape_land(corner(tile, size), tile=tile, seed=seed)
    vectors.write_reaches(landscape, basin.reaches)
    write_dem(landscape, basin.dem)
    dates, tables = spread(start, granules), []
    weathers = weather_of(dates, southern=landscape.southern)
    for number, (day, weather) in enumerate(zip(dates, weathers, strict=True)):
        passing = lit_overpass(landscape, day, PLATFORMS[number % len(PLATFORMS)])
        scene = observe(landscape, passing, weather)
        granule = write_granule(scene, basin.granules)
        tables.append(_write_truth(scene, basin.truth / granule.name))
        if progress is not None:
            progress(f"simulated {granule.name} ({weather.name})")
    pd.concat(tables).to_csv(basin.truth / "reaches.csv", index=False)
    sample(landscape, dates).to_csv(basin.insitu, index=False)
    return basin


def lit_overpass(landscape: Landscape, day: date, platform: str) -> Overpass:
    """The pass of a day, or of the first day some weeks later with the sun high enough for HLS to be made.

    Raises:
        InputError: There is no such day.
    """
    weeks = (day + timedelta(weeks=number) for number in range(27))
    passes = (overpass(landscape.tile, landscape.geobox, later, platform, landscape.seed) for later in weeks)
    lit = (one for one in passes if sun_over(landscape.geobox, one.sensed).zenith <= LOWEST_SUN)
    found = next(lit, None)
    if found is None:
        raise InputError(
            f"no sun over tile {landscape.tile}: found zenith above {LOWEST_SUN:.0f} all year, wanted less"
        )
    return found


def weather_of(dates: list[date], *, southern: bool = False) -> list[Weather]:
    """Weather of each day: the programme in turn, but WINTER on the day nearest to midwinter, if within six weeks."""
    cold = [wave(day, MIDWINTER, southern=southern) for day in dates]
    coldest = cold.index(max(cold)) if max(cold) > 0.75 else -1  # the cosine of six weeks
    turn = itertools.cycle(PROGRAMME)
    return [WINTER if number == coldest else next(turn) for number in range(len(dates))]


def _layout(folder: Path) -> Basin:
    basin = Basin(
        folder=folder,
        granules=folder / "granules",
        reaches=folder / "reaches.gpkg",
        dem=folder / "dem.tif",
        insitu=folder / "insitu.csv",
        truth=folder / "truth",
    )
    if (folder / NOTE).exists():
        shutil.rmtree(basin.granules, ignore_errors=True)
        shutil.rmtree(basin.truth, ignore_errors=True)
    elif basin.granules.exists():
        raise InputError(f"will not write into {basin.granules}: found granules without {NOTE}, wanted a new folder")
    basin.granules.mkdir(parents=True)
    basin.truth.mkdir()
    (folder / NOTE).write_text(f"SIMULATED: {SIMULATED}. Grids and sun are real, everything else is invented.\n")
    return basin


def write_dem(landscape: Landscape, path: Path) -> None:
    """Write the elevation of a landscape and of what lies about it, metres, as a GeoTIFF."""
    west, north = landscape.origin_m
    domain = GeoBox(landscape.dem_m.shape, Affine(30, 0, west, 0, -30, north), landscape.geobox.crs)
    write_raster(path, landscape.dem_m[None], domain, nodata=-9999, tags={"SIMULATED": SIMULATED}, descriptions=("m",))


def _write_truth(scene: Scene, folder: Path) -> pd.DataFrame:
    """Write masks.tif and ssc.tif of a granule; what its reaches truly carried."""
    folder.mkdir(parents=True, exist_ok=True)
    tags = {"SIMULATED": SIMULATED, "GRANULE": scene.passing.granule.name}
    box, masks = scene.landscape.geobox, truth.masks(scene)
    stack = np.where(masks.valid, masks.stack, 255).astype(np.uint8)
    names = tuple(mask.name.lower() for mask in Mask)
    write_raster(folder / "masks.tif", stack, box, nodata=255, tags=tags, descriptions=names)
    write_raster(folder / "ssc.tif", truth.ssc(scene)[None], box, nodata=np.nan, tags=tags, descriptions=("ssc_mg_l",))
    return truth.reaches(scene)
