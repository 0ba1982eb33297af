"""The simulator's files: are they HLS, do they say that they are not real, and does reading give back what was true?"""

from __future__ import annotations

import csv
import hashlib
import re
from datetime import timedelta

import numpy as np
import pandas as pd
import pyogrio
import pytest
import rasterio
from scipy import ndimage

from scenes import scene
from ssc.bands import CODES, SIX, Band, Layer, Product
from ssc.corridor import draw_corridor
from ssc.errors import GranuleNameError, InputError
from ssc.granules import find, parse
from ssc.masks import Mask
from ssc.rasters import open_granule
from ssc.reaches import read_reaches
from ssc.simulate import simulate_basin
from ssc.simulate.basin import NOTE
from ssc.simulate.insitu import LAB_ERROR
from ssc.simulate.weather import CLEAR, SWATH_EDGE
from ssc.simulate.writer import to_int16, write_granule
from ssc.tiles import tile_geobox

SIZE = 300


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return simulate_basin(tmp_path_factory.mktemp("made"), granules=6, seed=3, size=SIZE)


def tags_of(shared, product):
    """Tag names of a real Fmask file of this product."""
    with (shared / "reference" / "legacy" / "hls_fmask_tags.csv").open() as file:
        rows = list(csv.DictReader(file))
    column = next(name for name in rows[0] if name.startswith(product.value))
    return {row["tag"] for row in rows if row[column]}


def header(path):
    with rasterio.open(path) as data:
        return data.profile, data.tags(), data.scales[0], data.descriptions[0], data.overviews(1)


# Names and headers


def test_granules_alternate_and_are_complete(made):
    granules = sorted(find(made.granules), key=lambda granule: granule.acquired)
    assert [granule.product for granule in granules] == [Product.L30, Product.S30] * 3
    for granule in granules:
        assert parse(granule.name) == granule
        assert set(granule.hrefs) == {*CODES[granule.product], *Layer}
        files = list((made.granules / granule.name).iterdir())
        assert len(files) == (15 if granule.product is Product.L30 else 18)
        assert all(file.name.startswith(granule.name + ".") for file in files)


def test_headers_are_those_of_real_files(made, shared):
    real_folder = shared / "data" / "hls_v20_fmask_tiles"
    real, _, _, _, overviews = header(real_folder / "HLS.S30.T13RCN.2024128T173909.v2.0.Fmask.tif")
    for granule in find(made.granules):
        profile, tags, _, _, levels = header(granule.href(Layer.FMASK))
        for key in (
            "driver",
            "dtype",
            "nodata",
            "count",
            "blockxsize",
            "blockysize",
            "tiled",
            "compress",
            "interleave",
        ):
            assert profile[key] == real[key]
        assert levels == overviews
        assert set(tags) - tags_of(shared, granule.product) == {"SIMULATED"}
        assert tags_of(shared, granule.product) - set(tags) == set()
        assert profile["crs"].to_epsg() == 32613


def test_band_headers_are_those_of_a_real_band(made, shared):
    real, real_tags, scale, _, _ = header(
        shared / "data" / "hls_v20_truncated" / "HLS.S30.T35VLJ.2021168T100559.v2.0.B01.tif"
    )
    granule = next(granule for granule in find(made.granules) if granule.product is Product.S30)
    profile, tags, our_scale, text, _ = header(granule.href(Band.COASTAL))
    assert (profile["dtype"], profile["nodata"], our_scale) == (real["dtype"], real["nodata"], scale)
    assert text == tags["long_name"] == real_tags["long_name"]
    assert set(tags) == {*real_tags, "SIMULATED"}


def test_angle_layers_are_hundredths_with_their_own_fill(made):
    granule = find(made.granules)[-1]
    profile, tags, scale, _, _ = header(granule.href(Layer.SUN_ZENITH))
    assert (profile["dtype"], profile["nodata"], scale) == ("uint16", 40000, pytest.approx(0.01))
    with rasterio.open(granule.href(Layer.SUN_ZENITH)) as data:
        numbers = data.read(1)
    assert numbers[numbers != 40000].mean() / 100 == pytest.approx(float(tags["MEAN_SUN_ZENITH_ANGLE"]), abs=0.01)


