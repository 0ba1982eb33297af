"""Benchmarks of clouds: each reader on a small set made in that format, against arithmetic done apart from it."""

from __future__ import annotations

import io
import math

import numpy as np
import pandas as pd
import pytest
import rasterio
from PIL import Image

from models.chip_writer import ChipWriter
from models.chips import ChipFolder
from models.packing import UNKNOWN
from ssc.bands import SIX, Product
from ssc.errors import DataError, InputError
from ssc.masks import Mask
from tasks.benchmarks import NAMES, TOA_NOTE, open_benchmark, published
from tasks.benchmarks.biome import BiomeScene
from tasks.benchmarks.cloudsen12 import PADDED
from tasks.benchmarks.scenes import path_row
from tasks.benchmarks.table import CLASSES, beside_published, class_scores, count_classes
from tasks.benchmarks.toa import landsat_toa, read_mtl, sentinel2_offset, sentinel2_toa

ELEVATION = 37.5
SPARCS_SCENE = "LC82290562014157LGN00_24"
BIOME_SCENE = "LC80420082013220LGN00"
S2_PRODUCT = "S2A_MSIL1C_20190212T142031_N0207_R010_T19FDF_20190212T191443"


def digital_numbers(layers, rows, cols, seed=0):
    return np.random.default_rng(seed).integers(5000, 40000, (layers, rows, cols)).astype(np.uint16)


def write_raster(path, layers, driver="GTiff"):
    path.parent.mkdir(parents=True, exist_ok=True)
    count, rows, cols = layers.shape
    with rasterio.open(
        path, "w", driver=driver, count=count, height=rows, width=cols, dtype=layers.dtype.name
    ) as raster:
        raster.write(layers)


def write_mtl(path, elevation=ELEVATION, bands=range(1, 10)):
    lines = ["GROUP = L1_METADATA_FILE", "  GROUP = IMAGE_ATTRIBUTES", f"    SUN_ELEVATION = {elevation}"]
    lines += ["    SUN_AZIMUTH = 120.25", "  END_GROUP = IMAGE_ATTRIBUTES", "  GROUP = RADIOMETRIC_RESCALING"]
    lines += [f"    REFLECTANCE_MULT_BAND_{band} = 2.0000E-05" for band in bands]
    lines += [f"    REFLECTANCE_ADD_BAND_{band} = -0.100000" for band in bands]
    lines += ["  END_GROUP = RADIOMETRIC_RESCALING", "END_GROUP = L1_METADATA_FILE", "END"]
    path.write_text("\n".join(lines) + "\n")


def expected_toa(digital):
    """In float64, by the textbook."""
    reflectance = (2e-5 * digital.astype(np.float64) - 0.1) / math.sin(math.radians(ELEVATION))
    return np.where(digital == 0, np.nan, reflectance)


def expected_labels(codes, table):
    """Pixel by pixel, from (water, cloud, shadow, snow) per code; None = unknown."""
    labels = np.full((5, *codes.shape), UNKNOWN, np.uint8)
    for (row, col), code in np.ndenumerate(codes):
        for mask, value in enumerate(table[int(code)]):
            labels[mask, row, col] = UNKNOWN if value is None else value
    return labels


# --- conversions


