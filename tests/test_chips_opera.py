"""Chips from HLS and OPERA DSWx-HLS: a real product of version 0.1, simulated granules spelled in every version."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio

from models.chip_writer import ChipWriter
from models.chips import ChipFolder, split_of
from models.packing import UNKNOWN
from scenes import scene
from ssc.bands import SIX, Band, Layer, Product
from ssc.errors import InputError
from ssc.granules import find, parse
from ssc.legacy import dswx
from ssc.masks import Mask
from ssc.rasters import open_granule
from ssc.simulate.weather import SWATH_EDGE, WINTER
from ssc.simulate.writer import write_granule as write_scene
from tasks.chips.opera import SetAside, write_opera_chips
from tiny import L30, S30, SOUTHERN, tiling, write_granule

CROP = "data/hls_s30_t15sxr"
BANDS = {"WTR": 1, "BWTR": 2, "CONF": 3, "WTR-1": 5, "SHAD": 8, "CLOUD": 9}
VERSIONS = ("1.0", "1.1", "0.0", "0.1")


def small_granule(folder, name=S30):
    """A granule of 64 px with no more files than are read."""
    return write_granule(folder, name, layers=(*SIX, Layer.FMASK))


def official(granule, version="1.0", produced="20240101T000000Z"):
    """Name of the product made from a granule."""
    satellite = "L8" if granule.product is Product.L30 else "S2A"
    return f"OPERA_L3_DSWx-HLS_T{granule.tile}_{granule.acquired:%Y%m%dT%H%M%SZ}_{produced}_{satellite}_30_v{version}"


def classified(granule, shad=None) -> dict[str, np.ndarray]:
    """Layers of version 1.0 of a granule, as PROTEUS makes them; without a terrain, a slope of stripes is shaded."""
    with open_granule(granule) as reader:
        observation = reader.read(SIX)
    if shad is None:
        shad = np.ones(observation.fmask.shape, np.uint8)
        shad[:, ::7] = 0
    layers = dswx.classify(observation.reflectance, observation.fmask, shad=shad)
    return {
        "WTR": dswx.collapse(layers.wtr),
        "BWTR": layers.bwtr,
        "CONF": layers.conf,
        "WTR-1": dswx.collapse(layers.wtr1),
        "SHAD": shad,
        "CLOUD": layers.cloud,
    }


def spelled(layers: dict[str, np.ndarray], version: str) -> dict[str, np.ndarray]:
    """Layers of version 1.0 as an earlier version would have written them."""
    if version.startswith("1"):
        return layers
    wtr, conf, old = layers["WTR"], layers["CONF"], dict(layers)
    if version == "0.0":
        old["WTR"] = _select([wtr == 252, wtr == 253], [8, 9], wtr)
        percent = _select([conf == k for k in range(5)], [99, 95, 80, 70, 60], conf)
        old["CONF"] = _select([wtr == 252, wtr == 253], [253, 254], percent)
        return old
    old["WTR"] = np.where(np.isin(wtr, (252, 253)), 9, np.where(wtr == 255, 255, conf)).astype(np.uint8)
    old["CONF"] = np.where(old["WTR"] == 9, 2, np.minimum(wtr, 1)).astype(np.uint8)
    old["SHAD"] = 1 - layers["SHAD"]
    return old


def _select(conditions: list[np.ndarray], values: list[int], otherwise: np.ndarray) -> np.ndarray:
    return np.select(conditions, [np.uint8(value) for value in values], otherwise)


def write_product(
    folder: Path, granule, layers=None, *, name=None, version="1.0", tags=None, like=None, **profile
) -> Path:
    """Write the layers of a product on the grid of its granule."""
    folder.mkdir(parents=True, exist_ok=True)
    layers = classified(granule) if layers is None else layers
    with rasterio.open(like or granule.href(Layer.FMASK)) as source:
        grid = {"crs": source.crs, "transform": source.transform}
    texts = {"HLS_DATASET": granule.name, "PRODUCT_VERSION": version, "DEM_SOURCE": "GLO-30"} | (tags or {})
    stem = name or official(granule, version)
    for layer, values in layers.items():
        rows, cols = values.shape
        settings = {"driver": "GTiff", "count": 1, "dtype": values.dtype, **grid, **tiling(rows), **profile}
        with rasterio.open(
            folder / f"{stem}_B{BANDS[layer]:02d}_{layer}.tif", "w", height=rows, width=cols, **settings
        ) as out:
            out.update_tags(**{key: text for key, text in texts.items() if text is not None})
            out.write(values, 1)
    return folder


def run(tmp_path: Path, hls, dswx_folder: Path, *, size=32, **options) -> tuple[ChipFolder | tuple[()], list[SetAside]]:
    """Chips written and read again, and what was set aside."""
    with ChipWriter(tmp_path / "chips", size=size, capacity=16) as out:
        aside = write_opera_chips(out, hls, dswx_folder, size=size, **options)
    return ChipFolder(tmp_path / "chips") if len(out) else (), aside


def codes(path: Path) -> np.ndarray:
    with rasterio.open(path) as file:
        return file.read(1)


def expected(layers: dict[str, np.ndarray], fmask: np.ndarray, data: np.ndarray) -> np.ndarray:
    """Labels from layers of version 1.0, pixel by pixel and in words."""
    labels = np.full((5, *fmask.shape), UNKNOWN, np.uint8)
    for place in np.ndindex(fmask.shape):
        wtr, conf, cloud = (int(layers[name][place]) for name in ("WTR", "CONF", "CLOUD"))
        if not data[place] or fmask[place] == 255 or wtr == 255:
            continue
        shadow, snow, cloudy = ((cloud >> bit) & 1 for bit in range(3))
        ring = shadow and not int(fmask[place]) & 8
        lit = int(layers["SHAD"][place])
        water = {(0, 0): 0, (1, 1): 1, (2, 3): 1}.get((wtr, conf), UNKNOWN)
        if shadow or snow or cloudy or (water == 0 and not lit and layers["WTR-1"][place] in {1, 2}):
            water = UNKNOWN
        labels[:, *place] = [
            water,
            cloudy,
            UNKNOWN if ring else shadow,
            1 if snow else UNKNOWN if ring else 0,
            UNKNOWN if cloudy else 1 - lit,
        ]
    return labels


# A real product


@pytest.fixture(scope="module")
def crop(shared, tmp_path_factory):
    """One chip of the whole real crop, and the raw numbers of its files."""
    folder = tmp_path_factory.mktemp("crop")
    (granule,) = find(shared / CROP / "input")
    chips, aside = run(folder, [granule], shared / CROP / "dswx_ref", size=1000)
    assert aside == []
    raw = {path.stem.split("_")[-1]: codes(path) for path in (shared / CROP / "dswx_ref").glob("*.tif")}
    raw |= {layer.value: codes(granule.href(layer)) for layer in (*SIX, Layer.FMASK)}
    return chips[0], raw


def counts(labels: np.ndarray) -> list[int]:
    return [int(np.count_nonzero(labels == value)) for value in (0, 1, UNKNOWN)]


def test_real_labels_count_as_a_plain_decoding_counts(crop):
    chip, raw = crop
    data = np.all([(raw[band] > -2000) & (raw[band] <= 16000) for band in SIX], axis=0) & (raw["Fmask"] != 255)
    data &= raw["CLOUD"] != 255
    assert np.count_nonzero(data) == 999_990
    cloud, shadow, snow = ((raw["CLOUD"] & bit) > 0 for bit in (4, 1, 2))
    ring = shadow & ((raw["Fmask"] & 8) == 0)
    clear = ~(cloud | shadow | snow)
    # Version 0.1 shades with 1, here only on the border, where it turned 157 pixels of spectral water into land.
    turned = (raw["SHAD"] == 1) & (raw["WTR"] == 0) & np.isin(raw["WTR-1"], (1, 2, 3, 4))
    wanted = {
        Mask.WATER: (np.isin(raw["WTR"], (1, 3)), clear & ~np.isin(raw["WTR"], (2, 4)) & ~turned),
        Mask.CLOUD: (cloud, data),
        Mask.CLOUD_SHADOW: (shadow, ~ring),
        Mask.SNOW_ICE: (snow, ~ring | snow),
    }
    for mask, (there, known) in wanted.items():
        kinds = known & data & ~there, known & data & there, ~(known & data)
        numbers = [np.count_nonzero(kind) for kind in kinds]
        assert counts(chip.labels[mask]) == numbers, mask
    np.testing.assert_array_equal(chip.fmask, raw["Fmask"])


def test_real_labels_have_the_numbers_of_the_product(crop):
    """Golden: counted in the files by hand (`np.unique`). WTR 0, 1, 3: 868 894, 1412, 2887; CLOUD 4, 5, 7, 2, 3."""
    chip, _ = crop
    assert counts(chip.labels[Mask.CLOUD])[1] == 21_952 + 5_039  # 7 only where Fmask has no data
    assert counts(chip.labels[Mask.SNOW_ICE])[1] == 326 + 1
    assert counts(chip.labels[Mask.WATER])[1] == 1_412 + 2_887
    assert counts(chip.labels[Mask.WATER])[0] <= 868_894
    assert counts(chip.labels[Mask.CLOUD])[2] == 10


def test_most_of_the_products_cloud_shadow_is_the_ring_and_unknown(crop):
    """73.1 % of what equality calls cloud shadow here is Fmask's adjacent ring alone."""
    chip, raw = crop
    alone = raw["CLOUD"] == 1
    label = chip.labels[Mask.CLOUD_SHADOW]
    assert round(100 * (label[alone] == UNKNOWN).mean(), 1) == 73.1


