"""Fmask as HLS ships it: spectral tests on what the sensor saw, with the errors such tests make.

The tests are those of Fmask (Zhu & Woodcock 2012, 10.1016/j.rse.2011.10.028; Zhu et al. 2015; Qiu et al. 2019), without
its scene-wide statistics. They err where the real ones err: very turbid water is called snow or land, thin cloud and
small cloud is missed, bright snow beside rock is called cloud, shadows are sought at a wrong height. Then, as in HLS
(User Guide v2.0, table 9): clouds and shadows grow by 3 pixels, the ring of 5 pixels round them is "adjacent" and
overwrites water and snow, and on L30 a bit is set where any of 2 x 2 contributing pixels has it, so that water is a
pixel too wide.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ssc.bands import SIX, Band, Product
from ssc.simulate import clouds
from ssc.simulate.noise import Field, fractal
from ssc.simulate.scene import Scene
from ssc.simulate.thermal import celsius

Bool2d = NDArray[np.bool_]

CLOUD, ADJACENT, SHADOW, SNOW, WATER, AEROSOL = 1, 2, 3, 4, 5, 6
"""Bit numbers; aerosol takes bits 6 and 7. Bit 0 (cirrus) is never set."""
FILL = 255
GROW_PX, RING_PX = 3, 5
HEIGHT_ERROR = 0.12
"""Relative error of the cloud height that shadows are sought at (one standard deviation)."""


def encode(scene: Scene, bands: Mapping[Band, Field]) -> NDArray[np.uint8]:
    """(H, W) Fmask bit field of a scene, 255 where a band has no data.

    Args:
        scene: For the directions, the haze and the thermal bands.
        bands: The six bands and CIRRUS as the product holds them, (H, W), NaN without data.
    """
    valid = np.logical_and.reduce([np.isfinite(bands[band]) for band in SIX])
    seen = {band: np.nan_to_num(field) for band, field in bands.items()}
    cold = celsius(scene, "B10") if scene.passing.product is Product.L30 else None
    cloud = _clouds(scene, seen, cold) & valid
    shadow = _shadows(scene, cloud) & valid
    cloud, shadow = _grown(cloud, GROW_PX), _grown(shadow, GROW_PX)
    shadow &= ~cloud
    ring = _grown(cloud | shadow, RING_PX) & ~cloud & ~shadow
    clear = ~(ring | cloud | shadow)
    snow = snow_test(seen, cold)
    water = water_test(seen) & ~snow
    layers = {CLOUD: cloud, ADJACENT: ring, SHADOW: shadow, SNOW: snow & clear, WATER: water & clear}
    if scene.passing.product is Product.L30:
        layers = {bit: _any_of_four(layer & valid) for bit, layer in layers.items()}
    out = _aerosol(scene) << np.uint8(AEROSOL)
    for bit, layer in layers.items():
        out |= layer.astype(np.uint8) << np.uint8(bit)
    out[~valid] = FILL
    return out


def cloud_coverage(fmask: NDArray[np.uint8]) -> int:
    """The cloud_coverage tag: percent of valid pixels with cirrus, cloud or shadow, rounded half up."""
    valid = fmask != FILL
    hidden = ((fmask & 0b1011) != 0) & valid
    return int(100 * hidden.sum() / max(int(valid.sum()), 1) + 0.5)


def water_test(seen: Mapping[Band, Field]) -> Bool2d:
    """(H, W), True where dark near infrared and no red edge look like water (Zhu & Woodcock 2012, eq. 5)."""
    ndvi = _ratio(seen[Band.NIR], seen[Band.RED])
    nir = seen[Band.NIR]
    return ((ndvi < 0.01) & (nir < 0.11)) | ((ndvi < 0.1) & (nir < 0.05))


def snow_test(seen: Mapping[Band, Field], celsius_: Field | None) -> Bool2d:
    """(H, W), True where bright and dark in SWIR like snow (eq. 20); warm pixels are spared when there is thermal."""
    snow = (_ratio(seen[Band.GREEN], seen[Band.SWIR1]) > 0.15) & (seen[Band.NIR] > 0.11) & (seen[Band.GREEN] > 0.1)
    return snow if celsius_ is None else snow & (celsius_ < 3.8)


def _clouds(scene: Scene, seen: Mapping[Band, Field], celsius_: Field | None) -> Bool2d:
    blue, green, red = seen[Band.BLUE], seen[Band.GREEN], seen[Band.RED]
    mean = (blue + green + red) / 3
    snowy = _ratio(green, seen[Band.SWIR1])
    whiteness = (np.abs(blue - mean) + np.abs(green - mean) + np.abs(red - mean)) / np.maximum(mean, 0.01)
    potential = (
        (seen[Band.SWIR2] > 0.03)
        & ((snowy < 0.15) | ((snowy < 0.45) & (seen[Band.SWIR1] > 0.3)))
        & (_ratio(seen[Band.NIR], red) < 0.8)
        & (whiteness < 0.7)
        & (blue - 0.5 * red > 0.08)
        & (seen[Band.NIR] > 0.75 * seen[Band.SWIR1])
    )
    if celsius_ is not None:
        potential &= celsius_ < 27
    # Fmask's probability threshold follows the scene; here it wavers by place, which misses thin cloud now and then.
    wavers = fractal(blue.shape, scene.stream("fmask"), exponent=3.0, longest_px=200, step=2)
    cloud = (potential & (blue > 0.16 + 0.025 * wavers)) | (seen[Band.CIRRUS] > 0.012)
    return np.asarray(ndimage.binary_opening(cloud, np.ones((3, 3), dtype=bool)))


def _shadows(scene: Scene, cloud: Bool2d) -> Bool2d:
    """Clouds moved along the sun by a height that is a little wrong."""
    height = scene.sky.height_m * (1 + HEIGHT_ERROR * scene.stream("fmask height").standard_normal())
    rows, cols = clouds.displacement(height, scene.sun.zenith, scene.sun.grid_azimuth)
    moved = ndimage.shift(cloud.view(np.uint8), (round(rows), round(cols)), order=0, prefilter=False)
    return (moved > 0) & ~cloud


def _aerosol(scene: Scene) -> NDArray[np.uint8]:
    """(H, W) 1 low, 2 average, 3 high: the haze, more where clouds are near, noisy over single blocks of pixels."""
    shape = scene.landscape.shape
    noisy = fractal(shape, scene.stream("aerosol"), exponent=1.5, longest_px=60, step=3)
    near = ndimage.uniform_filter(scene.sky.opacity, 25)
    level = scene.haze + 0.5 * near + 0.12 * noisy
    return np.digitize(level, (0.42, 0.75)).astype(np.uint8) + np.uint8(1)


def _grown(mask: Bool2d, pixels: int) -> Bool2d:
    return np.asarray(ndimage.maximum_filter(mask.view(np.uint8), 2 * pixels + 1) > 0)


def _any_of_four(mask: Bool2d) -> Bool2d:
    return np.asarray(ndimage.maximum_filter(mask.view(np.uint8), 2) > 0)


def _ratio(a: Field, b: Field) -> Field:
    """Normalised difference, 0 where both are."""
    total = a + b
    return np.asarray((a - b) / np.where(np.abs(total) < 1e-4, np.float32(1), total))