def test_landsat_numbers_become_reflectance_under_a_high_sun():
    digital = np.array([[0, 5000, 12345, 65535]], np.uint16)
    np.testing.assert_allclose(landsat_toa(digital, 90.0), [[np.nan, 0.0, 0.1469, 1.2107]], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(landsat_toa(digital, 30.0)[0, 2], 2 * 0.1469, rtol=1e-5)


@pytest.mark.parametrize(
    ("product", "offset"),
    [
        (S2_PRODUCT, 0),
        ("S2B_MSIL1C_20210901T100029_N0301_R122_T33UUP_20210901T120000", 0),
        ("S2B_MSIL1C_20220301T100029_N0400_R122_T33UUP_20220301T120000", -1000),
        ("S2A_MSIL1C_20190212T142031_N0500_R010_T19FDF_20230601T191443", -1000),  # reprocessed later
        ("20190212T142031_20190212T143214_T19FDF", 0),  # Earth Engine's id knows no baseline
        ("17", 0),
    ],
)
def test_sentinel2_shift_follows_the_baseline(product, offset):
    assert sentinel2_offset(product) == offset
    found = sentinel2_toa(np.array([0, 1, 3000], np.uint16), offset)
    np.testing.assert_allclose(found, [np.nan, (1 + offset) / 10000, (3000 + offset) / 10000], rtol=1e-6)


def test_sentinel2_without_baseline_after_the_change_is_refused():
    with pytest.raises(DataError, match="baseline"):
        sentinel2_offset("20230212T142031_20230212T143214_T19FDF")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SUN_AZIMUTH = 3", "SUN_ELEVATION = nothing"),
        ("SUN_ELEVATION = -4.5", "above the horizon"),
        ("SUN_ELEVATION = 40.0\nREFLECTANCE_MULT_BAND_2 = 2E-5", "REFLECTANCE_ADD_BAND_2"),
    ],
)
def test_an_mtl_that_cannot_be_used_says_why(tmp_path, text, message):
    path = tmp_path / "x_MTL.txt"
    path.write_text(text + "\n")
    with pytest.raises(DataError, match=message):
        read_mtl(path)


def test_an_mtl_without_a_band_is_named(tmp_path):
    write_mtl(tmp_path / "x_MTL.txt", bands=[1, 2])
    with pytest.raises(DataError, match="wanted also"):
        read_mtl(tmp_path / "x_MTL.txt").reflectance(np.ones((2, 1, 1), np.uint16), (2, 3))


def test_path_and_row_are_read_off_both_kinds_of_names():
    assert path_row(BIOME_SCENE) == "042/008"
    assert path_row("LC09_L1TP_016029_20230301_20230311_02_T1_00512.01024") == "016/029"
    assert path_row("patch_0001") == "patch_0001"


# --- SPARCS

SPARCS_TABLE = {
    0: (0, 0, 1, None),
    1: (1, 0, 1, 0),
    2: (1, 0, 0, 0),
    3: (0, 0, 0, 1),
    4: (0, 0, 0, 0),
    5: (None, 1, 0, None),
    6: (None, 0, 0, 0),
}
SPARCS_COLOURS = [(0, 0, 0), (0, 0, 128), (0, 0, 255), (0, 255, 255), (128, 128, 128), (255, 255, 255), (128, 128, 0)]


def sparcs_codes(rows=40, cols=36):
    return np.random.default_rng(4).integers(0, 7, (rows, cols)).astype(np.uint8)


def sparcs_digital(rows=40, cols=36):
    digital = digital_numbers(10, rows, cols, seed=1)
    digital[4, 3, 5] = 0  # NIR not there
    return digital


def write_mask(path, codes, form):
    if form == "labels.tif":
        write_raster(path.with_name(f"{SPARCS_SCENE}_labels.tif"), codes[None])
        return
    if form == "rgb":
        image = Image.fromarray(np.array(SPARCS_COLOURS, np.uint8)[codes])
    elif form == "palette":  # in another order than the codes: only the colours tell
        image = Image.fromarray(6 - codes, mode=None).convert("L")
        image.putpalette([level for colour in reversed(SPARCS_COLOURS) for level in colour])
    else:
        image = Image.fromarray(codes)
    image.save(path)


def make_sparcs(folder, form="palette"):
    digital, codes = sparcs_digital(), sparcs_codes()
    folder.mkdir(parents=True, exist_ok=True)
    write_raster(folder / f"{SPARCS_SCENE}_data.tif", digital)
    write_mtl(folder / f"{SPARCS_SCENE}_mtl.txt")
    write_mask(folder / f"{SPARCS_SCENE}_mask.png", codes, form)
    return digital, codes


