"""Gaussian random fields with power-law spectra: relief, clouds, vegetation and haze are scale-free over our range.

Source: spectral synthesis, Saupe in Peitgen & Saupe (1988), The Science of Fractal Images, chapter 2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

Field = NDArray[np.float32]


def fractal(
    shape: tuple[int, int], rng: np.random.Generator, *, exponent: float, longest_px: float = np.inf, step: int = 1
) -> Field:
    """A field of mean 0 and standard deviation 1 whose power spectrum falls as wavenumber^-exponent.

    Args:
        shape: (rows, cols) of the result.
        rng: Where the numbers come from.
        exponent: 2-D spectral exponent; 2 is rough (cities), 3 cloud-like, 4 smooth hills.
        longest_px: Wavelengths above this many pixels get no more power than this one (no trend across the field).
        step: Computed on every step-th pixel and interpolated: cheap, for fields without fine detail.
    """
    coarse = _at_least(shape, step)
    rows, cols = (fft.next_fast_len(n, real=True) for n in coarse)
    wave = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(cols)[None, :]).astype(np.float32) / step
    wave = np.maximum(wave, np.float32(1 / min(longest_px, max(rows, cols) * step)))
    spectrum = rng.standard_normal((*wave.shape, 2), dtype=np.float32).view(np.complex64)[..., 0]
    spectrum *= wave ** np.float32(-exponent / 2)
    spectrum[0, 0] = 0
    field = fft.irfft2(spectrum, s=(rows, cols))[: coarse[0], : coarse[1]]
    field = np.asarray((field - field.mean()) / field.std(), dtype=np.float32)
    return field if step == 1 else enlarge(field, step, shape)


def enlarge(field: Field, step: int, shape: tuple[int, int], *, order: int = 1) -> Field:
    """A coarse field on the fine grid: coarse value [i, j] belongs to the centre of its step x step fine pixels."""
    rows, cols = (np.asarray((np.arange(n) + 0.5) / step - 0.5, dtype=np.float32) for n in shape)
    if order == 1:
        return _bilinear(field, rows, cols)
    fine = ndimage.map_coordinates(field, np.meshgrid(rows, cols, indexing="ij"), order=order, mode="nearest")
    return np.asarray(fine, dtype=np.float32)


def _bilinear(field: Field, rows: Field, cols: Field) -> Field:
    # Two one-dimensional interpolations: ten times faster than map_coordinates, which gathers four values per pixel.
    return _along_rows(_along_rows(field, rows).T.copy(), cols).T.copy()


def _along_rows(field: Field, at: Field) -> Field:
    at = np.clip(at, 0, field.shape[0] - 1)
    low = np.minimum(at.astype(np.int32), max(field.shape[0] - 2, 0))
    weight = (at - low).astype(np.float32)[:, None]
    high = np.minimum(low + 1, field.shape[0] - 1)
    return field[low] * (1 - weight) + field[high] * weight


def shrink(field: Field, step: int) -> Field:
    """Means over step x step blocks, the last block of a row or column padded with its edge value."""
    rows, cols = (-n % step for n in field.shape)
    padded = np.pad(field, ((0, rows), (0, cols)), mode="edge")
    blocks = padded.reshape(padded.shape[0] // step, step, padded.shape[1] // step, step)
    return np.asarray(blocks.mean(axis=(1, 3)), dtype=np.float32)


def smoothstep(x: Field, low: float, high: float) -> Field:
    """0 below `low`, 1 above `high`, smooth between (cubic)."""
    t = np.clip((x - np.float32(low)) / np.float32(high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), dtype=np.float32)


def _at_least(shape: tuple[int, int], step: int) -> tuple[int, int]:
    return -(-shape[0] // step), -(-shape[1] // step)