def test_shading_without_elevation_says_nothing_of_terrain(crop):
    """The real SHAD is not constant, it marks the border; but the tags say that no elevation was given."""
    chip, raw = crop
    assert set(np.unique(raw["SHAD"])) == {0, 1}
    assert (chip.labels[Mask.TERRAIN_SHADOW] == UNKNOWN).all()


def test_real_chips_tell_where_they_are_from(crop):
    chip, _ = crop
    assert (chip.source, chip.region, chip.product) == ("opera-dswx", "15SXR", Product.S30)
    assert chip.scene == "HLS.S30.T15SXR.2021250T163901.v2.0"
    assert not chip.simulated
    assert chip.ssc is None


# Simulated granules


@pytest.fixture(scope="module", params=["summer", "winter", "edge"])
def simulated(request, tmp_path_factory):
    """A simulated granule in its files, and the layers of its product."""
    examples = {
        "summer": scene,
        "winter": lambda: scene(weather=WINTER, platform="S2A"),
        "edge": lambda: scene(weather=SWATH_EDGE),
    }
    folder = tmp_path_factory.mktemp("simulated")
    granule = write_scene(examples[request.param]().scene, folder / "hls")
    return granule, classified(granule)


def test_every_pixel_of_a_simulated_granule_is_decoded_as_told(simulated, tmp_path):
    granule, layers = simulated
    chips, aside = run(tmp_path, [granule], write_product(tmp_path / "dswx", granule, layers), size=64, least_valid=0)
    assert aside == []
    assert len(chips) == 16
    with open_granule(granule) as reader:
        observation = reader.read(SIX)
    wanted = expected(layers, observation.fmask, np.isfinite(observation.reflectance).all(axis=0))
    for place in range(16):
        row, col = divmod(place, 4)
        window = slice(64 * row, 64 * row + 64), slice(64 * col, 64 * col + 64)
        np.testing.assert_array_equal(chips[place].labels, wanted[:, *window])
        fmask = observation.fmask[window]
        np.testing.assert_array_equal(chips[place].fmask, fmask if (fmask != 255).any() else None)
        np.testing.assert_allclose(chips[place].reflectance, observation.reflectance[:, *window], atol=1e-6)


