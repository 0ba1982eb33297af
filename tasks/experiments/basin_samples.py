"""What one simulated overpass says of its reaches: through maskers, through the true masks, and with no sky at all.

The same reaches are sampled several times, each time with one trouble less:

    a masker's name    the pipeline: files read, masked by that masker, clear water aggregated
    TRUE_MASKS         the same files and rules, masks of the simulator
    SAME_PIXELS        the pixels used under the true masks, but with the colour of their water alone
    ALL_WATER          the same colour over all water of the reach, which are the pixels that its truth is taken over

The colour of the water alone is that of `ssc.simulate.optics`: no land in the pixel, no light from beside it, no haze,
glint, cloud, shade, calibration error or noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Final

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from ssc.aggregate import reach_samples
from ssc.bands import SIX
from ssc.clear import near_bank
from ssc.corridor import Corridor, draw_corridor
from ssc.flags import sample_flags
from ssc.granules import Granule
from ssc.masks import Mask, Masks
from ssc.observation import Observation, Reader, Window
from ssc.pixels import ReachPixels, State, fold_azimuth, gather_pixels
from ssc.rasters import open_granule
from ssc.reaches import Reaches
from ssc.regression import NAMES
from ssc.simulate import Scene, optics, truth
from ssc.simulate.scene import swath
from tasks.granule import read_corridor
from tasks.job import Job, Selection, open_reaches

TRUE_MASKS: Final = "true masks"
SAME_PIXELS: Final = "water alone, pixels used"
ALL_WATER: Final = "water alone, all water"
LEVELS: Final = (TRUE_MASKS, SAME_PIXELS, ALL_WATER)
"""What stands in the column `masks` beside the names of maskers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BasinFiles:
    """The files of a basin that are no granules."""

    reaches: str
    dem: str


def sample_granule(scene: Scene, granule: Granule, files: BasinFiles, maskers: Sequence[str]) -> pd.DataFrame:
    """Every reach of a granule's corridor, once per masker and level.

    Args:
        scene: What the granule was written from.
        granule: With its files.
        files: Reaches and elevation.
        maskers: Names, see `tasks.maskers`.

    Returns:
        Columns of `ssc.schema.SAMPLE`, and: masks (masker or level), reach_id, flags (`ssc.quality`, of the sample),
        granule, product, platform, acquisition, time, weather, ssc_true and ssc_true_mean (mg/L over all water of the
        reach, NaN without water), n_px_true, n_px_clear_true, width_m, longitude, latitude (middle of the reach).
    """
    jobs = {name: _job(files, name) for name in maskers}
    reaches, any_job = open_reaches(Selection(path=files.reaches)), next(iter(jobs.values()))
    with open_granule(granule, threads=1) as reader:
        corridor = draw_corridor(reaches, reader.facts.geobox, any_job.corridor)
        pixels = {name: read_corridor(job, reader, corridor) for name, job in jobs.items()}
        known = _under_true_masks(scene, reader, corridor, any_job)
        platform = reader.facts.platform
    rule = any_job.clear
    samples = {name: reach_samples(found, corridor, rule) for name, found in {**pixels, TRUE_MASKS: known}.items()}
    samples[SAME_PIXELS] = reach_samples(_recoloured(scene, known, corridor), corridor, rule)
    everywhere = replace(rule, erode_from_m=inf)  # no land shines into these pixels, so the bank is as good as the rest
    samples[ALL_WATER] = reach_samples(all_water(scene, known, corridor, any_job), corridor, everywhere)
    flagged = [
        table.assign(masks=name, flags=sample_flags(table, reaches.table.loc[table.index], rule))
        for name, table in samples.items()
    ]
    return _described(pd.concat(flagged).reset_index(), scene, reaches).assign(platform=platform)


def water_colour(scene: Scene) -> NDArray[np.float32]:
    """(6, H, W) reflectance of the water alone, in the order of `SIX`; NaN where there is none, even in part."""
    ground = scene.ground
    colour = np.full((len(SIX), *scene.landscape.shape), np.nan, dtype=np.float32)
    for plane, band in zip(colour, SIX, strict=True):
        plane.ravel()[ground.pixel] = optics.reflectance(band, ground.mineral, ground.organic)
    return colour


