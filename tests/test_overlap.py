"""Two tiles of one overpass: a reach that lies on both is one row, made of each ground pixel once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio

from flows.engine import Engine, run_estimate
from ssc.bands import Band
from ssc.corridor import draw_corridor
from ssc.granules import Granule, find
from ssc.rasters import open_granule
from ssc.reaches import read_reaches
from ssc.results import open_store

SHARED = 32
"""Columns that both tiles cut from a simulated one hold."""
NUMBERS = ["ssc", "n_px_channel", "n_px_valid", "n_px_water", "n_px_clear", "n_px_used", "red_med", "nir_p90", "ndti"]

MASKER = {"masker": "legacy-dswx"}
"""Judges each pixel by itself: cuts change nothing."""


def cut(granule: Granule, columns: slice, tile: str, folder: Path) -> None:
    """Write some columns of a granule as a granule of another tile."""
    folder.mkdir(parents=True)
    for path in map(Path, granule.hrefs.values()):
        with rasterio.open(path) as file:
            grid, profile, tags = file.transform, file.profile, file.tags()
            pixels = file.read()[:, :, columns]
            moved = rasterio.Affine(grid.a, 0, grid.c + grid.a * columns.start, 0, grid.e, grid.f)
            profile |= {"width": pixels.shape[2], "transform": moved, "driver": "GTiff"}
            name = path.name.replace(f".T{granule.tile}.", f".T{tile}.")
            with rasterio.open(folder / name, "w", **profile) as out:
                out.scales, out.offsets = file.scales, file.offsets
                out.update_tags(**tags)
                out.write(pixels)


@pytest.fixture(scope="module")
def whole(basin, tmp_path_factory):
    """One clear granule, uncut: its rows."""
    store = tmp_path_factory.mktemp("whole") / "store"
    granule = next(granule for granule in find(basin.granules) if granule.product == "S30")
    return granule, rows_of(store, [Path(granule.href(Band.RED)).parent], basin)


@pytest.fixture(scope="module")
def halves(whole, basin, tmp_path_factory):
    folder, start = tmp_path_factory.mktemp("halves"), across_a_reach(whole[0], basin)
    cut(whole[0], slice(0, start + SHARED), "13TDM", folder / "west")
    cut(whole[0], slice(start, None), "13TEM", folder / "east")
    return folder


def across_a_reach(granule: Granule, basin) -> int:
    """A column from which the shared strip lies across the middle of a reach; whole cells of the angle grid."""
    with open_granule(granule) as reader:
        corridor = draw_corridor(read_reaches(basin.reaches), reader.facts.geobox)
    extents = [np.percentile(corridor.col[corridor.reach == i], (20, 80)) for i in range(len(corridor.reach_ids))]
    crossed = {c: sum(west < c and c + SHARED < east for west, east in extents) for c in range(48, 256, 16)}
    return max(crossed, key=crossed.__getitem__)


def rows_of(store, paths, basin) -> pd.DataFrame:
    parameters = {"granules": [str(path) for path in paths], "reaches": str(basin.reaches), "store": str(store)}
    parameters |= {"settings": MASKER}
    assert run_estimate(parameters, Engine.LOCAL).exit_code == 0
    return open_store(store).query().set_index("reach_id")


def test_pooled_tiles_equal_the_uncut_granule(whole, halves, basin, tmp_path):
    expected = whole[1]
    found = rows_of(tmp_path / "store", [halves / "west", halves / "east"], basin)
    assert found.index.tolist() == expected.index.tolist()
    assert (found["tile_ids"].map(len) == 2).any(), "no reach lies on both tiles: the test shows nothing"
    for name in NUMBERS:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, err_msg=name)
    np.testing.assert_allclose(found["reach_share"], expected["reach_share"], atol=1e-5)


def test_order_of_arrival_does_not_count(halves, basin, tmp_path):
    """Today one tile, tomorrow the other beside it: the table ends the same, whichever came first."""
    both = rows_of(tmp_path / "both", [halves / "west", halves / "east"], basin)
    for number, order in enumerate((["west"], ["east"])):
        store = tmp_path / f"store{number}"
        rows_of(store, [halves / name for name in order], basin)
        late = rows_of(store, [halves / "west", halves / "east"], basin)
        pd.testing.assert_frame_equal(late, both)


def test_a_broken_partner_costs_its_own_pixels_only(halves, basin, tmp_path):
    (tmp_path / "in").mkdir()
    for side in ("west", "east"):
        target = tmp_path / "in" / side
        target.mkdir()
        for file in (halves / side).iterdir():
            (target / file.name).write_bytes(file.read_bytes())
    red = next((tmp_path / "in" / "east").glob("*.B04.tif"))
    sound = red.read_bytes()
    red.write_bytes(sound[: len(sound) // 2])
    parameters = {"granules": [str(tmp_path / "in")], "reaches": str(basin.reaches), "store": str(tmp_path / "store")}
    parameters |= {"settings": MASKER}
    summary = run_estimate(parameters, Engine.LOCAL)
    assert summary.exit_code == 3
    assert list(summary.set_aside) == [red.name.removesuffix(".B04.tif")]
    west = open_store(tmp_path / "store").query()
    assert len(west) > 0
    assert west["tile_ids"].map(list).tolist() == [["13TDM"]] * len(west)

    red.write_bytes(sound)
    mended = rows_of(tmp_path / "store", [tmp_path / "in"], basin)
    pd.testing.assert_frame_equal(mended, rows_of(tmp_path / "fresh", [tmp_path / "in"], basin))