def test_all_versions_say_the_same_in_their_own_numbers(simulated, tmp_path):
    granule, layers = simulated
    sets = []
    for version in VERSIONS:
        folder = write_product(tmp_path / version / "dswx", granule, spelled(layers, version), version=version)
        chips, aside = run(tmp_path / version, [granule], folder, size=256, least_valid=0)
        assert aside == []
        sets.append(chips[0].labels)
    assert {0, 1, UNKNOWN} == set(np.unique(sets[0][Mask.WATER]))
    assert {0, 1} <= set(np.unique(sets[0][Mask.TERRAIN_SHADOW]))
    for labels in sets[1:]:
        np.testing.assert_array_equal(labels, sets[0])


def test_labelled_water_is_water_and_labelled_cloud_is_cloud(tmp_path):
    """Against the scene's own truth: a mistaken polarity or order of masks would turn these round.

    No more than that: DSWx takes shadows which Fmask missed for partial water, and Fmask's clouds are dilated.
    """
    example = scene()
    granule = write_scene(example.scene, tmp_path / "hls")
    chips, _ = run(tmp_path, [granule], write_product(tmp_path / "dswx", granule), size=256)
    labels = chips[0].labels
    for mask in (Mask.WATER, Mask.CLOUD):
        truth = example.masks.stack[mask]
        assert truth[labels[mask] == 1].mean() > 0.5, mask
        assert truth[labels[mask] == 0].mean() < 0.02, mask


