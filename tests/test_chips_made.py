"""Chips that we make: simulated basins, real rivers under simulated skies, and the folder of all of them."""

import numpy as np
import pytest
import rasterio
from scipy import ndimage

from models.chips import ChipFolder
from models.packing import UNKNOWN
from scenes import scene
from ssc.bands import CODES, SIX, Band, Product
from ssc.errors import DataError, InputError
from ssc.masks import Mask
from ssc.simulate.sediment import HIGHEST
from ssc.simulate.seeds import stream
from ssc.simulate.weather import BROKEN, SWATH_EDGE, WINTER
from tasks.chips import rivers
from tasks.chips.build import Recipe, build
from tasks.chips.simulated import HIDDEN, LOWEST_SUN_DEG, TEST_TILES, TILES, cut, labels, random_scene, simulated_chips


@pytest.fixture(scope="session")
def river_folder(shared):
    return shared / "data" / "hls_l30_river_chips"


@pytest.mark.parametrize("weather", [BROKEN, WINTER, SWATH_EDGE], ids=lambda weather: weather.name)
def test_simulated_labels_are_the_truth_where_it_can_be_seen(weather):
    example = scene(seed=11, weather=weather)
    known, stack = labels(example.scene, rims=False), example.masks.stack
    told = known != UNKNOWN
    assert np.array_equal(known[told] == 1, stack[told])
    assert not told[:, ~example.masks.valid].any()
    hidden = example.scene.sky.opacity > HIDDEN
    assert not told[Mask.WATER][hidden].any()
    assert told[Mask.CLOUD][example.masks.valid].all()
    assert told[Mask.WATER][example.masks.valid & ~hidden].all()
    unlit = stack[Mask.TERRAIN_SHADOW] & ~stack[Mask.CLOUD]
    assert np.array_equal(told[Mask.CLOUD_SHADOW], example.masks.valid & ~unlit)


@pytest.mark.parametrize("weather", [BROKEN, WINTER], ids=lambda weather: weather.name)
def test_rims_are_one_pixel_of_cloud_and_one_of_doubt_and_touch_nothing_else(weather):
    example = scene(seed=11, weather=weather)
    plain, rimmed = (labels(example.scene, rims=rims) for rims in (False, True))
    others = [Mask.WATER, Mask.SNOW_ICE, Mask.TERRAIN_SHADOW]
    assert np.array_equal(plain[others], rimmed[others])
    cloud, shadow, lit = plain[Mask.CLOUD] == 1, example.masks[Mask.CLOUD_SHADOW], ~example.masks[Mask.TERRAIN_SHADOW]
    away = ndimage.distance_transform_cdt(~cloud, metric="chessboard")  # pixels to the nearest cloud
    assert (rimmed[Mask.CLOUD][away <= 1] == 1).all()
    assert (rimmed[Mask.CLOUD][away == 2] == UNKNOWN).all()
    assert (rimmed[Mask.CLOUD][away > 2] == 0).all()
    shadows = rimmed[Mask.CLOUD_SHADOW]
    assert (shadows[(away <= 1) & lit] == 0).all()
    assert (shadows[shadow & (away > 1) & lit] == 1).all()
    beside = ndimage.distance_transform_cdt(~shadow, metric="chessboard")
    assert (shadows[(beside == 1) & (away > 1)] == UNKNOWN).all()
    assert (shadows[(beside > 1) & (away > 1) & lit] == 0).all()


def test_a_basin_gives_the_same_chips_again_and_another_basin_others():
    first, again, other = (list(simulated_chips(seed, size=64, land=128, passes=2)) for seed in (21, 21, 22))
    assert len(first) == len(again) > 0
    for one, two in zip(first, again, strict=True):
        assert np.array_equal(one.reflectance, two.reflectance, equal_nan=True)
        assert np.array_equal(one.labels, two.labels)
    assert {chip.region for chip in first}.isdisjoint(chip.region for chip in other)
    assert all(chip.simulated and chip.reflectance.shape == (6, 64, 64) for chip in first)


def same_but_for_bands(chip, wide):
    """Whether a chip of all bands is the chip of six with planes added, bit for bit."""
    six = wide.reflectance[[wide.bands.index(band) for band in SIX]]
    pairs = [(chip.reflectance, six), (chip.labels, wide.labels), (chip.fmask, wide.fmask), (chip.ssc, wide.ssc)]
    told = ("product", "source", "region", "scene", "simulated")
    return all(one is two is None or one.tobytes() == two.tobytes() for one, two in pairs) and all(
        getattr(chip, name) == getattr(wide, name) for name in told
    )


