"""What the layers of one DSWx-HLS product say of the five masks: 1 there, 0 not there, 255 not known.

The numbers differ with the version of the product:

                     0.1 (first delivery)   0.0 (software 0.5)          1.x (provisional and validated)
    WTR not water    0                      0                           0
    WTR water        classes 1 to 4         1 open, 2 partial           1 open, 2 partial
    WTR masked       9                      8 snow, 9 cloud or shadow   252 snow, 253 cloud or shadow, 254 ocean
    CONF             0, 1, 2 masked         99 not water, else percent  class 0 to 4, + 10 cloud, + 20 snow, 254
                                            95 80 70 60 = class 1 to 4
    CLOUD            bits 1 shadow or adjacent, 2 snow, 4 cloud; 8 (1.x) = aerosol step acted, no obstruction
    SHAD             1 masked, 0 lit        0 masked, 1 lit             0 masked, 1 lit
    no data          255                    255                         255

Class 1 is high and class 2 moderate confidence, 3 and 4 are partial surface water, conservative and aggressive.
Provisional and validated 1.0 are spelled alike and share file names: the collection alone tells them apart.

CLOUD is a bit field: 5 is cloud *and* shadow. Comparing values, as the published data set did, loses 2 to 8 % of the
cloud pixels to "no cloud". Its shadow bit includes Fmask's ring of pixels adjacent to clouds, which makes 66 to 73 % of
it on three real images; Fmask itself tells shadow from ring.

SHAD is shading by slope, not shadow cast: it misses shadows on flat ground and masks lit slopes turned from the sun.

Source: nasa/PROTEUS 0.5 and 1.0.2, dswx_hls.py; OPERA DSWx-HLS product specification; a real product of version 0.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.packing import UNKNOWN
from ssc.errors import DataError
from ssc.legacy import fmask as bits
from ssc.legacy.dswx_layers import AEROSOL_BIT, CLOUD_BIT, FILL, OCEAN, SHADOW_BIT, SNOW_BIT
from ssc.masks import Mask

Codes = NDArray[np.uint8]

_OBSCURED: Final = SHADOW_BIT | SNOW_BIT | CLOUD_BIT
_HIGHEST_CLOUD: Final = _OBSCURED | AEROSOL_BIT


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Form:
    """How one version of the product spells its layers."""

    name: str
    wtr_values: frozenset[int]
    """All that WTR may hold."""
    water: Codes
    """(256, 256) label of WATER by WTR and CONF: sure water 1, not water 0; what is likely, masked or fill 255."""
    shad_masked: int
    """SHAD of a pixel masked as shaded."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layers:
    """Layers of one product as they lie in its files, all (H, W)."""

    wtr: Codes
    conf: Codes
    cloud: Codes
    shad: Codes | None
    """None where the product has none."""
    wtr1: Codes | None
    """Water by spectrum alone; None where the product came without it."""
    has_dem: bool
    """False where the product says that it was made without elevation: SHAD then holds no terrain."""


def _form(name: str, wtr_values: set[int], water: Mapping[tuple[int, int | None], int], shad_masked: int) -> Form:
    """A form from the (WTR, CONF) that tell; None stands for any CONF."""
    table = np.full((256, 256), UNKNOWN, np.uint8)
    for (wtr, conf), label in water.items():
        table[wtr, slice(None) if conf is None else conf] = label
    return Form(name=name, wtr_values=frozenset(wtr_values), water=table, shad_masked=shad_masked)


FIRST: Final = _form("0.1", {0, 1, 2, 3, 4, 9, FILL}, {(0, None): 0, (1, None): 1, (3, None): 1}, 1)
EARLY: Final = _form("0.0", {0, 1, 2, 8, 9, FILL}, {(0, None): 0, (1, 95): 1, (2, 70): 1}, 0)
CURRENT: Final = _form("1.x", {0, 1, 2, 252, 253, OCEAN, FILL}, {(0, 0): 0, (1, 1): 1, (2, 3): 1, (OCEAN, None): 1}, 0)


def form_of(version: str) -> Form:
    """The form of a product version such as "0.1", "0.0", "1.0" or "1.1".

    Raises:
        DataError: A version whose numbers are not known here.
    """
    if version in {FIRST.name, EARLY.name}:
        return FIRST if version == FIRST.name else EARLY
    if version.split(".", maxsplit=1)[0] == "1":
        return CURRENT
    raise DataError(f"unknown version of DSWx-HLS: found {version or 'none'}, wanted 0.0, 0.1 or 1.x")


