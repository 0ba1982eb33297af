"""Real HLS L30 river chips with noisy labels, under their own sky and under simulated ones.

The set (128 x 128 px, `images/NNN.tif` with seven bands, Fmask, heights, land cover, water occurrence; `labels/NNN.png`
with binary water) was published without dates or positions. Its labels are noisy, so they are taken as partial:

- WATER: the label where it agrees with the water index or with Fmask over the chip as a whole, and elsewhere only pixel
  by pixel where label and index say the same; the rest is UNKNOWN. Under thick simulated cloud UNKNOWN.
- CLOUD, CLOUD_SHADOW: Fmask's cloud and shadow are UNKNOWN (they are mostly roofs, sand and wet soil here), the rest is
  clear; what a simulated sky adds is known.
- SNOW_ICE: Fmask's snow is snow only where it is bright and not labelled water (turbid rivers often pass for snow).
- TERRAIN_SHADOW: not there in flat country, UNKNOWN in hills.

A simulated sky on a real surface teaches clouds over surfaces that no simulator draws. Such chips count as simulated in
part: `source` says "hls-l30-river-chips" or "hls-l30-river-chips + simulated sky".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
import rasterio
from numpy.typing import NDArray

from models.chips import Chip
from models.packing import UNKNOWN
from ssc.bands import SIX, Band, Product
from ssc.errors import DataError, InputError
from ssc.legacy import dswx, fmask
from ssc.masks import Mask
from ssc.simulate import clouds, light, spectra
from ssc.simulate.noise import fractal, smoothstep
from ssc.simulate.seeds import stream
from ssc.simulate.truth import CLOUD_OPACITY, COVERED, SHADOW_BEAM
from tasks.chips.planes import spread
from tasks.chips.rims import rimmed
from tasks.chips.skies import SOFT_SHARE, random_air, random_layers, softened

Number = TypeVar("Number", bound=np.generic)

SOURCE: Final = "hls-l30-river-chips"
SKY_SOURCE: Final = f"{SOURCE} + simulated sky"
SEVEN: Final = (Band.COASTAL, *SIX)
"""Bands of the set, in the order of its layers; it has no cirrus."""
GOOD_IOU: Final = 0.5
"""A chip whose label overlaps the water index or Fmask this well is taken at its word."""
FLAT_M: Final = 60.0
"""Relief of a chip under which there can be no terrain shadow worth a pixel."""
HIDDEN: Final = 0.6
SNOW_SHARE: Final = 0.15
"""Share of the simulated skies that bring snow on the land too."""
TEST_EVERY, TEST_REST, VAL_REST = 5, 1, 7
"""Chips with number % 5 == 1 are for tests alone, % 10 == 7 for validation."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RiverChip:
    """One file of the set."""

    number: int
    reflectance: NDArray[np.float32]
    """(6, H, W) in the order of `SIX`, NaN where there is no data."""
    coastal: NDArray[np.float32]
    """(H, W), the same."""
    fmask: NDArray[np.uint8]
    water: NDArray[np.bool_]
    """(H, W) the published label."""
    dem_m: NDArray[np.float32]


def numbers(folder: str | Path) -> list[int]:
    """Numbers of the chips in a folder.

    Raises:
        InputError: No chips there.
    """
    found = sorted(int(path.stem) for path in (Path(folder) / "images").glob("*.tif"))
    if not found:
        raise InputError(f"no river chips in {folder}: wanted images/NNN.tif and labels/NNN.png")
    return found


def split_of_number(number: int) -> str:
    """The split of a chip.

    >>> [split_of_number(n) for n in (1, 2, 4, 6, 7, 17)]
    ['test', 'train', 'train', 'test', 'val', 'val']
    """
    if number % TEST_EVERY == TEST_REST:
        return "test"
    return "val" if number % (2 * TEST_EVERY) == VAL_REST else "train"


