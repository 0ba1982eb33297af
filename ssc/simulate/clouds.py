"""Clouds with optical depth and height, and the shadows they throw along the sun.

Each layer is a fractal field cut at its cover; what stands above the cut is optical depth. A layer has a base and a
depth; its optical depth is divided over slices of height, and each slice darkens the ground at

    height x tan(sun zenith)   away from the sun, measured on the map grid

so a tall cloud throws a long smeared shadow. Heights are above ground, clouds are seen from straight above, fields are
periodic (a shadow at the sunward edge belongs to a cloud outside the tile).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import fft

from ssc.simulate.noise import Field, fractal
from ssc.simulate.terrain import PIXEL_M

VIEW_DEPTH = 3.0
"""Optical depth that hides all but 1/e of the ground: scattering is mostly forward, so thin cloud hides little."""
SHADOW_SHARE = 0.5
"""Share of the optical depth that takes light out of the direct beam (the rest is scattered forward, near the sun)."""
SLICES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One cloud layer."""

    cover: float
    """Share of the sky with any cloud of this layer, 0 to 1."""
    base_m: float
    """Height of the base above ground."""
    depth_m: float
    """From the base to the highest tops."""
    density: float
    """Optical depth per standard deviation of the field above the cut: 1 veil, 10 cumulus."""
    size_px: float = 120
    """Longest wavelength of the field, pixels."""
    exponent: float = 3.2
    ice: bool = False
    """Ice cloud: darker in the short-wave infrared and, being high, bright in the cirrus band."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sky:
    """What the clouds of a moment do to a tile."""

    water_opacity: Field
    """(H, W) share of the ground's signal hidden by water cloud, 0 to 1."""
    ice_opacity: Field
    """(H, W) the same by ice cloud, above the water cloud."""
    beam: Field
    """(H, W) share of the direct sunlight that reaches the ground past the clouds, 0 to 1."""
    height_m: float
    """Mean height of the densest layer, 0 without clouds."""

    @property
    def opacity(self) -> Field:
        """(H, W) share of the ground's signal hidden by any cloud."""
        return np.asarray(1 - (1 - self.water_opacity) * (1 - self.ice_opacity))


def form(
    layers: tuple[Layer, ...], shape: tuple[int, int], *, zenith: float, azimuth: float, rng: np.random.Generator
) -> Sky:
    """Clouds over a (rows, cols) tile.

    Args:
        layers: None of them: a clear sky.
        shape: Of the tile.
        zenith: Of the sun, degrees.
        azimuth: Of the sun, degrees clockwise from GRID north.
        rng: Where the numbers come from.
    """
    depths = {False: np.zeros(shape, np.float32), True: np.zeros(shape, np.float32)}
    shade = np.zeros(shape, np.float32)
    periodic = (fft.next_fast_len(shape[0], real=True), fft.next_fast_len(shape[1], real=True))
    for layer in layers:
        depth = _optical_depth(layer, periodic, rng)
        depths[layer.ice] += depth[: shape[0], : shape[1]]
        shade += _shade(depth, layer, zenith, azimuth)[: shape[0], : shape[1]]
    thickest = max(layers, key=lambda layer: layer.cover * layer.density, default=None)
    return Sky(
        water_opacity=1 - np.exp(-depths[False] / VIEW_DEPTH),
        ice_opacity=1 - np.exp(-depths[True] / VIEW_DEPTH),
        beam=np.exp(-SHADOW_SHARE * shade),
        height_m=0.0 if thickest is None else thickest.base_m + thickest.depth_m / 2,
    )


def displacement(height_m: float, zenith: float, azimuth: float) -> tuple[float, float]:
    """(rows, cols) from a cloud of this height to its shadow; azimuth of the sun from grid north, degrees.

    >>> rows, cols = displacement(3000.0, 45.0, 90.0)  # sun in the east: shadow in the west
    >>> round(rows), round(cols)
    (0, -100)
    """
    length = height_m * math.tan(math.radians(zenith)) / PIXEL_M
    return length * math.cos(math.radians(azimuth)), -length * math.sin(math.radians(azimuth))


def _optical_depth(layer: Layer, shape: tuple[int, int], rng: np.random.Generator) -> Field:
    field = fractal(shape, rng, exponent=layer.exponent, longest_px=layer.size_px)
    cut = np.quantile(field[::3, ::3], 1 - layer.cover)
    return np.asarray(layer.density * np.maximum(field - cut, 0), dtype=np.float32)


def _shade(depth: Field, layer: Layer, zenith: float, azimuth: float) -> Field:
    """Optical depth between the ground and the sun; slice by slice, each shifted by its own height."""
    shade = np.zeros_like(depth)
    step = 2 * layer.density / SLICES  # two standard deviations above the cut are the full depth
    for number in range(SLICES):
        ceiling = np.inf if number == SLICES - 1 else step
        part = np.clip(depth - number * step, 0, ceiling)
        rows, cols = displacement(layer.base_m + layer.depth_m * (number + 0.5) / SLICES, zenith, azimuth)
        shade += np.roll(part, (round(rows), round(cols)), axis=(0, 1))
    return shade
