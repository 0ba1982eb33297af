"""A sensor that no network was trained on: what Landsat 5's Thematic Mapper would have seen, made from S30 chips.

    chips = TmLike(s30_chips, seed=0)                chips with six broad bands, `ssc.bands.SIX` by name
    responses(Sensor.TM, SIX)                        what those bands see

The thirteen narrow bands of the Sentinel-2 imager are averaged into TM's broad ones; then TM's own faults come on top:
other gains, more noise, saturation, and 8 bits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.chips import Chip, Chips
from ssc.bands import RESPONSES, SIX, Band, Level, Response, Sensor
from ssc.errors import InputError
from ssc.simulate.seeds import stream

SOURCE: Final = "simulated TM-like"
GAINS: Final = (1.05, 0.96, 1.04, 0.95, 1.06, 0.94)
"""Errors of the calibration, in the order of `SIX`: the 5 % or so to which TM was known (Chander, Markham and Helder
2009, Remote Sensing of Environment 113, 893-903)."""
NOISE: Final = 0.006
"""Standard deviation, reflectance: about three steps of 8 bits."""
CEILINGS: Final = (0.43, 0.90, 0.76, 0.95, 0.61, 0.88)
"""Reflectance at which each band saturates, the sun at 45 degrees: pi LMAX / (ESUN cos 45), LMAX 193, 365, 264, 221,
30.2, 16.5 and ESUN 1983, 1796, 1536, 1031, 220, 83.44 of Landsat 5 (Chander et al. 2009). Clouds saturate its blue."""
LEVELS: Final = 255
"""8 bits."""

Light = NDArray[np.float32]


class TmLike:
    """S30 chips as TM would have seen them."""

    bands = SIX

    def __init__(self, chips: Chips, *, seed: int) -> None:
        """See chips with other eyes.

        Args:
            chips: Of S30, with all its bands.
            seed: Of the noise.
        """
        self._chips, self._seed = chips, seed
        self.index = chips.index.assign(source=SOURCE)

    def __len__(self) -> int:
        return len(self._chips)

    def __getitem__(self, place: int, /) -> Chip:
        chip = self._chips[place]
        light = tm_like(chip.reflectance, chip.bands, stream(self._seed, "tm-like", place))
        return replace(chip, bands=SIX, reflectance=light, source=SOURCE, fmask=None)


def tm_like(reflectance: Light, bands: Sequence[Band], rng: np.random.Generator) -> Light:
    """(6, H, W) reflectance in TM's bands of (B, H, W) in those of the Sentinel-2 imager; NaN stays NaN.

    Raises:
        InputError: A band is missing of which one of TM's is made.
    """
    broad = broad_bands(reflectance, bands)
    noisy = broad * _per_band(GAINS) + np.float32(NOISE) * rng.standard_normal(broad.shape, dtype=np.float32)
    return quantised(noisy)


def broad_bands(reflectance: Light, bands: Sequence[Band]) -> Light:
    """(6, H, W) averages of the bands given, each by its share of the broad band."""
    out = []
    for band in SIX:
        parts = shares(RESPONSES[Sensor.TM][band], RESPONSES[Sensor.MSI])
        if missing := [part.value for part in parts if part not in bands]:
            raise InputError(f"TM-like {band.value}: no band {' '.join(missing)}; wanted chips made with all bands")
        out.append(sum(np.float32(share) * reflectance[bands.index(part)] for part, share in parts.items()))
    return np.stack(out).astype(np.float32)


def shares(wanted: Response, parts: Mapping[Band, Response]) -> dict[Band, float]:
    """How a broad band is put together: each band by how many nm of the broad one it sees, in all 1.

    >>> broad = Response(low_nm=450, centre_nm=485, high_nm=520)
    >>> narrow = {Band.COASTAL: Response(low_nm=425, centre_nm=443, high_nm=460)}
    >>> narrow[Band.BLUE] = Response(low_nm=446, centre_nm=490, high_nm=536)
    >>> {band.value: share for band, share in shares(broad, narrow).items()}
    {'coastal': 0.125, 'blue': 0.875}
    """
    seen = {
        band: min(part.high_nm, wanted.high_nm) - max(part.low_nm, wanted.low_nm)
        for band, part in parts.items()
        if part.level is Level.SURFACE
    }
    inside = {band: width for band, width in seen.items() if width > 0}
    return {band: width / sum(inside.values()) for band, width in inside.items()}


def quantised(reflectance: Light) -> Light:
    """(6, H, W) as 8 bits hold it: 255 steps from 0 to each band's ceiling, what lies beyond cut off; NaN stays."""
    ceilings = _per_band(CEILINGS)
    steps = np.clip(np.rint(reflectance / ceilings * LEVELS), 0, LEVELS)
    return np.asarray(steps / LEVELS * ceilings, dtype=np.float32)


def _per_band(values: Sequence[float]) -> Light:
    return np.array(values, dtype=np.float32)[:, None, None]
