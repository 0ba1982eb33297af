"""Other skies and other views of the same ground: random changes of a training chip, in reflectance.

    rng = generator(seed, epoch, place)
    square, labels = augment(chip.reflectance, chip.labels, chip.bands, rng, Augment(), size=128)

Everything is drawn from one generator per (seed, epoch, place, draw), so a run that was killed and goes on sees exactly
what it would have seen. Geometry moves labels along; light changes reflectance only, and by so little that what is
there stays there. A pixel that loses its data loses its labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from models.packing import UNKNOWN
from ssc.bands import Band, responses

Reflectance = NDArray[np.float32]
Labels = NDArray[np.uint8]
Number = TypeVar("Number", bound=np.generic)

MICROMETRES: Final = {
    band: round(response.centre_nm) / 1000 for band, response in zip(Band, responses(None, tuple(Band)), strict=True)
}
"""Centres of the bands, OLI where it has them. Whole nanometres: finer ones would change what a seed of old draws."""
SMOOTH: Final = (0.75, 0.25)
"""Linear interpolation at twice the resolution: a new pixel's centre lies a quarter of a pixel off the old one's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Augment:
    """How much is changed, how often. Spreads are standard deviations; shares are of chips, 0..1."""

    turn: bool = True
    """Flips and quarter turns, all eight with the same probability."""
    zoom: float = 0.15
    """Share seen at half or (where the chip is large enough) twice the pixel size."""
    gain: float = 0.06
    """Spread of one factor common to all bands."""
    band_gain: float = 0.06
    """Spread of a factor per band: calibration, band passes, BRDF."""
    band_offset: float = 0.004
    """Spread of an offset per band, reflectance: atmospheric correction."""
    haze: float = 0.3
    """Share under added haze, brightest in the blue."""
    haze_depth: float = 0.012
    """Mean of the added haze at 0.55 um, reflectance (exponential)."""
    noise: float = 0.002
    """Largest spread of noise per pixel, reflectance; drawn per chip between 0 and this."""
    edge: float = 0.08
    """Share that a swath edge cuts."""
    stripes: float = 0.03
    """Share with lost scan lines."""

    @classmethod
    def none(cls) -> Augment:
        """No change but the random crop."""
        still = dict.fromkeys(("zoom", "gain", "band_gain", "band_offset", "haze", "noise", "edge", "stripes"), 0.0)
        return cls(turn=False, **still)