def all_water(scene: Scene, known: ReachPixels, corridor: Corridor, job: Job) -> ReachPixels:
    """The pixels that the truth of each reach is taken over, in the colour of their water, under an open sky.

    Args:
        scene: The overpass.
        known: Pixels of the same granule, for its grid and tile.
        corridor: Of the granule; reaches whose centreline is not on the tile are left out.
        job: For the erosion, which tells what `State.BANK` is.
    """
    ground, ids = scene.ground, scene.landscape.rivers.reaches["reach_id"].to_numpy()
    wet = (ground.water >= truth.COVERED) & (ground.reach >= 0) & swath(scene).ravel()[ground.pixel]
    wet[wet] &= np.isin(ids[ground.reach[wet]], corridor.reach_ids)
    pixel, count = ground.pixel[wet], int(wet.sum())
    row, col = np.divmod(pixel, scene.landscape.shape[1])
    affine, passing = scene.landscape.geobox.affine, scene.passing
    state = np.full(count, State.VALID | State.WATER | State.CLEAR, dtype=np.uint16)
    state[near_bank(_water_alone(scene), job.clear).ravel()[pixel]] |= np.uint16(State.BANK)
    turn = fold_azimuth(*np.array([[scene.sun.azimuth], [passing.view_azimuth]], dtype=np.float32))
    return ReachPixels(
        reach=np.searchsorted(corridor.reach_ids, ids[ground.reach[wet]]).astype(np.int32),
        node=np.full(count, -1, dtype=np.int32),
        channel=np.ones(count, dtype=bool),
        reflectance=water_colour(scene)[:, row, col],
        state=state,
        sun_zenith=np.full(count, scene.sun.zenith, dtype=np.float32),
        view_zenith=np.full(count, passing.view_zenith, dtype=np.float32),
        relative_azimuth=np.repeat(turn, count),
        easting=affine.c + affine.a * (col + 0.5),
        northing=affine.f + affine.e * (row + 0.5),
        epsg=known.epsg,
        tile=known.tile,
    )


def _job(files: BasinFiles, masker: str) -> Job:
    """Rules and masker of the pipeline; nothing is estimated here, so any regressor will do."""
    return Job(
        reaches=Selection(path=files.reaches), masker=masker, regressor=next(iter(NAMES)), dem=files.dem, threads=1
    )


def _under_true_masks(scene: Scene, reader: Reader, corridor: Corridor, job: Job) -> ReachPixels:
    """All corridor pixels, in the corridor's order, with the simulator's masks."""
    seen = reader.read(SIX)
    whole = Window.whole(scene.landscape.shape)
    return gather_pixels(seen, _true_masks(scene, seen), corridor, whole, reader.angles(), job.clear)


def _true_masks(scene: Scene, seen: Observation) -> Masks:
    masks = truth.masks(scene)
    valid = masks.valid & seen.valid
    return Masks(stack=masks.stack & valid, valid=valid)


def _water_alone(scene: Scene) -> Masks:
    masks = truth.masks(scene)
    stack = np.zeros_like(masks.stack)
    stack[Mask.WATER] = masks[Mask.WATER]
    return Masks(stack=stack, valid=masks.valid)


def _recoloured(scene: Scene, known: ReachPixels, corridor: Corridor) -> ReachPixels:
    """The same pixels and masks with the colour of the water alone: what is used stays, what it shows changes."""
    assert len(known) == corridor.row.size
    return replace(known, reflectance=water_colour(scene)[:, corridor.row, corridor.col])


def _described(table: pd.DataFrame, scene: Scene, reaches: Reaches) -> pd.DataFrame:
    """The samples with what is true of their reach, and where and when it was."""
    granule, passing = scene.passing.granule, scene.passing
    true = truth.reaches(scene).rename(columns={"ssc_median_mg_l": "ssc_true", "ssc_mean_mg_l": "ssc_true_mean"})
    told = true[["reach_id", "ssc_true", "ssc_true_mean", "n_px_true", "n_px_clear_true"]]
    middle = shapely.get_coordinates(shapely.line_interpolate_point(reaches.table.geometry, 0.5, normalized=True))
    place = reaches.table[["width_m"]].assign(longitude=middle[:, 0], latitude=middle[:, 1])
    joined = table.merge(told, on="reach_id", how="left").join(place, on="reach_id")
    counts = ["n_px_true", "n_px_clear_true"]
    joined[counts] = joined[counts].fillna(0).astype(np.int32)
    return joined.assign(
        granule=granule.name,
        product=granule.product.value,
        acquisition=pd.Timestamp(granule.acquired),
        time=pd.Timestamp(passing.sensed),
        weather=scene.weather.name,
    )