def labels_of(layers: Layers, fmask: Codes, form: Form) -> NDArray[np.uint8]:
    """(5, H, W) labels in the order of `Mask`; 255 where nobody knows.

    Water is sure where it is open water of high or partial surface water of conservative confidence, or ocean. Of lower
    confidence it is unknown, not absent: very turbid rivers are there. Under cloud, shadow, snow or the ring round
    clouds it is unknown, and so it is where the spectrum says water and terrain shading alone speaks against it.
    Terrain shadow is unknown under cloud, and everywhere when SHAD is constant or knows no elevation.

    Args:
        layers: Of the product made from that very granule.
        fmask: (H, W) Fmask of the granule, 255 = no data.
        form: Of the product's version.

    Raises:
        DataError: Values which that version does not have.
    """
    _check(layers, form)
    cloudy = bits.has(layers.cloud, CLOUD_BIT)
    labels = np.empty((len(Mask), *fmask.shape), np.uint8)
    labels[Mask.WATER] = _water(layers, form)
    labels[Mask.CLOUD : Mask.SNOW_ICE + 1] = obstructions(layers.cloud, fmask)
    labels[Mask.TERRAIN_SHADOW] = np.where(cloudy, np.uint8(UNKNOWN), _terrain(layers, form))
    labels[:, (layers.wtr == FILL) | (layers.cloud > _HIGHEST_CLOUD) | (fmask == bits.FILL)] = UNKNOWN
    return labels


def obstructions(cloud: Codes, fmask: Codes) -> NDArray[np.uint8]:
    """(3, H, W) labels of cloud, cloud shadow, snow and ice from CLOUD and the Fmask it was made from.

    In the ring adjacent to clouds shadow and snow are unknown: Fmask's dilation overwrote what it had found there.
    """
    shadow = bits.has(fmask, bits.SHADOW)
    ring = bits.has(cloud, SHADOW_BIT) & ~shadow
    snow = bits.has(cloud, SNOW_BIT)
    return np.stack(
        [
            bits.has(cloud, CLOUD_BIT).astype(np.uint8),
            np.where(ring, np.uint8(UNKNOWN), bits.has(cloud, SHADOW_BIT)),
            np.where(ring & ~snow, np.uint8(UNKNOWN), snow),
        ]
    )


def _water(layers: Layers, form: Form) -> Codes:
    water = form.water[layers.wtr, layers.conf]
    water[bits.has(layers.cloud, _OBSCURED)] = UNKNOWN  # WTR tells by itself, but ocean stays ocean under cloud
    if layers.shad is not None:
        shaded = layers.shad == form.shad_masked
        wet = np.True_ if layers.wtr1 is None else (layers.wtr1 >= 1) & (layers.wtr1 <= 4)
        water[shaded & wet & (water == 0)] = UNKNOWN
    return water


def _terrain(layers: Layers, form: Form) -> Codes:
    """The label of TERRAIN_SHADOW: 1 = in shadow, whichever way SHAD is spelled."""
    if layers.shad is None or not layers.has_dem or layers.shad.min() == layers.shad.max():
        return np.full(layers.wtr.shape, UNKNOWN, np.uint8)
    return (layers.shad == form.shad_masked).astype(np.uint8)


def _check(layers: Layers, form: Form) -> None:
    """Refuse values of another version: read with the wrong table they would still look like labels."""
    wanted = {"WTR": form.wtr_values, "CLOUD": {*range(_HIGHEST_CLOUD + 1), OCEAN, FILL}}
    found = {"WTR": layers.wtr, "CLOUD": layers.cloud}
    if layers.shad is not None:
        wanted["SHAD"], found["SHAD"] = {0, 1}, layers.shad
    for name, values in found.items():
        foreign = set(np.flatnonzero(np.bincount(values.ravel(), minlength=256)).tolist()) - set(wanted[name])
        if foreign:
            raise DataError(
                f"values in {name} that DSWx-HLS {form.name} does not have: found {sorted(foreign)[:8]}, "
                f"wanted of {sorted(wanted[name])}"
            )