def test_the_name_of_s30_is_the_datatake_not_the_sensing(made):
    for granule in find(made.granules):
        with open_granule(granule) as reader:
            lead = reader.facts.sensed - granule.acquired
            assert reader.facts.platform in {"L8", "L9", "S2A", "S2B"}
        limits = (0, 1) if granule.product is Product.L30 else (8 * 60, 17 * 60 + 1)
        assert timedelta(seconds=limits[0]) <= lead <= timedelta(seconds=limits[1])


def test_everything_says_that_it_is_simulated(made):
    for path in made.folder.rglob("*.tif"):
        with rasterio.open(path) as data:
            assert data.tags()["SIMULATED"].startswith("yes")
    for path in (made.insitu, made.truth / "reaches.csv"):
        assert pd.read_csv(path)["simulated"].all()
    assert (pyogrio.read_dataframe(made.reaches, layer="reaches")["simulated"] == 1).all()
    assert "SIMULATED" in (made.folder / NOTE).read_text()


# Reading back


def test_files_hold_what_the_scene_in_memory_shows(tmp_path):
    for example in (scene(7, SIZE, CLEAR, "S2A"), scene(7, SIZE, SWATH_EDGE)):
        with open_granule(write_granule(example.scene, tmp_path)) as reader:
            read = reader.read()
            angles = reader.angles()
            facts = reader.facts
        np.testing.assert_array_equal(read.reflectance, example.observation.reflectance)
        np.testing.assert_array_equal(read.fmask, example.observation.fmask)
        assert facts.sensed == example.scene.passing.sensed
        assert facts.cloud_cover == example.observation.facts.cloud_cover
        seen = np.isfinite(angles.sun_azimuth)
        np.testing.assert_allclose(angles.sun_azimuth[seen], example.angles.sun_azimuth[seen], atol=0.02)


def test_integers_are_rounded_as_hls_rounds():
    values = np.array([0.00005, -0.00005, 0.12344, -0.2, -0.2001, np.nan, 1.5], np.float32)
    assert to_int16(values).tolist() == [1, 0, 1234, -2000, -9999, -9999, 15000]


def test_truth_of_reaches_is_that_of_the_rasters(made):
    """The median over the corridor's channel, drawn from the reach file alone, is the reach's truth within 5 %."""
    table = pd.read_csv(made.truth / "reaches.csv")
    reaches = read_reaches(made.reaches)
    name = table["granule"].iloc[0]
    with rasterio.open(made.truth / name / "ssc.tif") as data:
        ssc = data.read(1)
    corridor = draw_corridor(reaches, scene(3, SIZE).observation.facts.geobox)
    compared = 0
    for row in table[(table["granule"] == name) & (table["n_px_true"] > 100)].itertuples():
        index = np.flatnonzero(corridor.reach_ids == row.reach_id)[0]
        inside = (corridor.reach == index) & corridor.channel
        drawn = np.nanmedian(ssc[corridor.row[inside], corridor.col[inside]])
        assert drawn == pytest.approx(row.ssc_median_mg_l, rel=0.05)
        compared += 1
    assert compared >= 2


def test_truth_masks_on_disk(made):
    for granule in find(made.granules):
        with rasterio.open(made.truth / granule.name / "masks.tif") as data:
            stack = data.read()
            assert data.nodata == 255
            assert data.descriptions == tuple(mask.name.lower() for mask in Mask)
        with rasterio.open(made.truth / granule.name / "ssc.tif") as data:
            assert (np.isfinite(data.read(1)) == (stack[Mask.WATER] == 1)).all()
        assert set(np.unique(stack)) <= {0, 1, 255}