def read_river_chip(folder: str | Path, number: int) -> RiverChip:
    """One chip as it lies in the set.

    Raises:
        DataError: A file is missing, broken or of another form.
    """
    root = Path(folder)
    try:
        with rasterio.open(root / "images" / f"{number:03d}.tif") as image:
            layers = image.read()
        with rasterio.open(root / "labels" / f"{number:03d}.png") as label:
            water = label.read(1) > 0
    except rasterio.RasterioIOError as error:
        raise DataError(f"river chip {number} in {root}: cannot be read: {error}") from error
    if layers.shape[0] < 9 or water.shape != layers.shape[1:]:
        raise DataError(f"river chip {number}: found {layers.shape} with label {water.shape}, wanted 9 or more layers")
    seven = np.where(layers[:7] <= -9999, np.float32(np.nan), layers[:7].astype(np.float32) * np.float32(1e-4))
    return RiverChip(
        number=number,
        reflectance=seven[1:],
        coastal=seven[0],
        fmask=layers[7].astype(np.uint8),
        water=water,
        dem_m=layers[8].astype(np.float32),
    )


def river_chips(
    folder: str | Path,
    number: int,
    *,
    skies: int = 6,
    seed: int = 0,
    size: int = 256,
    bands: tuple[Band, ...] = SIX,
) -> Iterator[Chip]:
    """A chip under its own sky, then under simulated ones; mirrored to reach `size`.

    Args:
        folder: Of the set.
        number: Of the chip.
        skies: How many simulated skies.
        seed: Of the skies.
        size: Pixels per side of the result; 128 is the chip itself.
        bands: Of the chips; NaN for those that are none of `SEVEN`. The same planes whatever others are asked for.
    """
    raw = read_river_chip(folder, number)
    seven = np.stack([raw.coastal, *raw.reflectance])
    surface, known = _mirrored(seven, size), _mirrored(partial_labels(raw), size)
    yield spread(_chip(raw, surface, known, _mirrored(raw.fmask, size)), bands)
    for sky in range(skies):
        rng = stream(seed, "river chip", number, sky)
        yield spread(_chip(raw, *under_sky(surface, known, rng, SEVEN), None), bands)


def partial_labels(raw: RiverChip) -> NDArray[np.uint8]:
    """(5, H, W) what is known of a chip under its own sky."""
    blue, green, red, nir, swir1, _ = raw.reflectance
    bits = fmask.decode(raw.fmask)
    index = dswx.mndwi_water(green, swir1)
    good = max(_overlap(raw.water, index), _overlap(raw.water, bits.water)) > GOOD_IOU
    known = np.full((len(Mask), *raw.water.shape), UNKNOWN, np.uint8)
    known[Mask.WATER] = np.where((raw.water == index) | good, raw.water, UNKNOWN)
    known[Mask.CLOUD] = np.where(bits.cloud, UNKNOWN, 0)
    known[Mask.CLOUD_SHADOW] = np.where(bits.shadow | bits.cloud, UNKNOWN, 0)
    bright = (blue > 0.25) & (nir > 0.2) & (blue > 0.9 * red) & ~raw.water
    known[Mask.SNOW_ICE] = np.where(bits.snow & bright, 1, np.where(bits.snow & ~raw.water & ~index, UNKNOWN, 0))
    known[Mask.TERRAIN_SHADOW] = 0 if np.ptp(raw.dem_m) < FLAT_M else UNKNOWN
    known[:, ~np.isfinite(raw.reflectance).all(axis=0)] = UNKNOWN
    return known