@pytest.mark.parametrize("form", ["palette", "rgb", "grey", "labels.tif"])
def test_sparcs_is_read_whole(tmp_path, form):
    digital, codes = make_sparcs(tmp_path / "sending", form)
    chips = open_benchmark("sparcs", tmp_path, size=512)
    assert chips.size == 36
    assert len(chips) == 2  # 40 rows
    chip = chips[0]
    assert chip.bands == SIX
    assert (chip.product, chip.source, chip.simulated) == (Product.L30, "sparcs", False)
    assert (chip.region, chip.scene) == ("229/056", SPARCS_SCENE)
    np.testing.assert_allclose(chip.reflectance, expected_toa(digital[1:7, :36]), rtol=2e-5, atol=1e-6)
    labels = expected_labels(codes[:36], SPARCS_TABLE)
    labels[:, 3, 5] = UNKNOWN
    np.testing.assert_array_equal(chip.labels, labels)
    assert chip.reflectance.dtype == np.float32
    assert chip.labels.dtype == np.uint8


def test_every_pixel_of_a_scene_counts_once_and_has_its_context(tmp_path):
    digital, codes = make_sparcs(tmp_path)
    chips = open_benchmark("sparcs", tmp_path, size=16)
    assert len(chips) == 9
    seen, labels = np.zeros((40, 36), int), np.full((5, 40, 36), UNKNOWN, np.uint8)
    for place, chip in enumerate(chips):
        line = chips.index.iloc[place]
        area = (slice(line["row"], line["row"] + 16), slice(line["col"], line["col"] + 16))
        np.testing.assert_allclose(chip.reflectance, expected_toa(digital[1:7])[:, *area], rtol=2e-5, atol=1e-6)
        own = chip.labels[Mask.CLOUD] != UNKNOWN
        seen[area] += own
        labels[:, *area] = np.where(own, chip.labels, labels[:, *area])
    truth = expected_labels(codes, SPARCS_TABLE)
    truth[:, 3, 5] = UNKNOWN
    assert seen.sum() == 40 * 36 - 1
    assert seen.max() == 1
    np.testing.assert_array_equal(labels, truth)


def test_the_index_is_that_of_chips_and_the_chips_can_be_stored(tmp_path):
    make_sparcs(tmp_path / "set")
    chips = open_benchmark("sparcs", tmp_path / "set", size=16)
    assert {"source", "product", "region", "scene", "split", "simulated"} <= set(chips.index)
    assert (chips.index["split"] == "test").all()
    assert len(chips.split("test")) == len(chips) == len(chips.index)
    with ChipWriter(tmp_path / "chips", size=16) as out:
        for chip, split in zip(chips, chips.index["split"], strict=True):
            out.add(chip, split=split)
    stored = ChipFolder(tmp_path / "chips")
    np.testing.assert_array_equal(stored[4].labels, chips[4].labels)
    with pytest.raises(DataError, match="no scenes"):
        chips.split("train")
    with pytest.raises(InputError, match="no split"):
        chips.split("dev")


def test_sparcs_without_a_file_names_the_scene(tmp_path):
    make_sparcs(tmp_path)
    (tmp_path / f"{SPARCS_SCENE}_mtl.txt").unlink()
    with pytest.raises(DataError, match=f"scene {SPARCS_SCENE}: found no {SPARCS_SCENE}_mtl.txt"):
        open_benchmark("sparcs", tmp_path)


def test_sparcs_with_a_strange_colour_names_it(tmp_path):
    make_sparcs(tmp_path)
    image = np.array(SPARCS_COLOURS, np.uint8)[sparcs_codes()]
    image[7, 9] = (1, 2, 3)
    Image.fromarray(image).save(tmp_path / f"{SPARCS_SCENE}_mask.png")
    with pytest.raises(DataError, match=r"_mask\.png: found colour \(1, 2, 3\)"):
        open_benchmark("sparcs", tmp_path)[0]


def test_sparcs_with_a_mask_of_another_size_is_refused(tmp_path):
    make_sparcs(tmp_path)
    Image.fromarray(np.zeros((20, 36), np.uint8)).save(tmp_path / f"{SPARCS_SCENE}_mask.png")
    with pytest.raises(DataError, match=r"\(20, 36\) px, wanted \(40, 36\)"):
        open_benchmark("sparcs", tmp_path)[0]