def test_more_bands_leave_the_simulated_six_as_they_are_and_each_satellite_has_its_own():
    narrow, wide = (list(simulated_chips(34, size=64, land=128, passes=3, bands=bands)) for bands in (SIX, tuple(Band)))
    assert len(narrow) == len(wide) == 12
    assert all(map(same_but_for_bands, narrow, wide))
    assert {chip.product for chip in wide} == set(Product)
    for chip in wide:
        seen = {band for band, plane in zip(chip.bands, chip.reflectance, strict=True) if np.isfinite(plane).any()}
        assert seen == set(CODES[chip.product])


def test_the_red_edge_of_simulated_plants_lies_between_red_and_near_infrared():
    edge = (Band.RED, Band.RED_EDGE1, Band.RED_EDGE2, Band.RED_EDGE3, Band.NIR)
    land = scene(seed=11, platform="S2A")
    chip = next(cut(land.scene, 256, region="basin 11", bands=(*SIX, *edge[1:4])))
    clear = np.isfinite(chip.reflectance).all(axis=0) & (land.scene.sky.opacity < 0.01) & ~land.masks[Mask.WATER]
    plants = clear & (chip.reflectance[SIX.index(Band.NIR)] > 3 * chip.reflectance[SIX.index(Band.RED)])
    spectrum = [float(chip.reflectance[chip.bands.index(band)][plants].mean()) for band in edge]
    assert plants.sum() > 1000
    assert np.all(np.diff(spectrum) > 0)


def test_more_bands_leave_river_chips_as_they_are_and_add_coastal(river_folder):
    for number in (4, 52):
        how = {"skies": 2, "seed": 5, "size": 160}
        narrow, wide = (list(rivers.river_chips(river_folder, number, **how, bands=b)) for b in (SIX, tuple(Band)))
        assert len(narrow) == len(wide) == 3
        assert all(map(same_but_for_bands, narrow, wide))
        with rasterio.open(river_folder / "images" / f"{number:03d}.tif") as image:
            coastal = image.read(1) * np.float32(1e-4)
        for chip in wide:
            there = np.isfinite(chip.reflectance).any(axis=(1, 2))
            assert {band for band, seen in zip(chip.bands, there, strict=True) if seen} == {Band.COASTAL, *SIX}
        own, *skied = (chip.reflectance[wide[0].bands.index(Band.COASTAL), :128, :128] for chip in wide)
        assert np.array_equal(own, coastal)
        assert all((seen != coastal).any() for seen in skied)


def test_chips_of_a_scene_cover_it_edge_to_edge():
    example = scene(seed=11, weather=BROKEN)
    parts = list(cut(example.scene, 128, region="basin 11"))
    rows = [np.concatenate([part.reflectance for part in parts[i : i + 2]], axis=2) for i in (0, 2)]
    assert np.array_equal(np.concatenate(rows, axis=1), example.observation.reflectance)


def test_the_sun_stands_where_hls_has_scenes_and_rivers_get_very_turbid():
    made = [random_scene(40 + n, 128, "06WVS", stream(n, "a test")) for n in range(12)]
    assert max(scene.sun.zenith for scene in made) <= LOWEST_SUN_DEG
    assert max(scene.load.ssc.max() for scene in made) > HIGHEST  # which no river of the simulator's own reaches
    assert set(TEST_TILES).isdisjoint(TILES)


def test_river_chips_for_tests_stay_out_of_training(river_folder, tmp_path):
    counts = build(tmp_path / "chips", Recipe(rivers=river_folder, skies=1, size=128))
    index = ChipFolder(tmp_path / "chips").index
    number = index["region"].str.removeprefix("river chip ").astype(int)
    assert set(number[index["split"] == "test"]) == {n for n in rivers.numbers(river_folder) if n % 5 == 1}
    assert set(number[index["split"] != "test"]).isdisjoint(number[index["split"] == "test"])
    assert counts == {
        f"{source}, {split}": n for (source, split), n in index.groupby(["source", "split"]).size().items()
    }
    real = index[index["source"] == rivers.SOURCE]
    assert not real["simulated"].any()
    assert index[index["source"] == rivers.SKY_SOURCE]["simulated"].all()
    assert set(index[index["source"] == rivers.SKY_SOURCE]["split"]) == {"train"}