def under_sky(
    surface: NDArray[np.float32], known: NDArray[np.uint8], rng: np.random.Generator, bands: tuple[Band, ...] = SIX
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """A real surface of some bands under a simulated sky: (B, H, W) reflectance and its (5, H, W) labels."""
    shape = (surface.shape[1], surface.shape[2])
    seen, labels = surface.copy(), known.copy()
    if rng.random() < SNOW_SHARE:
        seen, labels = _snowed(seen, labels, rng, bands)
    zenith, azimuth = float(rng.uniform(18, 70)), float(rng.uniform(0, 360))
    sky = clouds.form(random_layers(rng), shape, zenith=zenith, azimuth=azimuth, rng=rng)
    sky = softened(sky, rng) if rng.random() < SOFT_SHARE else sky
    air, shade = random_air(rng), 1 - sky.beam
    for place, band in enumerate(bands):
        diffuse = np.float32(min(air.blue_sky * light.sky_share(band, zenith) + air.grey_light, 1.0))
        lit = seen[place] * (diffuse + (1 - diffuse) * sky.beam) - shade * np.float32(air.lost_in_shadow(band))
        for name, opacity in (("water_cloud", sky.water_opacity), ("ice_cloud", sky.ice_opacity)):
            top = np.float32(air.cloud_top(name, band)) * (0.75 + 0.4 * opacity)
            lit += opacity * (top - np.float32(air.lost_in_cloud(band)) - lit)
        seen[place] = lit
    return seen.astype(np.float32), _overcast(labels, sky)


def _overcast(labels: NDArray[np.uint8], sky: clouds.Sky) -> NDArray[np.uint8]:
    cloud = sky.opacity >= CLOUD_OPACITY
    shadow = (sky.beam < SHADOW_BEAM) & ~cloud
    for mask, rim in zip((Mask.CLOUD, Mask.CLOUD_SHADOW), rimmed(cloud, shadow), strict=True):
        labels[mask] = np.where((rim == 0) & (labels[mask] == UNKNOWN) & ~cloud, UNKNOWN, rim)
    for mask in (Mask.WATER, Mask.SNOW_ICE):
        labels[mask][sky.opacity > HIDDEN] = UNKNOWN
    labels[Mask.TERRAIN_SHADOW][cloud | shadow] = UNKNOWN
    return labels


def _snowed(
    seen: NDArray[np.float32], labels: NDArray[np.uint8], rng: np.random.Generator, bands: tuple[Band, ...]
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Snow in drifts on all that is surely not water."""
    drift = fractal((seen.shape[1], seen.shape[2]), rng, exponent=3.0, longest_px=200)
    share = smoothstep(drift, rng.uniform(-1.0, 0.5), rng.uniform(0.6, 1.5))
    share = np.where(labels[Mask.WATER] == 0, share, 0).astype(np.float32)
    for place, band in enumerate(bands):
        seen[place] += share * (np.float32(spectra.spectrum("snow", band)) - seen[place])
    labels[Mask.SNOW_ICE] = np.where(share >= COVERED, 1, labels[Mask.SNOW_ICE])
    return seen, labels


def _chip(raw: RiverChip, seen: NDArray[np.float32], labels: NDArray[np.uint8], bits: NDArray[np.uint8] | None) -> Chip:
    valid = np.isfinite(seen[1:]).all(axis=0)  # coastal decides nothing
    return Chip(
        bands=SEVEN,
        reflectance=seen,
        labels=np.where(valid, labels, UNKNOWN).astype(np.uint8),
        product=Product.L30,
        source=SOURCE if bits is not None else SKY_SOURCE,
        region=f"river chip {raw.number}",
        scene=f"river chip {raw.number}",
        simulated=bits is None,
        fmask=bits,
    )


def _mirrored(layers: NDArray[Number], size: int) -> NDArray[Number]:
    """Continued by its mirror image to `size` rows and columns."""
    pad = [(0, 0)] * (layers.ndim - 2) + [(0, size - layers.shape[-2]), (0, size - layers.shape[-1])]
    return np.pad(layers, pad, mode="symmetric")


def _overlap(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Intersection over union; 0 where neither has a pixel."""
    union = float((first | second).sum())
    return float((first & second).sum()) / union if union else 0.0