def test_chips_with_too_little_data_are_left_out(tmp_path):
    granule = write_scene(scene(weather=SWATH_EDGE).scene, tmp_path / "hls")
    folder = write_product(tmp_path / "dswx", granule)
    with open_granule(granule) as reader:
        observation = reader.read(SIX)
    valid = np.isfinite(observation.reflectance).all(axis=0) & (observation.fmask != 255)
    shares = valid.reshape(8, 32, 8, 32).mean(axis=(1, 3)).ravel()
    assert shares.min() < 0.5 < shares.max()
    for least in (0.25, 0.5, 1.0):
        chips, _ = run(tmp_path / str(least), [granule], folder, least_valid=least)
        assert len(chips) == np.count_nonzero(shares >= least)


# Pairs


@pytest.fixture
def tiny(tmp_path):
    """A granule of 64 px and its product."""
    granule = small_granule(tmp_path / "hls", S30)
    return granule, write_product(tmp_path / "dswx", granule)


def only(aside: list[SetAside]) -> str:
    (one,) = aside
    return one.reason


def test_edges_short_of_a_chip_are_dropped_and_the_split_is_the_tiles(tiny, tmp_path):
    granule, folder = tiny
    lines: list[str] = []
    chips, aside = run(tmp_path, [granule], folder, size=24, report=lines.append)
    assert aside == []
    assert len(chips) == 4
    assert set(chips.index["split"]) == {split_of("15SXR")}
    assert lines == [f"{granule.name}: 4 chips"]
    with open_granule(granule) as reader:
        whole = reader.read(SIX).reflectance
    np.testing.assert_allclose(chips[3].reflectance, whole[:, 24:48, 24:48], atol=1e-6)


def test_the_split_can_be_chosen(tiny, tmp_path):
    granule, folder = tiny
    chips, _ = run(tmp_path, [granule], folder, split=lambda tile: {"15SXR": "test"}[tile])
    assert set(chips.index["split"]) == {"test"}


@pytest.mark.parametrize("separator", ["DSWx-HLS", "DSWx_HLS"])
def test_the_latest_production_counts(tmp_path, separator):
    granule = small_granule(tmp_path / "hls", S30)
    layers = classified(granule)
    cloudy = layers | {"CLOUD": np.full_like(layers["CLOUD"], 4), "WTR": np.full_like(layers["WTR"], 253)}
    for produced, content in (("20230102T000000Z", cloudy), ("20240101T000000Z", layers), ("20231231T235959Z", cloudy)):
        name = official(granule, produced=produced).replace("DSWx-HLS", separator)
        write_product(tmp_path / "dswx" / produced, granule, content, name=name)
    chips, aside = run(tmp_path, [granule], tmp_path / "dswx")
    assert aside == []
    assert (chips[0].labels[Mask.CLOUD] == 0).all()


def test_only_the_same_second_of_the_same_tile_is_a_pair(tmp_path):
    granule = small_granule(tmp_path / "hls", S30)
    later = parse("HLS.S30.T15SXR.2021250T163902.v2.0")
    elsewhere = parse("HLS.S30.T15SXS.2021250T163901.v2.0")
    layers = classified(granule)
    for other in (later, elsewhere):
        write_product(tmp_path / "dswx", other, layers, like=granule.href(Layer.FMASK))
    chips, aside = run(tmp_path, [granule], tmp_path / "dswx")
    assert len(chips) == 0
    assert aside[0].granule == granule.name
    assert f"found {official(later)} of that tile and day" in only(aside)
    assert "wanted one of T15SXR acquired 20210907T163901Z" in only(aside)


def test_a_bad_pair_is_set_aside_and_the_rest_goes_on(tmp_path):
    good, broken = small_granule(tmp_path / "hls", S30), small_granule(tmp_path / "hls", L30)
    for granule in (good, broken):
        write_product(tmp_path / "dswx", granule)
    red = Path(broken.href(Band.RED))
    red.write_bytes(red.read_bytes()[:-2000])
    lines: list[str] = []
    chips, aside = run(tmp_path, find(tmp_path / "hls"), tmp_path / "dswx", report=lines.append)
    assert aside == [SetAside(granule=L30, reason=aside[0].reason)]
    assert "truncated or damaged" in aside[0].reason
    assert lines == [f"{L30}: {aside[0].reason}", f"{S30}: 4 chips"]
    assert set(chips.index["scene"]) == {S30}