def test_sparcs_with_too_few_bands_or_a_broken_file_is_refused(tmp_path):
    make_sparcs(tmp_path)
    data = tmp_path / f"{SPARCS_SCENE}_data.tif"
    write_raster(data, sparcs_digital()[:4])
    with pytest.raises(DataError, match="found 4 layers, wanted at least 7"):
        open_benchmark("sparcs", tmp_path)[0]
    data.write_bytes(b"II*\0not really")
    with pytest.raises(DataError, match=f"{SPARCS_SCENE}_data.tif"):
        open_benchmark("sparcs", tmp_path)


# --- L8 Biome

USGS_TABLE = {
    0: (None, None, None, None),
    64: (None, 0, 1, None),
    128: (None, 0, 0, None),
    192: (None, 1, 0, None),
    255: (None, 1, 0, None),
    10: (None, None, None, None),
}


def biome_codes(rows=30, cols=33, codes=(0, 64, 128, 192, 255)):
    return np.random.default_rng(8).choice(np.array(codes, np.uint8), (rows, cols))


def make_biome(folder, codes, *, stacked=False, name=BIOME_SCENE):
    digital = digital_numbers(11, *codes.shape, seed=2)
    folder.mkdir(parents=True, exist_ok=True)
    write_mtl(folder / f"{name}_MTL.txt")
    if stacked:
        write_raster(folder / f"{name}.TIF", digital)
        write_raster(folder / f"{name}_fixedmask.TIF", codes[None])
        return digital
    for band in range(1, 8):
        write_raster(folder / f"{name}_B{band}.TIF", digital[band - 1 : band])
    write_raster(folder / f"{name}_fixedmask.img", codes[None], driver="ENVI")
    assert (folder / f"{name}_fixedmask.hdr").is_file()
    return digital


@pytest.mark.parametrize("stacked", [False, True])
def test_biome_is_read_in_both_arrangements(tmp_path, stacked):
    codes = biome_codes()
    digital = make_biome(tmp_path / "water" / BIOME_SCENE, codes, stacked=stacked)
    chip = open_benchmark("biome", tmp_path)[0]
    assert (chip.region, chip.scene, chip.product) == ("042/008", BIOME_SCENE, Product.L30)
    np.testing.assert_allclose(chip.reflectance, expected_toa(digital[1:7, :, :30]), rtol=2e-5, atol=1e-6)
    np.testing.assert_array_equal(chip.labels, expected_labels(codes[:, :30], USGS_TABLE))


def test_a_biome_scene_without_drawn_shadow_says_nothing_of_shadow(tmp_path):
    drawn, bare = biome_codes(), biome_codes(codes=(128, 255))
    drawn[:16] = 128  # no shadow in the upper chips, but in the scene
    make_biome(tmp_path / "a", drawn)
    make_biome(tmp_path / "b", bare, name="LC80500092014231LGN00")
    chips = open_benchmark("biome", tmp_path, size=15)
    by_scene = {scene: chips[int(rows.index[0])] for scene, rows in chips.index.groupby("scene")}
    assert (by_scene[BIOME_SCENE].labels[Mask.CLOUD_SHADOW] == 0).all()
    assert (by_scene["LC80500092014231LGN00"].labels[Mask.CLOUD_SHADOW] == UNKNOWN).all()
    assert (by_scene["LC80500092014231LGN00"].labels[Mask.CLOUD] != UNKNOWN).all()


def test_biome_lacking_a_band_or_header_names_the_scene(tmp_path):
    make_biome(tmp_path, biome_codes())
    (tmp_path / f"{BIOME_SCENE}_B6.TIF").unlink()
    with pytest.raises(DataError, match=f"scene {BIOME_SCENE}: found no {BIOME_SCENE}_B6.TIF"):
        open_benchmark("biome", tmp_path)
    (tmp_path / f"{BIOME_SCENE}_fixedmask.hdr").unlink()
    with pytest.raises(DataError, match=r"_fixedmask\.hdr"):
        open_benchmark("biome", tmp_path)