def test_water_of_a_good_chip_is_its_label_and_of_a_bad_one_what_two_agree_on(river_folder):
    seen = {"good": 0, "bad": 0}
    for number in rivers.numbers(river_folder)[:40]:
        raw = rivers.read_river_chip(river_folder, number)
        known = rivers.partial_labels(raw)[Mask.WATER]
        valid = np.isfinite(raw.reflectance).all(axis=0)
        told = known != UNKNOWN
        assert np.array_equal(known[told] == 1, raw.water[told])
        green, swir = raw.reflectance[SIX.index(Band.GREEN)], raw.reflectance[SIX.index(Band.SWIR1)]
        with np.errstate(divide="ignore", invalid="ignore"):
            index = (green - swir) / (green + swir) > 0.124
        if (told == valid).all():
            seen["good"] += 1
        else:
            seen["bad"] += 1
            assert (index == raw.water)[told].all()
    assert min(seen.values()) > 3


def test_a_simulated_sky_changes_what_it_covers_and_nothing_else(river_folder):
    raw = rivers.read_river_chip(river_folder, 52)
    known = rivers.partial_labels(raw)
    cloudy = 0
    for number in range(12):
        seen, told = rivers.under_sky(raw.reflectance, known, stream(5, "sky", number))
        cloud, shadow, snow = (told[mask] == 1 for mask in (Mask.CLOUD, Mask.CLOUD_SHADOW, Mask.SNOW_ICE))
        if snow.sum() > (known[Mask.SNOW_ICE] == 1).sum():
            continue
        core = ndimage.binary_erosion(cloud, np.ones((3, 3)))  # without the rim, which is next to a cloud, not under it
        cloudy += bool(core.sum() > 100)
        blue, swir = SIX.index(Band.BLUE), SIX.index(Band.SWIR1)
        dark = shadow & (raw.reflectance[swir] > 0.1)
        assert (seen[swir] < raw.reflectance[swir])[dark].all()
        assert np.count_nonzero((seen[blue] > raw.reflectance[blue] + 0.01)[core]) >= 0.9 * core.sum()
        assert not (cloud & shadow).any()
        assert np.array_equal(
            told[Mask.WATER][told[Mask.WATER] != UNKNOWN], known[Mask.WATER][told[Mask.WATER] != UNKNOWN]
        )
    assert cloudy >= 3


def test_what_is_wrong_with_river_chips_is_said(tmp_path, river_folder):
    with pytest.raises(InputError, match="no river chips in"):
        rivers.numbers(tmp_path)
    with pytest.raises(DataError, match=r"river chip 9999 in .*cannot be read"):
        rivers.read_river_chip(river_folder, 9999)


def test_a_recipe_without_anything_or_half_a_pair_is_refused(tmp_path):
    with pytest.raises(InputError, match="nothing to make chips of"):
        build(tmp_path / "a", Recipe())
    with pytest.raises(InputError, match="found one of the two"):
        build(tmp_path / "b", Recipe(basins=1, dswx=tmp_path))
    with pytest.raises(InputError, match="no swir1 swir2"):
        build(tmp_path / "c", Recipe(basins=1, bands=SIX[:4]))
    with pytest.raises(InputError, match="labelled by DSWx have the bands"):
        build(tmp_path / "d", Recipe(granules=("g",), dswx=tmp_path, bands=tuple(Band)))
    assert list(tmp_path.iterdir()) == []


def test_one_folder_holds_chips_of_all_bands(river_folder, tmp_path):
    build(tmp_path / "chips", Recipe(rivers=river_folder, skies=0, size=128, bands=tuple(Band)))
    folder = ChipFolder(tmp_path / "chips")
    assert folder.bands == tuple(Band)
    assert folder.reflectance.shape[1:] == (13, 128, 128)
    raw = rivers.read_river_chip(river_folder, int(folder.index["region"][0].removeprefix("river chip ")))
    kept = folder[0].reflectance
    assert np.allclose(kept[0], raw.coastal, atol=1e-6, equal_nan=True)
    assert np.isnan(kept[folder.bands.index(Band.CIRRUS)]).all()


def test_basins_for_tests_are_all_in_the_split_test(tmp_path):
    told = []
    counts = build(tmp_path / "c", Recipe(basins=2, seed=70, testing=True), report=lambda *facts: told.append(facts))
    assert set(counts) == {"simulated, test"}
    assert told == [("simulated basins", 0, 2)]  # told once for every few basins that are made at the same time
    assert len(ChipFolder(tmp_path / "c").split("test")) == counts["simulated, test"]