def test_files_without_official_name_are_paired_by_their_tags(tmp_path):
    granule = small_granule(tmp_path / "hls", S30)
    write_product(tmp_path / "dswx", granule, name="dswx_hls", version="1.0")
    write_product(tmp_path / "dswx", granule, name="nobody_knows", tags={"HLS_DATASET": None})
    chips, aside = run(tmp_path, [granule], tmp_path / "dswx")
    assert len(chips) == 4
    assert aside[0].granule == "nobody_knows"
    assert "found no HLS granule in the tag HLS_DATASET" in only(aside)


def test_southern_products_may_count_northings_either_way(tmp_path):
    granule = small_granule(tmp_path / "hls", SOUTHERN)
    zone = int(granule.tile[:2])
    assert codes(granule.href(Layer.FMASK)).shape == (64, 64)
    with rasterio.open(granule.href(Layer.FMASK)) as source:
        a = source.transform
    shifted = rasterio.Affine(a.a, a.b, a.c, a.d, a.e, a.f + 10_000_000)
    write_product(tmp_path / "dswx", granule, crs=f"EPSG:{32700 + zone}", transform=shifted)
    chips, aside = run(tmp_path, [granule], tmp_path / "dswx")
    assert aside == []
    assert len(chips) == 4


# What a product may lack


def test_without_shading_terrain_is_unknown(tiny, tmp_path):
    granule, folder = tiny
    next(folder.glob("*_SHAD.tif")).unlink()
    chips, aside = run(tmp_path, [granule], folder)
    assert aside == []
    assert all((chips[place].labels[Mask.TERRAIN_SHADOW] == UNKNOWN).all() for place in range(4))
    assert (chips[0].labels[Mask.WATER] != UNKNOWN).any()


@pytest.mark.parametrize(("constant", "tags"), [(1, {}), (0, {}), (None, {"DEM_FILE": "(not provided)"})])
def test_shading_that_carries_nothing_is_unknown(tmp_path, constant, tags):
    granule = small_granule(tmp_path / "hls", S30)
    layers = classified(granule)
    if constant is not None:
        layers["SHAD"][:] = constant
    chips, _ = run(tmp_path, [granule], write_product(tmp_path / "dswx", granule, layers, tags=tags))
    assert (chips[0].labels[Mask.TERRAIN_SHADOW] == UNKNOWN).all()
    assert (chips[0].labels[Mask.CLOUD] != UNKNOWN).all()


def test_in_the_shade_no_water_is_trusted_only_with_the_spectrum_at_hand(tiny, tmp_path):
    """The product rejects water on shaded slopes. WTR-1 tells which pixels these are; without it all may be."""
    granule, folder = tiny
    layers = classified(granule)
    with_spectrum, _ = run(tmp_path / "a", [granule], folder, size=64)
    next(folder.glob("*_WTR-1.tif")).unlink()
    without, _ = run(tmp_path / "b", [granule], folder, size=64)
    shaded, wet = layers["SHAD"] == 0, layers["WTR-1"] > 0
    assert (shaded & wet).any()
    assert (shaded & ~wet).any()
    first, second = with_spectrum[0].labels[Mask.WATER], without[0].labels[Mask.WATER]
    assert (first[shaded & wet] == UNKNOWN).all()
    assert (first[shaded & ~wet] == 0).all()
    assert (second[shaded] == UNKNOWN).all()
    np.testing.assert_array_equal(first[~shaded], second[~shaded])


def test_ocean_is_water_where_it_is_seen(tmp_path):
    granule = small_granule(tmp_path / "hls", S30)
    layers = classified(granule)
    layers["WTR"][:32], layers["CONF"][:32], layers["CLOUD"][:32] = 254, 254, 0
    layers["CLOUD"][:8] = 4
    chips, _ = run(tmp_path, [granule], write_product(tmp_path / "dswx", granule, layers), size=64)
    water = chips[0].labels[Mask.WATER]
    assert (water[:8] == UNKNOWN).all()
    assert (water[8:32] == 1).all()