def test_biome_with_an_unknown_code_or_other_size_names_the_file(tmp_path):
    codes = biome_codes()
    codes[2, 2] = 77
    make_biome(tmp_path / "a", codes)
    with pytest.raises(DataError, match=r"_fixedmask\.img: found class codes \[77\]"):
        open_benchmark("biome", tmp_path / "a")[0]
    make_biome(tmp_path / "b", biome_codes())
    (tmp_path / "b" / f"{BIOME_SCENE}_B3.TIF").unlink()  # else GDAL takes the MTL away with what it overwrites
    write_raster(tmp_path / "b" / f"{BIOME_SCENE}_B3.TIF", digital_numbers(1, 10, 10))
    with pytest.raises(DataError, match=r"_B3\.TIF: found \(10, 10\) px, wanted \(30, 33\)"):
        open_benchmark("biome", tmp_path / "b")[0]


def test_a_biome_scene_is_a_plain_value(tmp_path):
    make_biome(tmp_path, biome_codes())
    scene = open_benchmark("biome", tmp_path).scenes[0]
    assert isinstance(scene, BiomeScene)
    assert scene == open_benchmark("biome", tmp_path).scenes[0]


# --- LANA


def lana_image(rows=24, cols=24, dtype=np.int16):
    image = np.random.default_rng(6).integers(-50, 9000, (8, rows, cols)).astype(np.int16)
    image[:, 0, 0] = -32767
    return image if dtype is np.int16 else (image / 10000).astype(dtype)


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
@pytest.mark.parametrize("across", [False, True])
def test_lana_patches_are_read(tmp_path, dtype, across):
    name = "LC08_L1TP_223077_20140204_20170426_01_T1_0512.1024"
    image, codes = lana_image(dtype=dtype), biome_codes(24, 24, (0, 10, 64, 128, 192, 255))
    labels = tmp_path / "val" / ("labels" if across else "images") / f"{name}{'' if across else '_label'}.tif"
    write_raster(tmp_path / "val" / "images" / f"{name}.tif", image)
    write_raster(labels, codes[None])
    chips = open_benchmark("lana", tmp_path)
    assert len(chips) == 1
    chip = chips[0]
    assert (chip.region, chip.scene) == ("223/077", "LC08_L1TP_223077_20140204_20170426_01_T1")
    assert chips.index["split"].tolist() == ["val"]
    stored = lana_image()[1:7]
    np.testing.assert_allclose(chip.reflectance, np.where(stored < -30000, np.nan, stored / 10000), rtol=1e-5)
    truth = expected_labels(codes, USGS_TABLE)
    truth[:, 0, 0] = UNKNOWN
    np.testing.assert_array_equal(chip.labels, truth)


def test_lana_patches_of_another_size_and_folders_without_pairs_are_refused(tmp_path):
    for name, side in (("a", 24), ("b", 20)):
        write_raster(tmp_path / f"{name}.tif", lana_image(side, side))
        write_raster(tmp_path / f"{name}_mask.tif", biome_codes(side, side)[None])
    chips = open_benchmark("lana", tmp_path)
    assert chips[0].scene == "a"
    with pytest.raises(DataError, match=r"b\.tif: found \(20, 20\) px, wanted \(24, 24\)"):
        chips[1]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no pairs"):
        open_benchmark("lana", tmp_path / "empty")


# --- CloudSEN12

S2_SIX = [1, 2, 3, 8, 11, 12]
"""Of B1 B2 B3 B4 B5 B6 B7 B8 B8A B9 B10 B11 B12, from 0."""


def fine_patch(rows, cols, seed=0, pad=0):
    """Digital numbers (13, rows, cols) and codes; the last `pad` rows and the first columns are padding."""
    draw = np.random.default_rng(seed)
    digital = draw.integers(200, 9000, (13, rows, cols)).astype(np.uint16)
    codes = draw.choice(np.array([0, 1, 2, 3, 99], np.uint8), (rows, cols), p=[0.35, 0.2, 0.15, 0.2, 0.1])
    if pad:
        digital[:, -pad:] = 0
        digital[:, :, :pad] = 0
    return digital, codes


def expected_block(digital, codes, row, col):
    """Reflectance of one block in float64, and (cloud, shadow)."""
    area = (slice(3 * row, 3 * row + 3), slice(3 * col, 3 * col + 3))
    block = digital[S2_SIX][:, *area].astype(np.float64)
    if (block == 0).any():
        return np.full(6, np.nan), (UNKNOWN, UNKNOWN)
    votes = codes[area].ravel().tolist()
    cloud, shadow, clear = votes.count(1) + votes.count(2), votes.count(3), votes.count(0)
    most = max(cloud, shadow, clear)
    labels = (UNKNOWN, UNKNOWN) if cloud + shadow + clear < 5 else (cloud == most, shadow == most and cloud < most)
    return block.mean(axis=(1, 2)) / 10000, labels


