"""Masks as files: what is written reads back as it was, on the granule's grid, with its own description."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox
from PIL import Image
from pyproj import Transformer

from ssc.bands import SIX
from ssc.errors import InputError
from ssc.granules import find, parse
from ssc.masks import Mask, Masks
from ssc.observation import Directions, TileFacts
from ssc.rasters import open_granule
from ssc.reaches import read_reaches
from tasks import stac
from tasks.maskers import open_masker
from tasks.predict import decode, encode, predict_granule
from tinymasker import write_card


@pytest.fixture(scope="module")
def masker(tmp_path_factory):
    thresholds = dict(zip(Mask, (0.2, 0.3, 0.35, 0.4, 0.25), strict=True))
    return open_masker(str(write_card(tmp_path_factory.mktemp("card"), thresholds=thresholds)))


@pytest.fixture(scope="module")
def predicted(basin, masker, tmp_path_factory):
    """A granule of 320 px, at the edge of a swath: (its observation, what was written)."""
    granules = find(basin.granules)
    with open_granule(granules[0]) as reader:
        observation = reader.read(SIX)
    out = tmp_path_factory.mktemp("out") / "new"
    reaches = read_reaches(basin.reaches)
    return observation, predict_granule(granules[0], out, masker=masker, probabilities=True, reaches=reaches)


def test_bits_are_the_masks_on_the_granules_grid(predicted, masker):
    observation, paths = predicted
    masks = masker(observation)
    with rasterio.open(paths["masks"]) as file, rasterio.open(observation.granule.href(SIX[0])) as band:
        assert (file.crs.to_epsg(), file.transform, file.shape) == (band.crs.to_epsg(), band.transform, band.shape)
        assert (file.count, file.dtypes, file.nodata) == (1, ("uint8",), 255)
        bits = file.read(1)
    assert masks.stack.any(axis=(1, 2)).sum() >= 3
    np.testing.assert_array_equal(bits == 255, ~masks.valid)
    for mask in Mask:
        np.testing.assert_array_equal((bits & (1 << mask) != 0) & (bits != 255), masks[mask])


def test_the_files_are_cloud_optimized_and_their_overviews_are_masks_too(predicted):
    for key in ("masks", "probabilities"):
        with rasterio.open(predicted[1][key]) as file:
            assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
            assert file.block_shapes[0] == (256, 256)
            assert file.overviews(1) == [2]
    with rasterio.open(predicted[1]["masks"]) as file:
        whole = set(np.unique(file.read(1)))
        assert set(np.unique(file.read(1, out_shape=(160, 160)))) <= whole


def test_tags_tell_what_the_bits_mean_and_who_said_so(predicted, masker):
    with rasterio.open(predicted[1]["masks"]) as file:
        tags = file.tags()
    flags = dict(zip(map(int, tags["flag_masks"].split()), tags["flag_meanings"].split(), strict=True))
    assert flags == {1: "water", 2: "cloud", 4: "cloud_shadow", 8: "snow_ice", 16: "terrain_shadow"}
    assert tags["masker"] == "tiny"
    assert tags["weights_sha256"] == masker.neural.card.sha256
    assert tags["thresholds"] == "water=0.2 cloud=0.3 cloud_shadow=0.35 snow_ice=0.4 terrain_shadow=0.25"
    assert tags["bands_used"] == "blue green red nir swir1 swir2"
    assert tags["granule"] == predicted[0].granule.name
    assert tags["version"]


def test_probabilities_read_back_within_half_a_step(predicted, masker):
    observation, paths = predicted
    with rasterio.open(paths["probabilities"]) as file:
        assert file.descriptions == ("water", "cloud", "cloud_shadow", "snow_ice", "terrain_shadow")
        assert file.nodata == 255
        values = file.read(masked=True) * file.scales[0]
    expected = masker.probabilities(observation)
    valid = observation.valid
    np.testing.assert_array_equal(np.ma.getmaskarray(values), np.broadcast_to(~valid, values.shape))
    assert np.abs(values.data[:, valid] - expected[:, valid]).max() <= 0.5 / 254 + 1e-6


def test_the_item_says_what_lies_where(predicted):
    observation, paths = predicted
    item = json.loads(paths["item"].read_text())
    assert (item["type"], item["stac_version"]) == ("Feature", "1.1.0")
    assert item["id"] == f"{observation.granule.name}.masks"
    assert item["properties"]["datetime"] == observation.facts.sensed.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert item["links"] == []
    assert set(item["assets"]) == {"masks", "probabilities", "quicklook"}
    for key, asset in item["assets"].items():
        assert (paths["item"].parent / asset["href"]).resolve() == paths[key].resolve()
        assert asset["type"]
        assert asset["roles"]
    asset = item["assets"]["masks"]
    with rasterio.open(paths["masks"]) as file:
        assert asset["proj:code"] == f"EPSG:{file.crs.to_epsg()}"
        assert asset["proj:shape"] == list(file.shape)
        assert asset["proj:transform"] == list(file.transform)[:6]
        assert asset["proj:bbox"] == list(file.bounds)
        corners = [file.transform @ (col, row) for row in (0, file.height) for col in (0, file.width)]
    names = [field["name"] for field in asset["classification:bitfields"]]
    assert names == ["water", "cloud", "cloud_shadow", "snow_ice", "terrain_shadow"]
    to_degrees = Transformer.from_crs(asset["proj:code"], "EPSG:4326", always_xy=True)
    outline = shapely.geometry.shape(item["geometry"])
    for lon, lat in (to_degrees.transform(*corner) for corner in corners):
        assert outline.exterior.distance(shapely.Point(lon, lat)) < 1e-5
    assert outline.exterior.is_ccw
    np.testing.assert_allclose(item["bbox"], outline.bounds, atol=1e-6)


def test_an_item_across_the_antimeridian_is_in_two_parts():
    """A tile of zone 60 whose eastern columns lie beyond 180."""
    facts = _facts(GeoBox((100, 4000), Affine(30, 0, 780_000, 0, -30, 200_000), "EPSG:32660"))
    made = stac.item(parse("HLS.L30.T60NXF.2021250T164512.v2.0"), facts, {}, {})
    west, south, east, north = made["bbox"]
    assert 179 < west < 180
    assert -180 < east < -179
    assert 1.7 < south < north < 1.9
    parts = shapely.get_parts(shapely.geometry.shape(made["geometry"]))
    assert len(parts) == 2
    assert all(part.exterior.is_ccw and abs(part.bounds[0]) <= 180 and part.bounds[2] <= 180 for part in parts)
    assert sum(part.bounds[2] - part.bounds[0] for part in parts) == pytest.approx(east + 360 - west, abs=1e-3)


def _facts(grid):
    return TileFacts(
        geobox=grid,
        block=(256, 256),
        directions=Directions(sun_zenith=30, sun_azimuth=150, view_zenith=5, view_azimuth=100),
        sensed=datetime(2021, 9, 7, 16, 45, 12, tzinfo=UTC),
        platform="L8",
        cloud_cover=6,
    )


def test_the_picture_is_one(predicted):
    with Image.open(predicted[1]["quicklook"]) as picture:
        assert picture.format == "PNG"
        assert picture.width > 3 * 320


def test_only_what_is_asked_for_is_written_and_nothing_else_stays(basin, masker, tmp_path):
    granule = find(basin.granules)[0]
    paths = predict_granule(granule, tmp_path, masker=masker, quicklook=False)
    assert set(paths) == {"masks", "item"}
    assert sorted(tmp_path.iterdir()) == sorted(paths.values())
    assert set(json.loads(paths["item"].read_text())["assets"]) == {"masks"}


def test_rules_give_masks_and_no_probabilities(basin, tmp_path):
    granule = find(basin.granules)[0]
    rules = open_masker("fmask")
    paths = predict_granule(granule, tmp_path, masker=rules, quicklook=False)
    with open_granule(granule) as reader:
        expected = rules(reader.read(SIX))
    with rasterio.open(paths["masks"]) as file:
        assert not {"weights_sha256", "bands_used"} & set(file.tags())
        np.testing.assert_array_equal(decode(file.read(1)).stack, expected.stack)
    with pytest.raises(InputError, match="no probabilities from fmask"):
        predict_granule(granule, tmp_path / "none", masker=rules, probabilities=True)
    assert not (tmp_path / "none").exists()


def test_encoding_goes_there_and_back():
    rng = np.random.default_rng(0)
    valid = rng.random((40, 30)) > 0.2
    masks = Masks(stack=(rng.random((5, 40, 30)) > 0.5) & valid, valid=valid)
    bits = encode(masks)
    assert bits.dtype == np.uint8
    back = decode(bits)
    np.testing.assert_array_equal(back.stack, masks.stack)
    np.testing.assert_array_equal(back.valid, masks.valid)
    assert encode(Masks(stack=np.ones((5, 1, 1), bool), valid=np.ones((1, 1), bool)))[0, 0] == 31
