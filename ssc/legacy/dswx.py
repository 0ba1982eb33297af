"""OPERA's Dynamic Surface Water Extent from HLS (DSWx-HLS), pixel by pixel.

Five spectral tests give a diagnostic (five bits), the diagnostic gives a water class, and aerosol, terrain shading,
land cover and clouds then change that class:

    diagnostic -> WTR-1 -> aerosol -> WTR-2 -> WTR (cloud 253, snow 252), BWTR (yes or no), CONF (class + 10 or 20)

Classes in memory: 0 not water, 1 high confidence, 2 moderate, 3 partial surface water (conservative), 4 partial
(aggressive), 254 ocean, 255 no data. Files hold them collapsed: 1 open water, 2 partial surface water.

Thresholds are in digital numbers (reflectance x 10 000), as documented. Reflectance is rounded to the digital number it
came from, in float32: for sums up to 65 534 every ratio that differs from a threshold stays different, so ties fall as
in exact arithmetic. The original adds bands in int16, where two saturated bands wrap to a negative sum; we do not.

Source: nasa/PROTEUS 1.0.2, dswx_hls.py and its defaults; OPERA DSWx-HLS algorithm theoretical basis document.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ssc.errors import InputError
from ssc.legacy import fmask as bits
from ssc.legacy.dswx_layers import (
    AEROSOL_BIT,
    CLOUD_BIT,
    FILL,
    OCEAN,
    SHADOW_BIT,
    SNOW_BIT,
    AdjacentMode,
    Classes,
    bwtr,
    cloud,
    collapse,
    conf,
    wtr,
)
from ssc.legacy.dswx_preset import V0_1, V1_0_2, Preset

__all__ = [
    "AEROSOL_BIT",
    "CLOUD_BIT",
    "FILL",
    "INVALID",
    "OCEAN",
    "SHADOW_BIT",
    "SNOW_BIT",
    "V0_1",
    "V1_0_2",
    "AdjacentMode",
    "Layers",
    "Preset",
    "aerosol",
    "bwtr",
    "classify",
    "cloud",
    "collapse",
    "conf",
    "diagnostic",
    "digits",
    "mndwi_water",
    "shad",
    "wtr",
    "wtr1",
    "wtr2",
]

Float = NDArray[np.float32]

INVALID: Final = 32
"""Diagnostic of a pixel without data."""
LAND_URBAN_HIGH, LAND_WATER, LAND_EVERGREEN, LAND_NONE = 100, 200, 201, 255
"""LAND codes: below 100 low-intensity developed, 100-199 high-intensity, 200 water, 201 evergreen, 255 none."""

_CHUNK = 1 << 16  # pixels a round: six float32 bands and their temporaries stay in the cache, about 3x faster


def diagnostic(  # noqa: PLR0917  # six bands and a preset, as promised to users
    blue: Float, green: Float, red: Float, nir: Float, swir1: Float, swir2: Float, preset: Preset = V1_0_2
) -> Classes:
    """The five tests as bits: T1 = 1, T2 = 2, T3 = 4, T4 = 8, T5 = 16; 32 where any band has no data.

    Args:
        blue: Surface reflectance, unitless (0..1, small negatives legal), any shape, NaN where there is no data.
        green: As `blue`, of the same or a broadcastable shape; so are the other four bands.
        red: As `blue`.
        nir: As `blue`; the narrow band (L30 B05, S30 B8A).
        swir1: As `blue`.
        swir2: As `blue`.
        preset: Thresholds.

    Raises:
        InputError: Integers (digital numbers instead of reflectance).

    >>> diagnostic(0.06, 0.05, 0.03, 0.015, 0.008, 0.005), diagnostic(0.06, 0.05, 0.03, 0.015, 0.008, np.nan)
    (array(31, dtype=uint8), array(32, dtype=uint8))
    """
    bands = np.broadcast_arrays(*(_reflectance(band) for band in (blue, green, red, nir, swir1, swir2)))
    flat = [band.reshape(-1) for band in bands]
    result = np.empty(flat[0].size, np.uint8)
    with np.errstate(invalid="ignore", divide="ignore"):  # NaN marks no data; without clipping sums may be zero
        for start in range(0, result.size, _CHUNK):
            chunk = slice(start, start + _CHUNK)
            result[chunk] = _five_tests([band[chunk] for band in flat], preset)
    return result.reshape(bands[0].shape)


def _reflectance(band: Float) -> Float:
    values = np.asarray(band)
    if values.dtype.kind != "f":
        raise InputError(f"not reflectance: found {values.dtype} {values.shape}, wanted floats 0..1 (DN / 10 000)")
    return values


def _dn(reflectance: Float) -> Float:
    """Digital numbers as whole float32; NaN stays."""
    return np.rint(reflectance.astype(np.float32, copy=False) * np.float32(1e4))


def _five_tests(bands: Sequence[Float], preset: Preset) -> Classes:
    b, g, r, n, s1, s2 = (_dn(band) for band in bands)
    invalid = ~np.isfinite(b + g + r + n + s1 + s2)
    if preset.clip:
        for band in (b, g, r, n, s1, s2):
            np.maximum(band, 1, out=band)
    mndwi = (g - s1) / (g + s1)
    infrared = n + s1
    p = preset
    result = (mndwi > p.mndwi).view(np.uint8)
    result |= (g + r > infrared).view(np.uint8) << 1
    result |= (b + 2.5 * g - 1.5 * infrared - 0.25 * s2 > p.awesh).view(np.uint8) << 2
    partial1 = (mndwi > p.partial1_mndwi) & (s1 < p.partial1_swir1) & (n < p.partial1_nir)
    partial1 &= (n - r) / (n + r) < p.partial1_ndvi
    partial2 = (mndwi > p.partial2_mndwi) & (b < p.partial2_blue) & (s1 < p.partial2_swir1)
    partial2 &= (s2 < p.partial2_swir2) & (n < p.partial2_nir)
    result |= partial1.view(np.uint8) << 3
    result |= partial2.view(np.uint8) << 4
    result[invalid] = INVALID
    return result


def mndwi_water(green: Float, swir1: Float, preset: Preset = V1_0_2) -> NDArray[np.bool_]:
    """Test 1 alone: True where MNDWI = (green - SWIR1) / (green + SWIR1) exceeds the preset's; False where NaN."""
    g, s1 = _dn(_reflectance(green)), _dn(_reflectance(swir1))
    if preset.clip:
        g, s1 = np.maximum(g, 1), np.maximum(s1, 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (g - s1) / (g + s1) > preset.mndwi


def _class_of(diag: int) -> int:
    """Class of one diagnostic: by the number of tests passed, two combinations set apart."""
    if diag == INVALID:
        return FILL
    if diag == 0b11000:
        return 3
    passed = diag.bit_count()
    return {5: 1, 4: 1, 3: 2, 2: 4}.get(passed, 4 if diag == 0b10000 else 0)


_CLASS_OF_DIAGNOSTIC = np.array([_class_of(diag) for diag in range(INVALID + 1)], np.uint8)
_DIGITS_OF_DIAGNOSTIC = np.array([int(f"{diag:b}") for diag in range(INVALID)] + [65535], np.uint16)


def wtr1(diagnostic: Classes) -> Classes:
    """Water class 0-4 of each diagnostic (0-32), 255 where it is 32."""
    return _CLASS_OF_DIAGNOSTIC[diagnostic]


def digits(diagnostic: Classes) -> NDArray[np.uint16]:
    """The diagnostic as the DIAG file spells it: decimal digits that look binary (24 -> 11000), fill 65535."""
    return _DIGITS_OF_DIAGNOSTIC[diagnostic]


def _aerosol_table() -> NDArray[np.bool_]:
    """(256 Fmask values, 256 classes), True where the aerosol step may turn that class into 1."""
    table = np.zeros((256, 256), bool)
    for wet in (0, 2):
        table[[96, 160, 224], wet] = True
    for partial in (3, 4):
        table[[96, 128, 160, 192, 224], partial] = True
    return table


_AEROSOL = _aerosol_table()


def aerosol(classes: Classes, nir: Float, fmask: Classes, preset: Preset = V1_0_2) -> tuple[Classes, NDArray[np.bool_]]:
    """Classes after the aerosol step, and where it acted.

    A pixel dark in NIR whose Fmask is exactly "water or clear, with aerosol" becomes class 1. Any other Fmask bit stops
    it. Thus Fmask's water bit, coarse as it is, leaks into WTR-2, WTR and CONF, as in the original.
    """
    remapped = _AEROSOL[fmask, classes] & (_dn(_reflectance(nir)) <= preset.aerosol_nir)
    return np.where(remapped, np.uint8(1), classes), remapped


def wtr2(
    classes: Classes,
    nir: Float,
    shad: NDArray[np.integer | np.bool_] | None = None,
    land: Classes | None = None,
    preset: Preset = V1_0_2,
) -> Classes:
    """WTR-2: water rejected where terrain shading or land cover makes it unlikely.

    Args:
        classes: Classes after the aerosol step.
        nir: Reflectance, unitless.
        shad: OPERA's SHAD, 1 = lit, 0 = masked (note the sense); None without a DEM.
        land: OPERA's LAND codes; None without land cover.
        preset: Thresholds.
    """
    water = (classes >= 1) & (classes <= 4)
    rejected = np.zeros(water.shape, bool)
    if shad is not None:
        masked = np.asarray(shad) == 0
        rejected |= masked if land is None else masked & (land != LAND_WATER)
    if land is not None:
        bright = (classes >= 3) & (_dn(_reflectance(nir)) > preset.land_nir)
        rejected |= bright & ((land == LAND_EVERGREEN) | (land < LAND_URBAN_HIGH))
        rejected |= (land >= LAND_URBAN_HIGH) & (land < LAND_WATER)
    return np.where(water & rejected, np.uint8(0), classes)


def shad(
    dem_m: NDArray[np.floating],
    pixel_m: float,
    sun_zenith_deg: float,
    sun_azimuth_deg: float,
    preset: Preset = V1_0_2,
) -> NDArray[np.bool_]:
    """OPERA's SHAD: True = lit, False = masked (the reverse of this package's masks, and of DSWx v0.1).

    Shading, not shadow: it masks slopes turned away from the sun even where they are fully lit, and never sees a
    shadow cast on flat ground; for that see `terrain.cast_shadow`.

    Args:
        dem_m: (H, W) elevation, m, rows southward; slopes by central differences, so give a margin. NaN = lit.
        pixel_m: Pixel size, m.
        sun_zenith_deg: Sun zenith angle, degrees.
        sun_azimuth_deg: Sun azimuth, degrees clockwise. The original takes true north on a grid-north raster.
        preset: Slope and incidence limits.
    """
    zenith, azimuth = math.radians(sun_zenith_deg), math.radians(sun_azimuth_deg)
    south, east = np.gradient(np.asarray(dem_m), pixel_m)
    facing = math.cos(azimuth) * south - math.sin(azimuth) * east  # rise per metre away from the sun
    turned = facing <= math.tan(math.radians(preset.shad_min_slope_deg))
    # Angles are compared by their tangent and cosine, several times faster than taking the inverse of each.
    beam = facing * math.sin(zenith) + math.cos(zenith)
    oblique = beam < math.cos(math.radians(preset.shad_max_incidence_deg)) * np.sqrt(south**2 + east**2 + 1)
    return ~(turned & oblique)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layers:
    """The layers of one DSWx product, uint8, four classes in memory (`collapse` for the saved form); 255 = no data."""

    diagnostic: Classes
    """Bits of the five tests, 32 where there is no data."""
    wtr1: Classes
    wtr2: Classes
    cloud: Classes
    wtr: Classes
    bwtr: Classes
    conf: Classes


def classify(
    reflectance: NDArray[np.float32],
    fmask: Classes,
    *,
    shad: NDArray[np.bool_] | None = None,
    land: Classes | None = None,
    mode: AdjacentMode = "mask",
    preset: Preset = V1_0_2,
) -> Layers:
    """Every layer of a product from its inputs.

    Args:
        reflectance: (6, ...) blue, green, red, NIR, SWIR1, SWIR2; unitless, NaN where there is no data.
        fmask: (...) raw Fmask, 255 = no data.
        shad: (...) 1 = lit, or None.
        land: (...) LAND codes, or None.
        mode: Sense of the adjacent ring, see `cloud`.
        preset: Thresholds.
    """
    codes = bits.byte_codes(fmask)
    blue, green, red, nir, swir1, swir2 = reflectance
    diag = diagnostic(blue, green, red, nir, swir1, swir2, preset)
    diag = np.where(codes == bits.FILL, np.uint8(INVALID), diag)
    first = wtr1(diag)
    bright, remapped = aerosol(first, nir, codes, preset) if preset.aerosol else (first, None)
    second = wtr2(bright, nir, shad, land, preset)
    clouds = cloud(codes, remapped, second, mode)
    final = wtr(second, clouds)
    return Layers(
        diagnostic=diag,
        wtr1=first,
        wtr2=second,
        cloud=clouds,
        wtr=final,
        bwtr=bwtr(final),
        conf=conf(second, clouds),
    )
