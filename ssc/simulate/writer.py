"""A scene as an HLS v2.0 granule: official names, integers, tags, tiled GeoTIFF with overviews in front.

Layout as in real files (read from HLS.S30.T13RCN.2024128 and HLS.L30.T19LBJ.2020239): blocks of 256 x 256, DEFLATE with
horizontal differencing, overviews 2 4 8 16 by nearest neighbour in blocks of 128, EPSG:326zz also south of the equator.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from rasterio.io import MemoryFile
from rasterio.shutil import copy as copy_raster

from ssc.bands import CODES, SIX, Band, Layer, Product
from ssc.granules import Granule
from ssc.simulate import headers, thermal
from ssc.simulate.fmask_sim import FILL, cloud_coverage, encode
from ssc.simulate.grid import epsg
from ssc.simulate.noise import Field
from ssc.simulate.overpass import angles
from ssc.simulate.scene import Scene, render, swath

OVERVIEWS = [2, 4, 8, 16]
_COG = {
    "driver": "GTiff",
    "tiled": True,
    "blockxsize": 256,
    "blockysize": 256,
    "compress": "deflate",
    "predictor": 2,
    "interleave": "band",
    "num_threads": 2,
    "copy_src_overviews": True,
}


def write_granule(scene: Scene, folder: Path) -> Granule:
    """Write every layer of a granule into a folder of its own name below `folder`; the granule with its hrefs."""
    granule = scene.passing.granule
    target = folder / granule.name
    target.mkdir(parents=True, exist_ok=True)
    stored = {band: to_int16(render(scene, band)) for band in (*SIX, Band.CIRRUS)}
    fmask = encode(scene, {band: from_int16(numbers) for band, numbers in stored.items()})
    written: dict[Band | Layer, str] = {}
    common = _common_tags(scene, fmask)
    for band in CODES[granule.product]:
        numbers = stored.pop(band) if band in stored else to_int16(render(scene, band))
        written[band] = _write_layer(target, scene, band, numbers, common)
    written[Layer.FMASK] = _write_layer(target, scene, Layer.FMASK, fmask, common)
    for layer, hundredths in _angle_layers(scene).items():
        written[layer] = _write_layer(target, scene, layer, hundredths, common)
    for code in thermal.CODES if granule.product is Product.L30 else ():
        _write_layer(target, scene, code, to_int16(thermal.celsius(scene, code), scale=0.01), common)
    return replace(granule, hrefs=written)


def to_int16(values: Field, *, scale: float = 0.0001) -> NDArray[np.int16]:
    """Values as HLS stores them: floor(x / scale + 0.5), -9999 for NaN and for reflectance below -0.2."""
    numbers = np.floor(values / np.float32(scale) + np.float32(0.5))
    lowest = -2000 if scale == 0.0001 else -9998
    numbers[~(numbers >= lowest)] = -9999  # also NaN
    return np.minimum(numbers, 32767).astype(np.int16)


def from_int16(numbers: NDArray[np.int16]) -> Field:
    """Reflectance of stored integers, NaN for fill."""
    values = numbers.astype(np.float32) * np.float32(0.0001)
    values[numbers == -9999] = np.nan
    return values


def write_raster(
    path: Path,
    bands: NDArray[Any],
    geobox: GeoBox,
    *,
    nodata: float,
    tags: Mapping[str, str],
    descriptions: tuple[str, ...] = (),
    scale: float = 1.0,
) -> None:
    """Write (bands, H, W) as a tiled GeoTIFF whose overviews come before the full resolution.

    Args:
        path: Replaced when it exists.
        bands: (bands, H, W).
        geobox: Their grid.
        nodata: Value that means no data, in the header only.
        tags: Of the file.
        descriptions: Of the bands, the first ones.
        scale: Factor from stored numbers to values, in the header only.
    """
    profile = {
        "driver": "GTiff",
        "dtype": bands.dtype,
        "count": bands.shape[0],
        "height": bands.shape[1],
        "width": bands.shape[2],
        "nodata": nodata,
        "crs": rasterio.CRS.from_epsg(epsg(geobox)),
        "transform": geobox.affine,
    }
    predictor = 3 if np.issubdtype(bands.dtype, np.floating) else 2
    with rasterio.Env(GDAL_TIFF_OVR_BLOCKSIZE="128"), MemoryFile() as memory:
        with memory.open(**profile) as data:
            data.write(bands)
            data.update_tags(**tags)
            if scale != 1.0:
                data.scales = (scale,) * bands.shape[0]
            for number, text in enumerate(descriptions, start=1):
                data.set_band_description(number, text)
            data.build_overviews(OVERVIEWS, Resampling.nearest)
        with memory.open() as data:
            copy_raster(data, path, **(_COG | {"predictor": predictor}))


def _write_layer(
    folder: Path, scene: Scene, layer: Band | Layer | str, numbers: NDArray[Any], common: Mapping[str, str]
) -> str:
    granule = scene.passing.granule
    name = granule.file_name(layer) if isinstance(layer, Band | Layer) else f"{granule.name}.{layer}.tif"
    kind = {np.dtype(np.uint8): (FILL, 1.0), np.dtype(np.uint16): (40000, 0.01)}
    nodata, scale = kind.get(numbers.dtype, (-9999, 0.0001 if isinstance(layer, Band) else 0.01))
    text = headers.description(layer)
    write_raster(
        folder / name,
        numbers[None],
        scene.landscape.geobox,
        nodata=nodata,
        tags={**common, **headers.of_layer(layer, granule.product)},
        descriptions=(text,) if text else (),
        scale=scale,
    )
    return str(folder / name)


def _common_tags(scene: Scene, fmask: NDArray[np.uint8]) -> dict[str, str]:
    seen = swath(scene)
    sun = angles(scene.passing, scene.landscape.geobox)
    return headers.common(
        scene,
        sun_zenith=float(sun.sun_zenith[seen].mean(dtype=np.float64)),
        sun_azimuth=float(sun.sun_azimuth[seen].mean(dtype=np.float64)),
        clouds=cloud_coverage(fmask),
        coverage=int(100 * seen.mean() + 0.5),
    )


def _angle_layers(scene: Scene) -> dict[Layer, NDArray[np.uint16]]:
    """Angles in hundredths of a degree; fill 40000 outside the swath."""
    fields = angles(scene.passing, scene.landscape.geobox)
    outside = ~swath(scene)
    layers = {
        Layer.SUN_ZENITH: fields.sun_zenith,
        Layer.SUN_AZIMUTH: fields.sun_azimuth,
        Layer.VIEW_ZENITH: fields.view_zenith,
        Layer.VIEW_AZIMUTH: fields.view_azimuth,
    }
    stored = {layer: np.floor(field * 100 + 0.5).astype(np.uint16) for layer, field in layers.items()}
    for numbers in stored.values():
        numbers[outside] = 40000
    return stored
