"""Ways a granule on disk can be broken, each a small damage done in place to a valid granule.

`MALFORMED[name](folder, granule)` damages the files of a granule below a folder. Whoever then opens, reads and asks for
angles must get a `DataError` that names the granule; other granules must not be touched by it.
"""

from __future__ import annotations

import gzip
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning

from ssc.bands import Band, Layer
from ssc.granules import Granule

Damage = Callable[[Path, Granule], None]
MALFORMED: dict[str, Damage] = {}

WEB_PAGE = b"<!DOCTYPE html>\n<html><head><title>Earthdata Login</title></head><body>Log in</body></html>\n"
NAD83_UTM15 = "EPSG:26915"


def damage(function: Damage) -> Damage:
    MALFORMED[function.__name__] = function
    return function


def file(folder: Path, granule: Granule, layer: Band | Layer = Band.RED) -> Path:
    """Where a layer lies; below the folder when the granule came without hrefs."""
    found = granule.hrefs.get(layer)
    return Path(found) if found else next(folder.rglob(granule.file_name(layer)))


def files(folder: Path, granule: Granule) -> list[Path]:
    return sorted(folder.rglob(f"{granule.name}.*.tif"))


def rewrite(
    path: Path, change: Callable[[NDArray[Any]], NDArray[Any]] = lambda pixels: pixels, *, tags: Any = None, **new: Any
) -> None:
    """Write a file again with other pixels (count, rows, cols), tags or creation options."""
    with rasterio.open(path) as old:
        pixels, profile, scales, offsets = change(old.read()), old.profile, old.scales, old.offsets
        kept = old.tags() if tags is None else tags
    path.unlink()
    profile |= {"count": pixels.shape[0], "height": pixels.shape[1], "width": pixels.shape[2], "dtype": pixels.dtype}
    profile |= new
    if profile["transform"] is None:
        del profile["transform"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # what some damages are about
        with rasterio.open(path, "w", **profile) as out:
            out.update_tags(**kept)
            out.scales, out.offsets = [scales[0]] * out.count, [offsets[0]] * out.count
            out.write(pixels)


def first_block(path: Path) -> int:
    """Where the pixels begin, bytes from the start: the first block of the full grid in the file."""
    with rasterio.open(path) as raster:
        rows, cols = (-(-size // block) for size, block in zip(raster.shape, raster.block_shapes[0], strict=True))
        items = [
            raster.get_tag_item(f"BLOCK_OFFSET_{col}_{row}", "TIFF", bidx=1)
            for row in range(rows)
            for col in range(cols)
        ]
    return min(int(item) for item in items if item)


def transform_of(path: Path) -> rasterio.Affine:
    with rasterio.open(path) as raster:
        return raster.transform


# Files that are not there, or not TIFFs


@damage
def band_missing(folder, granule):
    file(folder, granule).unlink()


@damage
def fmask_missing(folder, granule):
    file(folder, granule, Layer.FMASK).unlink()


@damage
def dangling_link(folder, granule):
    path = file(folder, granule)
    path.unlink()
    path.symlink_to(folder / "moved-away.tif")


@damage
def folder_for_a_file(folder, granule):
    path = file(folder, granule)
    path.unlink()
    path.mkdir()


@damage
def empty_file(folder, granule):
    file(folder, granule).write_bytes(b"")


@damage
def empty_fmask(folder, granule):
    file(folder, granule, Layer.FMASK).write_bytes(b"")


@damage
def login_page(folder, granule):
    file(folder, granule).write_bytes(WEB_PAGE)


@damage
def xml_refusal(folder, granule):
    refusal = b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code></Error>'
    file(folder, granule).write_bytes(refusal)


@damage
def json_refusal(folder, granule):
    file(folder, granule).write_bytes(b'{"error": "invalid_token", "error_description": "Token expired"}')


@damage
def plain_text(folder, granule):
    file(folder, granule).write_text("504 Gateway Time-out\n")


@damage
def zeros_only(folder, granule):
    path = file(folder, granule)
    path.write_bytes(bytes(path.stat().st_size))


@damage
def gzipped(folder, granule):
    path = file(folder, granule)
    path.write_bytes(gzip.compress(path.read_bytes()))


@damage
def another_format(folder, granule):
    file(folder, granule).write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))


@damage
def pointer_to_another_file(folder, granule):
    path, other = file(folder, granule), file(folder, granule, Band.BLUE)
    path.write_text(
        '<VRTDataset rasterXSize="64" rasterYSize="64"><VRTRasterBand dataType="Int16" band="1"><SimpleSource>'
        f"<SourceFilename>{other}</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"
    )


@damage
def storage_pointer(folder, granule):
    file(folder, granule).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 24600000\n")


# TIFFs that are broken


@damage
def half_downloaded(folder, granule):
    path = file(folder, granule)
    start, size = first_block(path), path.stat().st_size
    with path.open("r+b") as raster:
        raster.truncate(start + (size - start) // 10)


@damage
def header_alone(folder, granule):
    path = file(folder, granule)
    start = first_block(path)
    with path.open("r+b") as raster:
        raster.truncate(start)


@damage
def half_a_header(folder, granule):
    with file(folder, granule).open("r+b") as raster:
        raster.truncate(100)


@damage
def magic_number_alone(folder, granule):
    with file(folder, granule).open("r+b") as raster:
        raster.truncate(8)


@damage
def fmask_half_downloaded(folder, granule):
    path = file(folder, granule, Layer.FMASK)
    start = first_block(path)
    with path.open("r+b") as raster:
        raster.truncate(start + 2)


@damage
def pixels_zeroed(folder, granule):
    path = file(folder, granule)
    start, size = first_block(path), path.stat().st_size
    with path.open("r+b") as raster:
        raster.seek(start)
        raster.write(bytes(size - start))


@damage
def pixels_scrambled(folder, granule):
    path = file(folder, granule)
    start, size = first_block(path), path.stat().st_size
    with path.open("r+b") as raster:
        raster.seek(start)
        raster.write(np.random.default_rng(0).bytes(size - start))


@damage
def directory_beyond_the_end(folder, granule):
    with file(folder, granule).open("r+b") as raster:
        raster.seek(4)
        raster.write((2**31).to_bytes(4, "little"))


@damage
def size_of_a_planet(folder, granule):
    """ImageWidth (tag 256) becomes 2 000 000 px: what an allocation believed at face value would die of."""
    path = file(folder, granule)
    data = bytearray(path.read_bytes())
    directory = int.from_bytes(data[4:8], "little")
    assert data[directory + 2 : directory + 4] == (256).to_bytes(2, "little")
    data[directory + 4 : directory + 6] = (4).to_bytes(2, "little")  # LONG
    data[directory + 10 : directory + 14] = (2_000_000).to_bytes(4, "little")
    path.write_bytes(data)


# Grids that do not fit


@damage
def band_of_another_size(folder, granule):
    rewrite(file(folder, granule), lambda pixels: pixels[:, ::2, ::2])


@damage
def fmask_of_another_size(folder, granule):
    rewrite(file(folder, granule, Layer.FMASK), lambda pixels: pixels[:, :-1])


@damage
def band_one_pixel_off(folder, granule):
    path = file(folder, granule)
    rewrite(path, transform=transform_of(path) @ rasterio.Affine.translation(1, 0))


@damage
def band_in_the_next_zone(folder, granule):
    rewrite(file(folder, granule), crs=f"EPSG:{32600 + int(granule.tile[:2]) % 60 + 1}")


@damage
def all_in_the_next_zone(folder, granule):
    for path in files(folder, granule):
        rewrite(path, crs=f"EPSG:{32600 + int(granule.tile[:2]) % 60 + 1}")


@damage
def longitude_and_latitude(folder, granule):
    for path in files(folder, granule):
        rewrite(path, crs="EPSG:4326", transform=rasterio.Affine(0.00027, 0, -92, 0, -0.00027, 32.5))


@damage
def web_mercator(folder, granule):
    for path in files(folder, granule):
        rewrite(path, crs="EPSG:3857")


@damage
def another_datum(folder, granule):
    for path in files(folder, granule):
        rewrite(path, crs=NAD83_UTM15)


@damage
def no_crs(folder, granule):
    for path in files(folder, granule):
        rewrite(path, crs=None)


@damage
def no_georeference(folder, granule):
    for path in files(folder, granule):
        rewrite(path, crs=None, transform=None)


@damage
def pixels_of_10_m(folder, granule):
    for path in files(folder, granule):
        rewrite(path, transform=transform_of(path) @ rasterio.Affine.scale(1 / 3))


@damage
def south_up(folder, granule):
    for path in files(folder, granule):
        rewrite(path, transform=transform_of(path) @ rasterio.Affine.scale(1, -1))


@damage
def turned_grid(folder, granule):
    for path in files(folder, granule):
        rewrite(path, transform=transform_of(path) @ rasterio.Affine.rotation(10))


@damage
def angles_of_another_size(folder, granule):
    rewrite(file(folder, granule, Layer.SUN_ZENITH), lambda pixels: pixels[:, :-1])


# Pixels and tags that are not what HLS writes


@damage
def reflectance_as_float(folder, granule):
    rewrite(file(folder, granule), lambda pixels: (pixels * 1e-4).astype(np.float32), predictor=3, nodata=np.nan)


@damage
def reflectance_unsigned(folder, granule):
    rewrite(file(folder, granule), lambda pixels: pixels.astype(np.uint16), nodata=None)


@damage
def fmask_in_place_of_a_band(folder, granule):
    shutil.copy(file(folder, granule, Layer.FMASK), file(folder, granule))


@damage
def fmask_as_int16(folder, granule):
    rewrite(file(folder, granule, Layer.FMASK), lambda pixels: pixels.astype(np.int16))


@damage
def two_bands_in_a_file(folder, granule):
    rewrite(file(folder, granule), lambda pixels: np.concatenate([pixels, pixels]))


@damage
def scale_of_landsat(folder, granule):
    with rasterio.open(file(folder, granule), "r+") as raster:
        raster.scales = [0.0000275]


@damage
def offset_of_landsat(folder, granule):
    with rasterio.open(file(folder, granule), "r+") as raster:
        raster.offsets = [-0.2]


@damage
def angles_as_float(folder, granule):
    path = file(folder, granule, Layer.SUN_AZIMUTH)
    rewrite(path, lambda pixels: (pixels * 0.01).astype(np.float32), predictor=3)


@damage
def angles_half_downloaded(folder, granule):
    path = file(folder, granule, Layer.SUN_ZENITH)
    start = first_block(path)
    with path.open("r+b") as raster:
        raster.truncate(start + 2)


@damage
def no_sun_anywhere(folder, granule):
    for path in files(folder, granule):
        rewrite(path, tags={"cloud_coverage": "12"})
    file(folder, granule, Layer.SUN_AZIMUTH).unlink()


@damage
def sun_layers_all_fill(folder, granule):
    for path in files(folder, granule):
        rewrite(path, tags={})
    rewrite(file(folder, granule, Layer.SUN_ZENITH), lambda pixels: np.full_like(pixels, 40000))


@damage
def sun_below_the_horizon(folder, granule):
    retag(folder, granule, MEAN_SUN_ZENITH_ANGLE="97.5")


@damage
def files_of_another_day(folder, granule):
    retag(folder, granule, SENSING_TIME="2019-01-31T16:54:47.751044Z")


def retag(folder: Path, granule: Granule, **tags: str) -> None:
    for path in files(folder, granule):
        with rasterio.open(path, "r+") as raster:
            raster.update_tags(**tags)
