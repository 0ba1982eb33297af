"""Masks of one granule as files to look at and to work with elsewhere: COG, STAC item, picture.

paths = predict_granule(granule, Path("out"), masker=open_masker("default"))
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import rasterio
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling

from ssc.bands import SIX, Band, Product
from ssc.clear import ClearWaterRule, usable
from ssc.drafts import drafted
from ssc.errors import InputError
from ssc.granules import Granule
from ssc.masks import Mask, Masker, Masks, clear_water
from ssc.observation import Observation
from ssc.provenance import code_version
from ssc.rasters import open_granule
from ssc.reaches import Reaches
from ssc.report.quicklook import quicklook as draw
from tasks import stac
from tasks.maskers import NetworkMasker
from tasks.quicklooks import centrelines

NODATA: Final = 255
"""In both files: the granule holds no data there."""
FULL: Final = 254
"""Stored number of a probability of 1."""
_COG: Final[dict[str, Any]] = {"driver": "COG", "compress": "deflate", "predictor": "yes", "blocksize": 256}
_COG_TYPE: Final = "image/tiff; application=geotiff; profile=cloud-optimized"


def predict_granule(
    granule: Granule,
    out: Path | str,
    *,
    masker: Masker,
    probabilities: bool = False,
    quicklook: bool = True,
    reaches: Reaches | None = None,
) -> dict[str, Path]:
    """Mask a granule and write what was found.

    `<granule>.masks.tif` holds the five masks as bits 0 to 4 in the order of `Mask`, `<granule>.probabilities.tif` a
    band for each (as the network says; shadow from an elevation model is in the masks only), `<granule>.png` a picture
    and `<granule>.json` a STAC item of them all. Files take their places whole, the item last.

    Args:
        granule: With hrefs of the bands that the masker is to read, and of Fmask; for a picture also of the visible.
        out: Folder; made when it is not there.
        masker: From `tasks.maskers.open_masker`.
        probabilities: Whether to write those too.
        quicklook: Whether to draw.
        reaches: Drawn into the picture.

    Returns:
        Path by the key of its asset in the item, and "item".

    Raises:
        InputError: Probabilities of a masker that has none.
        BandError: The masker is to read a band that the product does not have.
        DataError, AccessError, TransientError: As `open_granule`.
    """
    if probabilities and not isinstance(masker, NetworkMasker):
        raise InputError(f"no probabilities from {masker.name}: it decides by rules, wanted a network")
    observation, seen = _read(granule, _to_read(masker, granule.product), also=SIX if quicklook else ())
    masks, shares = _judge(masker, observation)
    tags = tags_of(masker, granule)
    folder, grid, name = Path(out), observation.geobox, granule.name
    paths = {"masks": folder / f"{name}.masks.tif"}
    _write_masks(paths["masks"], masks, grid, tags)
    if probabilities and shares is not None:
        paths["probabilities"] = folder / f"{name}.probabilities.tif"
        _write_probabilities(paths["probabilities"], shares, masks, grid, tags)
    if quicklook:
        paths["quicklook"] = folder / f"{name}.png"
        with drafted(paths["quicklook"]) as draft:
            draft.write_bytes(_picture(seen, masks, reaches))
    assets = {key: _ASSETS[key] | _grid_fields(key, grid) | {"href": f"./{path.name}"} for key, path in paths.items()}
    properties = {f"ssc:{key}": tag for key, tag in tags.items()}
    paths["item"] = folder / f"{name}.json"
    with drafted(paths["item"]) as draft:
        draft.write_text(json.dumps(stac.item(granule, observation.facts, assets, properties), indent=1) + "\n")
    return paths


def encode(masks: Masks) -> NDArray[np.uint8]:
    """(H, W) the five masks as bits 0 to 4 in the order of `Mask`; 255 where there is no data."""
    bits = np.zeros(masks.valid.shape, np.uint8)
    for mask in Mask:
        bits |= masks[mask].astype(np.uint8) << np.uint8(mask)
    bits[~masks.valid] = NODATA
    return bits


def decode(bits: NDArray[np.uint8]) -> Masks:
    """What `encode` was given."""
    valid = bits != NODATA
    return Masks(stack=np.stack([(bits >> np.uint8(mask) & 1).astype(bool) & valid for mask in Mask]), valid=valid)


def _to_read(masker: Masker, product: Product) -> tuple[Band, ...]:
    return masker.to_read(product) if isinstance(masker, NetworkMasker) else SIX


def _read(granule: Granule, bands: tuple[Band, ...], *, also: tuple[Band, ...]) -> tuple[Observation, Observation]:
    """The granule in some bands, and in those and others; the pixels are the same, not copies."""
    further = tuple(band for band in also if band not in bands and band in granule.hrefs)
    with open_granule(granule, bands=bands) as reader:
        whole = reader.read((*bands, *further))
    return replace(whole, bands=bands, reflectance=whole.reflectance[: len(bands)]), whole


def _judge(masker: Masker, observation: Observation) -> tuple[Masks, NDArray[np.float32] | None]:
    """Masks, and the probabilities behind them where there are any."""
    if not isinstance(masker, NetworkMasker):
        return masker(observation), None
    shares = masker.probabilities(observation)
    return masker.masks(observation, shares), shares


def tags_of(masker: Masker, granule: Granule) -> dict[str, str]:
    """Where the masks come from, as tags of the files: what decides them, but for the granule's own pixels."""
    terrain = "elevation model" if getattr(masker, "shadow", None) is not None else "image"
    tags = {"granule": granule.name, "masker": masker.name, "version": code_version(), "terrain_shadow_from": terrain}
    if isinstance(masker, NetworkMasker):
        card = masker.neural.card
        tags["bands_used"] = " ".join(masker.bands_used(granule.product))
        tags["weights_sha256"] = card.sha256
        tags["thresholds"] = " ".join(f"{mask.name.lower()}={card.thresholds[mask]:.9g}" for mask in card.tasks)
    return tags