def test_the_aerosol_bit_hides_nothing(tmp_path):
    granule = small_granule(tmp_path / "hls", S30)
    layers = classified(granule)
    assert (layers["CLOUD"] & 7 == 0).all()
    plain, _ = run(tmp_path / "a", [granule], write_product(tmp_path / "a" / "dswx", granule, layers))
    layers["CLOUD"][:] = 8
    marked, _ = run(tmp_path / "b", [granule], write_product(tmp_path / "b" / "dswx", granule, layers))
    np.testing.assert_array_equal(plain[0].labels, marked[0].labels)


# What is wrong with it


@pytest.mark.parametrize("layer", ["WTR", "CONF", "CLOUD"])
def test_a_needed_layer_that_is_missing_is_told(tiny, tmp_path, layer):
    granule, folder = tiny
    next(folder.glob(f"*_{layer}.tif")).unlink()
    _, aside = run(tmp_path, [granule], folder)
    assert f"no {layer} in {official(granule)}: found BWTR" in only(aside)
    assert "wanted WTR CONF CLOUD" in only(aside)


@pytest.mark.parametrize("layer", ["WTR", "CLOUD", "SHAD"])
@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "empty file"), (b"<html>login</html>", "found a web page"), (b"II*\0" + bytes(60), "truncated or damaged")],
)
def test_damaged_layers_are_told(tiny, tmp_path, layer, content, says):
    granule, folder = tiny
    path = next(folder.glob(f"*_{layer}.tif"))
    path.write_bytes(content)
    _, aside = run(tmp_path, [granule], folder)
    assert says in only(aside)
    assert path.name in only(aside)


def test_truncated_pixels_are_told(tiny, tmp_path):
    granule, folder = tiny
    path = next(folder.glob("*_CLOUD.tif"))
    layers = classified(granule)
    noise = np.random.default_rng(1).integers(0, 8, layers["CLOUD"].shape).astype(np.uint8)
    write_product(folder, granule, layers | {"CLOUD": noise})
    path.write_bytes(path.read_bytes()[:-500])
    _, aside = run(tmp_path, [granule], folder)
    assert "truncated or damaged" in only(aside)


def test_damaged_files_without_official_name_are_told(tmp_path):
    granule = small_granule(tmp_path / "hls", S30)
    write_product(tmp_path / "dswx", granule, {"WTR": classified(granule)["WTR"]}, name="dswx_hls")
    next((tmp_path / "dswx").iterdir()).write_bytes(b"II*\0")
    _, aside = run(tmp_path, [], tmp_path / "dswx")
    assert aside[0].granule == "dswx_hls"
    assert "truncated or damaged" in only(aside)


def moved(granule, **changes):
    """Grid of a granule's files, changed."""
    with rasterio.open(granule.href(Layer.FMASK)) as source:
        a, crs = source.transform, source.crs
    parts = {"a": a.a, "b": a.b, "c": a.c, "d": a.d, "e": a.e, "f": a.f} | changes
    return {"crs": parts.pop("crs", crs), "transform": rasterio.Affine(*(parts[name] for name in "abcdef"))}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"c": 600_030}, "found 64 x 64 px of 30 m from (600030, 3600000)"),
        ({"f": 3_600_000 - 15}, "from (600000, 3599985)"),
        ({"a": 20.0, "e": -20.0}, "px of 20 m"),
        ({"crs": "EPSG:32616"}, "in EPSG:32616"),
        ({"crs": "EPSG:32715"}, "from (600000, -6400000)"),
        ({"crs": "EPSG:4326"}, "found EPSG:4326, wanted UTM on WGS 84"),
        ({"crs": None}, "wrong CRS"),
    ],
)
def test_products_on_another_grid_are_set_aside(tmp_path, changes, says):
    granule = small_granule(tmp_path / "hls", S30)
    _, aside = run(tmp_path, [granule], write_product(tmp_path / "dswx", granule, **moved(granule, **changes)))
    assert says in only(aside)
    assert only(aside).startswith("GridError: wrong ")


def test_products_of_another_size_or_type_are_set_aside(tmp_path):
    granule = small_granule(tmp_path / "hls", S30)
    layers = classified(granule)
    small = {name: values[:32, :32] for name, values in layers.items()}
    _, aside = run(tmp_path / "a", [granule], write_product(tmp_path / "a" / "dswx", granule, small))
    assert "found 32 x 32 px" in only(aside)
    wide = {name: values.astype(np.int16) for name, values in layers.items()}
    _, aside = run(tmp_path / "b", [granule], write_product(tmp_path / "b" / "dswx", granule, wide))
    assert "found 1 bands of int16, wanted 1 of uint8" in only(aside)