def check_patch(chip, digital, codes):
    rows, cols = chip.labels.shape[1:]
    assert (3 * rows, 3 * cols) == codes.shape
    blocks = list(np.ndindex(rows, cols))
    corners = [(0, 0), (0, cols - 1), (rows - 1, 0), (rows - 1, cols - 1)]
    for row, col in corners + blocks[:: max(1, len(blocks) // 500)]:
        reflectance, labels = expected_block(digital, codes, row, col)
        np.testing.assert_allclose(chip.reflectance[:, row, col], reflectance, rtol=1e-5)
        assert tuple(chip.labels[[Mask.CLOUD, Mask.CLOUD_SHADOW], row, col]) == labels
    for mask in (Mask.WATER, Mask.SNOW_ICE, Mask.TERRAIN_SHADOW):
        assert (chip.labels[mask] == UNKNOWN).all()
    assert 0.05 < (chip.labels[Mask.CLOUD] == 1).mean() < 0.9  # the comparison is not of nothing


def test_geotiff_patches_become_thirty_metres(tmp_path):
    digital, codes = fine_patch(50, 50)
    patch = tmp_path / "high" / "ROI_0001" / "20190212T142031_20190212T143214_T19FDF"
    write_raster(patch / "S2L1C.tif", digital)
    write_raster(patch / "labels" / "manual_hq.tif", codes[None])
    chips = open_benchmark("cloudsen12", tmp_path)
    assert (len(chips), chips.size) == (1, 16)
    chip = chips[0]
    assert (chip.product, chip.region) == (Product.S30, "ROI_0001")
    check_patch(chip, digital[:, :48, :48], codes[:48, :48])


def test_a_coarse_window_is_cut_from_the_right_place(tmp_path):
    digital, codes = fine_patch(60, 60, seed=3)
    patch = tmp_path / "ROI_0002" / "20190212T142031_20190212T143214_T19FDF"
    write_raster(patch / "S2L1C.tif", digital)
    write_raster(patch / "labels" / "manual_hq.tif", codes[None])
    chips = open_benchmark("cloudsen12", tmp_path, size=10)
    check_patch(chips[3], digital[:, 30:, 30:], codes[30:, 30:])


def test_plain_arrays_are_read_without_their_padding(tmp_path):
    folder, patches = tmp_path / "test", [fine_patch(512, 512, seed=seed, pad=3) for seed in (1, 2)]
    folder.mkdir()
    names = ["B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11", "B12"]
    for place, name in enumerate(names):
        np.stack([digital[place] for digital, _ in patches]).astype(np.int16).tofile(folder / f"L1C_{name}.dat")
    codes = np.stack([codes for _, codes in patches])
    codes[:, -1] = 200  # what padding holds does not matter
    codes.tofile(folder / "LABEL_manual_hq.dat")
    table = {"roi_id": ["ROI_0007", "ROI_0008"], "s2_id": [S2_PRODUCT] * 2, "proj_shape": [509, 509]}
    pd.DataFrame(table).to_csv(folder / "metadata.csv", index=False)
    chips = open_benchmark("cloudsen12", tmp_path)
    assert chips.index["region"].tolist() == ["ROI_0007", "ROI_0008"]
    assert (chips.size, chips.index["split"].unique().tolist()) == (170, ["test"])
    check_patch(chips[1], patches[1][0][:, :510, :510], patches[1][1][:510, :510])
    with (folder / "L1C_B4.dat").open("ab") as file:
        file.write(b"xx")
    fresh = tmp_path / "again"
    folder.rename(fresh)
    with pytest.raises(DataError, match=r"L1C_B4\.dat: found 1048578 bytes, wanted 1048576"):
        open_benchmark("cloudsen12", fresh)[0]


def packed(parts):
    """A TACO of version 1: header, files, Parquet table."""
    body, rows = b"", []
    for part in parts:
        rows.append({**part["row"], "tortilla:offset": 200 + len(body), "tortilla:length": len(part["bytes"])})
        body += part["bytes"]
    buffer = io.BytesIO()
    pd.DataFrame(rows).to_parquet(buffer)
    table = buffer.getvalue()
    header = b"WX" + (200 + len(body)).to_bytes(8, "little") + len(table).to_bytes(8, "little")
    return header.ljust(200, b"\0") + body + table


def tiff_bytes(layers):
    count, rows, cols = layers.shape
    with rasterio.MemoryFile() as memory:
        with memory.open(driver="GTiff", count=count, height=rows, width=cols, dtype=layers.dtype.name) as raster:
            raster.write(layers)
        return memory.read()


def taco_patch(digital, codes, **row):
    image = {"row": {"tortilla:id": "s2l1c", "tortilla:file_format": "GTiff"}, "bytes": tiff_bytes(digital)}
    target = {"row": {"tortilla:id": "target", "tortilla:file_format": "GTiff"}, "bytes": tiff_bytes(codes[None])}
    facts = {"tortilla:file_format": "TORTILLA", "label_type": "high", "real_proj_shape": 509, **row}
    return {"row": facts, "bytes": packed([image, target])}


def test_a_taco_is_read_pack_within_pack(tmp_path):
    first, second = (fine_patch(512, 512, seed=seed, pad=3) for seed in (5, 6))
    rows = (
        {"tortilla:id": f"ROI_0003__{S2_PRODUCT}", "roi_id": "ROI_0003", "tortilla:data_split": "validation"},
        {"tortilla:id": "ROI_0004__a", "roi_id": "ROI_0004", "tortilla:data_split": "test", "label_type": "scribble"},
        {"tortilla:id": "ROI_0005__b", "roi_id": "ROI_0005", "tortilla:data_split": "test"},
    )
    patches = [taco_patch(*patch, **row) for patch, row in zip((first, first, second), rows, strict=True)]
    file = tmp_path / "cloudsen12-l1c.0000.part.taco"
    file.write_bytes(packed(patches))
    chips = open_benchmark("cloudsen12", file)
    assert PADDED[509] == 512
    assert chips.index["region"].tolist() == ["ROI_0003", "ROI_0005"]  # no scribbles
    assert chips.index["split"].tolist() == ["val", "test"]
    check_patch(chips[1], second[0][:, :510, :510], second[1][:510, :510])
    assert len(chips.split("val")) == 1
    file.write_bytes(b"PK" + file.read_bytes()[2:])
    with pytest.raises(DataError, match="wanted a TACO of version 1"):
        open_benchmark("cloudsen12", tmp_path)
    file.write_bytes(packed(patches)[:400_000])
    with pytest.raises(DataError, match="cut short"):
        open_benchmark("cloudsen12", tmp_path)


def test_cloudsen12_in_a_form_that_is_not_read_says_which_is(tmp_path):
    (tmp_path / "images_2000.mlstac").write_bytes(b"x")
    with pytest.raises(InputError, match=r"found only \.mlstac .* wanted \*\.taco"):
        open_benchmark("cloudsen12", tmp_path)


def test_cloudsen12_with_a_scribble_code_is_refused(tmp_path):
    digital, codes = fine_patch(30, 30)
    codes[4, 4] = 5
    patch = tmp_path / "ROI_0001" / "20190212T142031_20190212T143214_T19FDF"
    write_raster(patch / "S2L1C.tif", digital)
    write_raster(patch / "labels" / "manual_hq.tif", codes[None])
    with pytest.raises(DataError, match=r"manual_hq\.tif: found class codes \[5\]"):
        open_benchmark("cloudsen12", tmp_path)[0]


# --- the door and the table


@pytest.mark.parametrize("name", list(NAMES))
def test_a_missing_or_empty_folder_is_told_apart(tmp_path, name):
    with pytest.raises(InputError, match=f"benchmark {name}: found nothing"):
        open_benchmark(name, tmp_path / "nowhere")
    with pytest.raises(DataError, match=f"benchmark {name}: found no"):
        open_benchmark(name, tmp_path)


def test_unknown_names_and_sizes_are_refused(tmp_path):
    with pytest.raises(InputError, match="lana sparcs biome cloudsen12"):
        open_benchmark("38-cloud", tmp_path)
    make_sparcs(tmp_path)
    with pytest.raises(InputError, match="at least 1"):
        open_benchmark("sparcs", tmp_path, size=0)
    with pytest.raises(IndexError):
        open_benchmark("sparcs", tmp_path)[2]


def test_counts_are_those_of_a_slow_loop():
    draw = np.random.default_rng(11)
    masks = draw.random((5, 30, 30)) < 0.4
    labels = draw.choice(np.array([0, 1, UNKNOWN], np.uint8), (5, 30, 30))
    counts = np.zeros((3, 4), int)
    for row, col in np.ndindex(30, 30):
        cloud, shadow = (int(labels[mask, row, col]) for mask in (Mask.CLOUD, Mask.CLOUD_SHADOW))
        called_cloud, called_shadow = masks[Mask.CLOUD, row, col], masks[Mask.CLOUD_SHADOW, row, col]
        clear = UNKNOWN if UNKNOWN in {cloud, shadow} else int(cloud + shadow == 0)
        called = "cloud" if called_cloud else "shadow" if called_shadow else "clear"
        for place, (truth, said) in enumerate(
            ((cloud, called == "cloud"), (shadow, called == "shadow"), (clear, called == "clear"))
        ):
            if truth != UNKNOWN:
                counts[place, {(1, 1): 0, (0, 1): 1, (1, 0): 2, (0, 0): 3}[int(truth), int(said)]] += 1
    np.testing.assert_array_equal(count_classes(masks, labels), counts)


def test_scores_of_counts_by_hand():
    scores = class_scores(np.array([[6, 2, 4, 8], [0, 0, 0, 5], [0, 3, 2, 0]], np.int64))
    assert scores.index.tolist() == list(CLASSES)
    assert scores.loc["cloud", ["precision", "recall", "f1", "iou", "accuracy"]].tolist() == pytest.approx(
        [0.75, 0.6, 2 / 3, 0.5, 0.7]
    )
    assert scores.loc["cloud_shadow", ["precision", "recall", "f1"]].isna().all()  # nothing there, nothing called
    assert scores.loc["clear", ["precision", "recall", "f1"]].tolist() == [0, 0, 0]
    assert scores["positives"].tolist() == [10, 0, 2]


def test_masks_and_labels_of_other_shapes_are_refused():
    with pytest.raises(InputError, match="wanted the same"):
        count_classes(np.zeros((5, 4, 4), bool), np.zeros((5, 4, 5), np.uint8))


def test_published_water_scores_agree_with_themselves():
    water = published.water_scores()
    assert len(water) == 10
    harmonic = 2 * water["precision"] * water["recall"] / (water["precision"] + water["recall"])
    np.testing.assert_allclose(water["f1"], harmonic, atol=0.011)
    np.testing.assert_allclose(water["iou"], 100 * water["f1"] / (200 - water["f1"]), atol=0.011)


def test_ours_stand_above_the_published_figures_in_percent():
    ours = {"default": np.array([[6, 2, 4, 8], [1, 1, 1, 1], [3, 1, 0, 0]], np.int64)}
    table = beside_published("lana", ours)
    assert table.loc[0, ["method", "source"]].tolist() == ["default", "this run"]
    assert table.loc[0, ["cloud", "cloud_shadow", "clear"]].tolist() == pytest.approx([66.6666667, 50.0, 85.7142857])
    assert len(table) == 12
    lana = table.set_index("method").loc["LANA (Zhang 2024)"]
    assert lana[["cloud", "cloud_shadow", "clear"]].tolist() == [92.42, 57.53, 89.02]
    best = published.cloud_scores("lana").set_index(["method", "pretraining"]).loc[("Swin-T", "Satlas")]
    assert best["clear"] - lana["clear"] == pytest.approx(6.78)  # the "at least 6 %" of the abstract
    assert len(beside_published("sparcs", ours)) == 1
    assert len(beside_published("cloudsen12", {})) == 2
    assert "top-of-atmosphere" in TOA_NOTE