def _write_masks(path: Path, masks: Masks, grid: GeoBox, tags: Mapping[str, str]) -> None:
    meaning = {
        "flag_masks": " ".join(str(1 << mask) for mask in Mask),
        "flag_meanings": " ".join(mask.name.lower() for mask in Mask),
        "_FillValue": str(NODATA),
    }
    _write(path, encode(masks)[None], grid, {**meaning, **tags}, resampling=Resampling.mode, names=["masks"])


def _write_probabilities(
    path: Path, shares: NDArray[np.float32], masks: Masks, grid: GeoBox, tags: Mapping[str, str]
) -> None:
    numbers = np.empty(shares.shape, np.uint8)
    for layer, share in zip(numbers, shares, strict=True):
        layer[:] = np.where(masks.valid, np.rint(np.nan_to_num(share) * FULL), NODATA)
    scale = {"scale_factor": f"{1 / FULL:.9g}", "_FillValue": str(NODATA)}
    names = [mask.name.lower() for mask in Mask]
    _write(path, numbers, grid, {**scale, **tags}, resampling=Resampling.average, names=names, scale=1 / FULL)


def _write(
    path: Path,
    layers: NDArray[np.uint8],
    grid: GeoBox,
    tags: Mapping[str, str],
    *,
    resampling: Resampling,
    names: list[str],
    scale: float = 1.0,
) -> None:
    """A COG of (N, H, W) on a grid, whole or not at all."""
    count, height, width = layers.shape
    profile = {"count": count, "height": height, "width": width, "dtype": "uint8", "nodata": NODATA}
    place = {"crs": str(grid.crs), "transform": grid.affine, "overview_resampling": resampling.name}
    with drafted(path) as draft, rasterio.open(draft, "w", **_COG, **profile, **place) as file:
        file.write(layers)
        file.update_tags(**tags)
        file.descriptions = names
        if scale != 1.0:
            file.scales = (scale,) * count


def _picture(observation: Observation, masks: Masks, reaches: Reaches | None) -> bytes:
    """What is clear is so by all six bands where there are six, whichever the masks come from."""
    has_six = set(SIX) <= set(observation.bands)
    clear = usable(observation, masks, ClearWaterRule()).clear if has_six else clear_water(masks)
    lines = [] if reaches is None else centrelines(observation, reaches)
    colour = np.stack([observation.band(band) for band in (Band.RED, Band.GREEN, Band.BLUE)])
    return draw(colour, masks, clear, lines, form="PNG")


def _grid_fields(key: str, grid: GeoBox) -> dict[str, Any]:
    return {} if key == "quicklook" else stac.grid_fields(grid)


_ASSETS: Final[dict[str, dict[str, Any]]] = {
    "masks": {
        "title": "Water, cloud, cloud shadow, snow or ice, terrain shadow: one bit each",
        "type": _COG_TYPE,
        "roles": ["data"],
        "data_type": "uint8",
        "nodata": NODATA,
        "classification:bitfields": stac.bitfields(),
    },
    "probabilities": {
        "title": "Calibrated probability of each mask",
        "type": _COG_TYPE,
        "roles": ["data"],
        "data_type": "uint8",
        "nodata": NODATA,
        "raster:scale": 1 / FULL,
        "bands": [{"name": mask.name.lower()} for mask in Mask],
    },
    "quicklook": {"title": "Colour, masks, clear water", "type": "image/png", "roles": ["overview"]},
}
