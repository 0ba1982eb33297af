"""Small valid HLS v2.0 granules, written as NASA writes them: one file a layer, tiled, deflated, tagged."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from pyproj import Transformer

from ssc.bands import CODES, Band, Layer, Product
from ssc.granules import Granule, parse

S30 = "HLS.S30.T15SXR.2021250T163901.v2.0"
L30 = "HLS.L30.T15SXR.2021250T164512.v2.0"
SOUTHERN = "HLS.L30.T19LBJ.2020239T144556.v2.0"

MEANS = {
    Layer.SUN_ZENITH: ("MEAN_SUN_ZENITH_ANGLE", 30.72),
    Layer.SUN_AZIMUTH: ("MEAN_SUN_AZIMUTH_ANGLE", 145.0),
    Layer.VIEW_ZENITH: ("MEAN_VIEW_ZENITH_ANGLE", 4.6),
    Layer.VIEW_AZIMUTH: ("MEAN_VIEW_AZIMUTH_ANGLE", 100.09),
}
WATER = {Band.BLUE: 0.06, Band.GREEN: 0.09, Band.RED: 0.1, Band.NIR: 0.04, Band.SWIR1: 0.012, Band.SWIR2: 0.008}
LAND = {Band.BLUE: 0.04, Band.GREEN: 0.07, Band.RED: 0.05, Band.NIR: 0.32, Band.SWIR1: 0.18, Band.SWIR2: 0.09}


def write_granule(
    folder: Path,
    name: str = S30,
    *,
    size: int = 64,
    layers: Iterable[Band | Layer] | None = None,
    numbers: Mapping[Band | Layer, NDArray[Any]] | None = None,
    tags: Mapping[str, str | None] | None = None,
    crs: str | None = None,
    origin: tuple[float, float] | None = None,
    **profile: Any,
) -> Granule:
    """Write a granule: a river a quarter of the tile wide, from north to south, through vegetated land.

    Args:
        folder: Created when it is not there.
        name: Official name; its zone and latitude band place the tile.
        size: Rows and columns.
        layers: The files to write; None: all the product has.
        numbers: Digital numbers (size, size) that replace those of a band or layer.
        tags: Tags to add or to replace; None takes one away.
        crs: Instead of EPSG:326zz.
        origin: Easting and northing of the upper left corner, metres.
        profile: Creation options that replace those of every file.
    """
    granule = parse(name)
    north = granule.tile[2] >= "N"
    left, top = origin or ((600_000, 3_600_000) if north else (199_980, -1_099_980))
    shared = {
        "crs": crs or f"EPSG:326{granule.tile[:2]}",
        "transform": rasterio.Affine(30, 0, left, 0, -30, top),
        **tiling(size),
        **profile,
    }
    written = {layer: str(folder / granule.file_name(layer)) for layer in layers or (*CODES[granule.product], *Layer)}
    folder.mkdir(parents=True, exist_ok=True)
    texts = {key: text for key, text in (default_tags(granule) | dict(tags or {})).items() if text is not None}
    for layer, path in written.items():
        data = (numbers or {}).get(layer)
        own = {} if layer in MEANS else texts  # angle layers of 2021 carry none of them
        write_layer(Path(path), layer, digital_numbers(layer, size) if data is None else data, own, **shared)
    return replace(granule, hrefs=written)


def write_layer(
    path: Path, layer: Band | Layer, numbers: NDArray[Any], tags: Mapping[str, str], **profile: Any
) -> None:
    """Write one file; tags and scale go first, so that the header lies before the pixels as in a COG."""
    nodata, scale = (255, 1.0) if layer is Layer.FMASK else (40000, 0.01) if layer in MEANS else (-9999, 0.0001)
    rows, cols = numbers.shape[-2:]
    settings = {"driver": "GTiff", "count": 1, "dtype": numbers.dtype, "nodata": nodata, **profile}
    with rasterio.open(path, "w", height=rows, width=cols, **settings) as out:
        out.update_tags(**tags)
        if layer is not Layer.FMASK:
            out.scales, out.offsets = [scale] * settings["count"], [0.0] * settings["count"]
        out.write(numbers.reshape(-1, rows, cols))


def write_reach(
    path: Path, line: Iterable[tuple[float, float]], *, reach_id: int = 74299900011, width_m: float = 300.0
) -> Path:
    """A GeoJSON with one reach along a line of (longitude, latitude)."""
    geometry = {"type": "LineString", "coordinates": [list(point) for point in line]}
    feature = {"type": "Feature", "properties": {"reach_id": reach_id, "width": width_m}, "geometry": geometry}
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    return path


def write_river(path: Path) -> Path:
    """The reach along the river of a granule of `write_granule`, 64 px, tile 15SXR."""
    to_degrees = Transformer.from_crs("EPSG:32615", "EPSG:4326", always_xy=True)
    return write_reach(path, [to_degrees.transform(600_720, 3_600_000 - 30 * row) for row in (2, 62)])


def tiling(size: int) -> dict[str, Any]:
    """Creation options of an HLS file; blocks of 256 px as there, smaller where that leaves a single one."""
    block = max(16, min(256, size // 32 * 16))
    return {"tiled": True, "blockxsize": block, "blockysize": block, "compress": "deflate", "predictor": 2}


def digital_numbers(layer: Band | Layer, size: int) -> NDArray[Any]:
    """(size, size) of a layer as stored."""
    river = np.zeros((size, size), bool)
    river[:, size // 4 : size // 2] = True
    if layer is Layer.FMASK:
        return np.where(river, 32 + 64, 64).astype(np.uint8)
    if isinstance(layer, Layer):
        slope = np.linspace(-0.5, 0.5, size)  # degrees from west to east
        return np.round(np.broadcast_to(MEANS[layer][1] + slope, (size, size)) * 100).astype(np.uint16)
    noise = np.random.default_rng(sum(map(ord, layer))).normal(0, 0.002, (size, size))
    reflectance = np.where(river, WATER.get(layer, 0.05), LAND.get(layer, 0.1)) + noise
    return np.round(reflectance * 10_000).astype(np.int16)


def default_tags(granule: Granule) -> dict[str, str]:
    """Tags both products have, and those that name the satellite."""
    late = timedelta(minutes=15) if granule.product is Product.S30 else timedelta()
    sensed = f"{granule.acquired + late:%Y-%m-%dT%H:%M:%S}.5000000Z"
    own = {
        Product.S30: {"SPACECRAFT_NAME": "Sentinel-2A"},
        Product.L30: {"LANDSAT_PRODUCT_ID": "LC08_L1TP_023038_20210907_20210916_02_T1", "SENSOR": "OLI_TIRS"},
    }
    means = {tag: str(mean) for tag, mean in MEANS.values()}
    return {"SENSING_TIME": sensed, "cloud_coverage": "12", **means, **own[granule.product]}