def generator(seed: int, epoch: int, place: int, draw: int = 0) -> Generator:
    """Random numbers of one chip in one epoch.

    Args:
        seed: Of the run.
        epoch: From 0.
        place: Number of the chip.
        draw: Which time the chip is seen in this epoch.
    """
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence((seed, epoch, place, draw))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The part of a chip that is used, before anything is changed."""

    rows: slice
    columns: slice
    zoom: float = 1.0
    """Pixels of the result per pixel of the chip: 0.5, 1 or 2."""

    def of(self, layers: NDArray[Number]) -> NDArray[Number]:
        """That part of (N, H, W) layers, as a view."""
        return layers[:, self.rows, self.columns]


def augment(
    reflectance: Reflectance, labels: Labels, bands: tuple[Band, ...], rng: Generator, how: Augment, *, size: int
) -> tuple[Reflectance, Labels]:
    """A changed square of a chip; the arrays given are not written to.

    Args:
        reflectance: (B, H, W), NaN = no data.
        labels: (T, H, W), 0, 1 or UNKNOWN.
        bands: Of the first axis.
        rng: From `generator`.
        how: What to change.
        size: Side of the square, pixels. A smaller chip is filled up with no data.

    Returns:
        (B, size, size) float32 and (T, size, size) uint8, contiguous; UNKNOWN wherever a band is NaN.
    """
    cut = window((reflectance.shape[1], reflectance.shape[2]), rng, how, size=size)
    return change(cut.of(reflectance), cut.of(labels), bands, rng, how, size=size, zoom=cut.zoom)


def window(shape: tuple[int, int], rng: Generator, how: Augment, *, size: int) -> Window:
    """First half of `augment`: where to look. Whoever keeps chips packed unpacks only this."""
    zoomed, enlarge = rng.random() < how.zoom, rng.random() < 0.5
    zoom = 1.0
    if zoomed and enlarge and size % 2 == 0:
        zoom = 2.0
    elif zoomed and not enlarge and min(shape) >= 2 * size:
        zoom = 0.5
    rows, columns = (_stretch(side, int(size / zoom), rng) for side in shape)
    return Window(rows=rows, columns=columns, zoom=zoom)


def change(
    reflectance: Reflectance,
    labels: Labels,
    bands: tuple[Band, ...],
    rng: Generator,
    how: Augment,
    *,
    size: int,
    zoom: float = 1.0,
) -> tuple[Reflectance, Labels]:
    """Second half of `augment`: resample, fill up, turn, relight, lose data. Arguments and result as there."""
    if zoom != 1:
        reflectance, labels = (_finer if zoom > 1 else _coarser)(reflectance, labels)
    if reflectance.shape[1:] != (size, size):
        corner = [int(rng.integers(size - side + 1)) for side in reflectance.shape[1:]]
        reflectance, labels = _filled(reflectance, size, corner, np.nan), _filled(labels, size, corner, UNKNOWN)
    if how.turn:
        reflectance, labels = _turn(reflectance, labels, rng)
    light = _relight(np.array(reflectance, dtype=np.float32, order="C"), bands, rng, how)
    light[:, _lost(size, rng, how)] = np.nan
    labels = np.array(labels, order="C")
    labels[:, np.isnan(light).any(axis=0)] = UNKNOWN
    return light, labels


def _stretch(side: int, wanted: int, rng: Generator) -> slice:
    """A random stretch of a side, all of it where it is too short."""
    start = int(rng.integers(max(side - wanted, 0) + 1))
    return slice(start, min(start + wanted, side))


def _filled(layers: NDArray[Number], size: int, corner: Sequence[int], fill: float) -> NDArray[Number]:
    """Put into a larger square of `fill`."""
    rows, columns = (slice(start, start + side) for start, side in zip(corner, layers.shape[1:], strict=True))
    out = np.full((len(layers), size, size), fill, layers.dtype)
    out[:, rows, columns] = layers
    return out


def _coarser(reflectance: Reflectance, labels: Labels) -> tuple[Reflectance, Labels]:
    """Means of 2 x 2 pixels. A label is that of three or four of them; half and half, or any unknown, is UNKNOWN."""
    count, height, width = labels.shape
    blocks = labels.reshape(count, height // 2, 2, width // 2, 2)
    there = (blocks == 1).sum(axis=(2, 4))
    coarse = np.where(there == 2, UNKNOWN, there > 2).astype(np.uint8)
    coarse[(blocks == UNKNOWN).any(axis=(2, 4))] = UNKNOWN
    return reflectance.reshape(len(reflectance), height // 2, 2, width // 2, 2).mean(axis=(2, 4)), coarse


def _finer(reflectance: Reflectance, labels: Labels) -> tuple[Reflectance, Labels]:
    """Twice the resolution: reflectance interpolated, labels repeated."""
    return _doubled(_doubled(reflectance, 1), 2), labels.repeat(2, axis=1).repeat(2, axis=2)


def _doubled(values: Reflectance, axis: int) -> Reflectance:
    """Linear interpolation at twice the resolution along one axis; ends are held, NaN spreads to its neighbours."""
    along = np.moveaxis(values, axis, 0)
    padded: Reflectance = np.concatenate([along[:1], along, along[-1:]])
    near, far = (np.float32(weight) for weight in SMOOTH)
    both: Reflectance = np.stack([near * along + far * padded[:-2], near * along + far * padded[2:]], axis=1)
    return np.moveaxis(both.reshape(-1, *along.shape[1:]), 0, axis)


def _turn(reflectance: Reflectance, labels: Labels, rng: Generator) -> tuple[Reflectance, Labels]:
    """One of the eight ways to lay a square. Shadows then fall to any side: rely on no position of the sun."""
    quarters, mirror = int(rng.integers(4)), bool(rng.integers(2))
    light, marks = np.rot90(reflectance, quarters, axes=(1, 2)), np.rot90(labels, quarters, axes=(1, 2))
    return (light[..., ::-1], marks[..., ::-1]) if mirror else (light, marks)


def _relight(light: Reflectance, bands: tuple[Band, ...], rng: Generator, how: Augment) -> Reflectance:
    """Other calibration, atmosphere and noise, in place."""
    count = len(bands)
    gain = (1 + how.gain * rng.standard_normal()) * (1 + how.band_gain * rng.standard_normal(count))
    offset = how.band_offset * rng.standard_normal(count) + _haze(bands, rng, how)
    light *= gain.astype(np.float32)[:, None, None]
    light += offset.astype(np.float32)[:, None, None]
    spread = np.float32(how.noise * rng.random())
    if spread > 0:
        light += spread * rng.standard_normal(light.shape, dtype=np.float32)
    return light


def _haze(bands: tuple[Band, ...], rng: Generator, how: Augment) -> NDArray[np.float64]:
    """(B,) added path reflectance: a power law of wavelength from grey (0) to fine aerosol (-2)."""
    hazy, depth, slope = rng.random() < how.haze, rng.exponential(how.haze_depth), rng.uniform(0, 2)
    wavelength = np.array([MICROMETRES[band] for band in bands])
    return hazy * depth * (0.55 / wavelength) ** slope


def _lost(size: int, rng: Generator, how: Augment) -> NDArray[np.bool_]:
    """(size, size) True where data are taken away: beyond a swath edge, or in lost scan lines."""
    lost = np.zeros((size, size), dtype=bool)
    if rng.random() < how.edge:
        angle, beyond = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.5)
        rows, columns = np.ogrid[-0.5 : 0.5 : size * 1j, -0.5 : 0.5 : size * 1j]
        lost |= np.cos(angle) * rows + np.sin(angle) * columns > beyond
    if rng.random() < how.stripes:
        period, thick = int(rng.integers(16, 65)), int(rng.integers(1, 4))
        lost[(np.arange(size) + int(rng.integers(period))) % period < thick] = True
    return lost
