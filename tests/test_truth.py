"""Aggregation on simulated granules whose masks and sediment are known: it must give back what is true."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
from pyproj import Transformer
from scipy import ndimage

from flows.engine import Engine, run_estimate
from ssc.aggregate import reach_samples, used_pixels
from ssc.bands import SIX, Layer
from ssc.clear import ClearWaterRule
from ssc.corridor import draw_corridor
from ssc.granules import find
from ssc.ledger import Status
from ssc.masks import Mask, Masks
from ssc.pixels import gather_pixels, pool
from ssc.rasters import open_granule
from ssc.reaches import read_reaches
from ssc.results import open_store
from tiny import write_reach

RULE = ClearWaterRule()


class TruthMasker:
    """Says what the simulator knows."""

    name, halo = "truth", 0

    def __init__(self, truth: Path) -> None:
        self.truth = truth

    def __call__(self, observation) -> Masks:
        with rasterio.open(self.truth / observation.granule.name / "masks.tif") as file:
            stack = file.read()[(slice(None), *observation.window.slices)]
        valid = (stack[0] != 255) & observation.valid
        return Masks(stack=(stack == 1) & valid, valid=valid)


@pytest.fixture(scope="module")
def sampled(basin):
    """(granule, corridor, pixels, samples) of every granule, with true masks."""
    masker, reaches, found = TruthMasker(basin.truth), read_reaches(basin.reaches), []
    for granule in find(basin.granules):
        with open_granule(granule) as reader:
            grid = reader.facts.geobox
            corridor, angles = draw_corridor(reaches, grid), reader.angles()
            parts = []
            for core in corridor.windows(reader.facts.block, RULE.halo):
                seen = reader.read(SIX, core.padded(RULE.halo, tuple(grid.shape)))
                parts.append(gather_pixels(seen, masker(seen), corridor, core, angles, RULE))
            pixels = pool(parts)
        found.append((granule, corridor, pixels, reach_samples(pixels, corridor, RULE)))
    return found


def layer(path: str | Path) -> np.ndarray:
    with rasterio.open(path) as file:
        return file.read()


def slow_used(masks: np.ndarray, eroded: bool) -> np.ndarray:
    """Clear water away from clouds and, if asked, from the bank: scipy's morphology on the whole tile."""
    known = masks[0] != 255
    there = (masks == 1) & known
    cloudy = there[Mask.CLOUD] | there[Mask.CLOUD_SHADOW]
    clear = there[Mask.WATER] & ~there[Mask.CLOUD :].any(axis=0)
    away = clear & ~ndimage.binary_dilation(cloudy, np.ones((5, 5)))
    bank = ndimage.binary_dilation(~(there[Mask.WATER] | cloudy), np.ones((3, 3)))
    bank[[0, -1]], bank[:, [0, -1]] = True, True
    return away & ~bank if eroded else away


def test_medians_and_counts_equal_a_slow_reading_of_the_files(basin, sampled):
    compared = 0
    for granule, corridor, _, samples in sampled:
        masks = layer(basin.truth / granule.name / "masks.tif")
        bands = np.concatenate([layer(granule.href(band)) for band in SIX]).astype(float)
        bad = (bands < -2000).any(axis=0) | (layer(granule.href(Layer.FMASK))[0] == 255)
        masks[:, bad] = 255
        bands[:, (bands > 12000).any(axis=0)] = np.nan
        for number, reach_id in enumerate(corridor.reach_ids):
            mine = corridor.reach == number
            place = np.zeros(masks.shape[1:], dtype=bool)
            place[corridor.row[mine], corridor.col[mine]] = True
            measured = place & np.isfinite(bands).all(axis=0)
            wide = corridor.width_m[number] >= RULE.erode_from_m
            used = measured & slow_used(masks, eroded=wide)
            if wide and used.sum() < RULE.least_px <= (measured & slow_used(masks, eroded=False)).sum():
                used = measured & slow_used(masks, eroded=False)
            row = samples.loc[reach_id]
            assert row["n_px_used"] == used.sum()
            if used.any():
                medians = np.median(bands[:, used], axis=1) * 1e-4
                np.testing.assert_allclose([row[f"{band.value}_med"] for band in SIX], medians, atol=1e-6)
                compared += 1
    assert compared >= 20


def test_sediment_at_the_used_pixels_is_the_reachs_sediment(basin, sampled):
    """Which pixels are used must not bias what a reach carries."""
    truth = pd.read_csv(basin.truth / "reaches.csv", comment="#").set_index(["granule", "reach_id"])
    errors = []
    for granule, corridor, pixels, samples in sampled:
        ssc = layer(basin.truth / granule.name / "ssc.tif")[0]
        used = used_pixels(pixels, corridor, RULE)
        with rasterio.open(granule.href(SIX[0])) as file:
            rows, cols = rasterio.transform.rowcol(file.transform, pixels.easting[used], pixels.northing[used])
        carried = pd.Series(ssc[rows, cols]).groupby(corridor.reach_ids[pixels.reach[used]]).median()
        good = samples.index[samples["n_px_used"] >= RULE.good_px]
        errors += [carried[i] / truth.loc[(granule.name, i), "ssc_median_mg_l"] for i in good]
    assert len(errors) >= 20
    assert abs(np.log(np.median(errors))) < 0.02
    assert np.mean(np.abs(np.log(errors)) < 0.10) >= 0.9


@pytest.mark.parametrize("beyond_km", [0, 2, 7.6, 7.8, 20])
def test_nodes_outside_the_tile_never_cost_a_granule(basin, tmp_path, beyond_km):
    """The predecessor lost every granule with a node more than 7.68 km outside its tile."""
    granule = find(basin.granules)[0]
    reach = read_reaches(basin.reaches).table.iloc[0]
    with rasterio.open(granule.href(SIX[0])) as file:
        crs, left, middle = file.crs, file.bounds.left, (file.bounds.top + file.bounds.bottom) / 2
    lon, lat = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(left - 1000 * beyond_km, middle)
    line = [*reach.geometry.coords, (lon, lat)]
    path = write_reach(tmp_path / "reaches.geojson", line, reach_id=int(reach.name), width_m=float(reach.width_m))
    folder = str(Path(granule.href(SIX[0])).parent)
    parameters = {"granules": [folder], "reaches": str(path), "store": str(tmp_path / "store")}
    summary = run_estimate(parameters, Engine.LOCAL)
    assert summary.statuses == {Status.ESTIMATED: 1}
    row = open_store(tmp_path / "store").query().iloc[0]
    assert row["reach_share"] < 1
    assert row["n_nodes"] > 0