def test_samples_are_near_the_truth_of_their_reach(made):
    samples, truth = pd.read_csv(made.insitu), pd.read_csv(made.truth / "reaches.csv")
    on_day = truth.assign(day=truth["time"].str[:10])
    pairs = on_day.merge(samples.assign(day=samples["time"].str[:10]), on=["reach_id", "day"])
    pairs = pairs[pairs["n_px_true"] > 100]
    assert len(pairs) >= 10
    error = np.log(pairs["ssc_mg_l"] / pairs["ssc_median_mg_l"])
    assert error.abs().max() < 5 * LAB_ERROR
    assert error.std() > LAB_ERROR / 3
    assert samples["time"].map(lambda text: bool(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", text))).all()


def test_reach_file_reads_as_sword(made):
    reaches = read_reaches(made.reaches)
    assert (reaches.table["kind"] == 1).all()
    assert (reaches.table["width_m"] > 20).all()
    assert set(reaches.nodes["reach_id"]) == set(reaches.ids)
    lines = pyogrio.read_dataframe(made.reaches, layer="reaches").set_index("reach_id")
    ends = {reach_id: (line.coords[0], line.coords[-1]) for reach_id, line in lines.geometry.items()}
    for reach_id, below in lines["rch_id_dn"].items():
        if below:  # drawn upstream: starts where the reach below ends
            gap = np.subtract(ends[reach_id][0], ends[int(below)][1])
            assert np.hypot(*gap) < 0.001


def test_dem_covers_the_tile_and_its_surroundings(made):
    with rasterio.open(made.dem) as data:
        box, dem = data.bounds, data.read(1)
    tile = tile_geobox("13TDM").boundingbox
    assert box.left <= tile.left - 3000
    assert box.top >= tile.top + 3000
    assert np.isfinite(dem).all()
    assert np.ptp(dem) > 200


# Determinism and refusals


def digest(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_same_seed_same_bytes_other_seed_other_bytes(tmp_path):
    one, two, other = (
        simulate_basin(tmp_path / str(n), granules=2, seed=seed, size=128) for n, seed in enumerate((5, 5, 6))
    )
    assert digest(one.folder) == digest(two.folder)
    names = set(digest(one.folder)) & set(digest(other.folder))
    same = {name for name in names if digest(one.folder)[name] == digest(other.folder)[name]}
    assert same == {NOTE}


def test_a_second_simulation_replaces_the_first_but_never_real_granules(tmp_path):
    simulate_basin(tmp_path / "out", granules=2, seed=5, size=128)
    simulate_basin(tmp_path / "out", granules=1, seed=6, size=128)
    assert len(find(tmp_path / "out")) == 1
    (tmp_path / "real" / "granules").mkdir(parents=True)
    with pytest.raises(InputError, match=r"will not write into .*real"):
        simulate_basin(tmp_path / "real", granules=1, seed=5, size=128)


def test_southern_and_polar_tiles(tmp_path):
    south = simulate_basin(tmp_path / "south", granules=1, seed=5, size=128, tile="19LBJ")
    with open_granule(find(south.granules)[0]) as reader:
        assert reader.facts.geobox.boundingbox.top == -1099980
    north = simulate_basin(tmp_path / "north", granules=2, seed=5, size=128, tile="06WVS")
    for granule in find(north.granules):
        with open_granule(granule) as reader:
            assert reader.facts.directions.sun_zenith <= 76.1


def test_refuses_what_is_no_basin(tmp_path):
    with pytest.raises(InputError, match="granules=0"):
        simulate_basin(tmp_path, granules=0)
    with pytest.raises(InputError, match="size=4000"):
        simulate_basin(tmp_path, size=4000)
    with pytest.raises(GranuleNameError, match="nowhere"):
        simulate_basin(tmp_path / "tile", size=128, tile="nowhere")


def test_six_bands_cover_the_river(made):
    """What the pipeline will meet: in a clear granule the river is dark in SWIR and brighter in red than in NIR."""
    clear = next(granule for granule in find(made.granules) if ".2024187T" in granule.name)
    with open_granule(clear) as reader:
        seen = reader.read(SIX)
    with rasterio.open(made.truth / clear.name / "masks.tif") as data:
        water = ndimage.binary_erosion(data.read(1) == 1, iterations=2)
    median = {band: np.median(seen.band(band)[water]) for band in SIX}
    assert median[Band.RED] > median[Band.NIR] > median[Band.SWIR1] - 0.01
    assert median[Band.SWIR1] < 0.05