def test_a_product_whose_tags_name_another_granule_is_set_aside(tmp_path):
    granule = small_granule(tmp_path / "hls", S30)
    _, aside = run(tmp_path, [granule], write_product(tmp_path / "dswx", granule, tags={"HLS_DATASET": L30}))
    assert f"found HLS_DATASET {L30}, wanted {S30}" in only(aside)


@pytest.mark.parametrize(
    ("layer", "value", "version", "says"),
    [
        ("WTR", 9, "1.0", r"values in WTR that DSWx-HLS 1.x does not have: found [9], wanted of [0, 1, 2, 252"),
        ("WTR", 253, "0.1", "values in WTR that DSWx-HLS 0.1 does not have: found [253]"),
        ("WTR", 3, "0.0", "values in WTR that DSWx-HLS 0.0 does not have: found [3]"),
        ("CLOUD", 16, "1.0", "values in CLOUD that DSWx-HLS 1.x does not have: found [16]"),
        ("SHAD", 2, "1.0", "values in SHAD that DSWx-HLS 1.x does not have: found [2], wanted of [0, 1]"),
    ],
)
def test_numbers_of_another_version_are_refused(tmp_path, layer, value, version, says):
    granule = small_granule(tmp_path / "hls", S30)
    layers = spelled(classified(granule), version)
    layers[layer][5, 5] = value
    _, aside = run(tmp_path, [granule], write_product(tmp_path / "dswx", granule, layers, version=version))
    assert says in only(aside)
    assert official(granule, version) in only(aside)


@pytest.mark.parametrize(
    ("name", "tag", "found"), [(None, "2.0", "2.0"), ("dswx_hls", "0.7", "0.7"), ("dswx", None, "none")]
)
def test_unknown_versions_are_refused(tmp_path, name, tag, found):
    granule = small_granule(tmp_path / "hls", S30)
    version = {"version": tag} if tag else {"tags": {"PRODUCT_VERSION": None}}
    _, aside = run(tmp_path, [granule], write_product(tmp_path / "dswx", granule, name=name, **version))
    assert f"unknown version of DSWx-HLS: found {found}, wanted 0.0, 0.1 or 1.x" in only(aside)


def test_an_impossible_time_in_a_name_sets_the_product_aside(tiny, tmp_path):
    granule, folder = tiny
    for path in list(folder.iterdir()):
        shutil.move(path, path.with_name(path.name.replace("20210907T163901Z", "20211307T163901Z")))
    _, aside = run(tmp_path, [granule], folder)
    assert [one.reason.split(":")[0] for one in aside] == ["DataError", "DataError"]
    assert "found 20211307T163901" in aside[0].reason
    assert "found none of that tile and day" in aside[1].reason


def test_no_folder_no_products_and_another_size_are_wrong_use(tiny, tmp_path):
    granule, folder = tiny
    with ChipWriter(tmp_path / "chips", size=32) as out:
        with pytest.raises(InputError, match="no such folder"):
            write_opera_chips(out, [granule], tmp_path / "nowhere", size=32)
        with pytest.raises(InputError, match="no DSWx-HLS products"):
            write_opera_chips(out, [granule], tmp_path / "hls", size=32)
        with pytest.raises(InputError, match=r"found 64 px .*wanted 32 px"):
            write_opera_chips(out, [granule], folder, size=64)
        with pytest.raises(InputError, match="no split 'all'"):
            write_opera_chips(out, [granule], folder, size=32, split=lambda _: "all")


def test_what_is_not_the_datas_fault_is_not_set_aside(tiny, tmp_path):
    granule, folder = tiny
    with (
        ChipWriter(tmp_path / "chips", size=32, bands=(*SIX, Band.COASTAL)) as out,
        pytest.raises(InputError, match=r"wanted 32 px of blue .*coastal"),
    ):
        write_opera_chips(out, [granule], folder, size=32)
    with pytest.raises(ZeroDivisionError):
        run(tmp_path / "x", [granule], folder, report=lambda _: 1 / 0)


def test_missing_hls_files_are_told(tiny, tmp_path):
    granule, folder = tiny
    Path(granule.href(Band.SWIR1)).unlink()
    _, aside = run(tmp_path, find(tmp_path / "hls"), folder)
    assert "no swir1 in" in only(aside)
