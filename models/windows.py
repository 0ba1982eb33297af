"""Large images through a network in windows that overlap: no seams, memory for one batch of windows at a time.

A network knows less about the pixels at the edge of its window than about those in the middle. So windows overlap, the
outermost `halo` pixels of each count for nothing, and further in the weight rises smoothly from 0 to 1; at every pixel
the weights of all windows sum to 1. Windows begin at whole strides of the *tile*, wherever the image was cut out of it:
the network samples the ground in the same cells whatever the cut, so that moving cut or windows moves no mask.

Beyond its border the image is mirrored, missing data with it: zeros would look like dark water.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ssc.errors import InputError

Floats = NDArray[np.float32]
Predict = Callable[[Floats], Floats]
"""(n, B, h, w) reflectance, NaN = no data -> (n, T, h, w) probabilities."""

RAMP: Final = 32
"""Pixels over which the weight rises from 0 to 1: one cell of the coarsest level of most encoders."""


def least_overlap(halo: int, stride: int, ramp: int = RAMP) -> int:
    """Pixels that neighbouring windows must share, in whole strides: both halos, and one ramp that both rise over."""
    return -(-(2 * halo + ramp) // stride) * stride


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiling:
    """How windows are laid over an image."""

    window: int
    """Side of the largest window, px; a whole number of strides."""
    halo: int
    """Pixels at an inner edge of a window that do not count: the radius of the network's view makes the blend exact."""
    stride: int = 1
    """Input pixels per cell of the network's coarsest level."""
    ramp: int = RAMP
    """Pixels over which the weight rises behind the halo."""
    exact: bool = False
    """The network takes `window` x `window` px and nothing else; otherwise windows shrink until they fit the image."""

    def __post_init__(self) -> None:
        if self.stride < 1 or self.ramp < 1 or self.halo < 0:
            raise InputError(f"not a tiling: found {self}, wanted stride and ramp of at least 1, halo of at least 0")
        if self.window % self.stride or self.window <= self.overlap:
            raise InputError(
                f"windows of {self.window} px: wanted whole strides of {self.stride} px, more than the overlap of "
                f"{self.overlap} px (twice the halo of {self.halo}, and the ramp of {self.ramp})"
            )

    @property
    def overlap(self) -> int:
        """Least pixels that neighbouring windows share, in whole strides."""
        return least_overlap(self.halo, self.stride, self.ramp)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Span:
    """Rows or columns of a window, and what they count for. May reach beyond the image, which is mirrored there."""

    start: int
    stop: int
    first: int
    """First and, `last`, one past the last pixel of the image with a weight above 0."""
    last: int
    weight: Floats
    """(last - first,) above 0 and at most 1; the weights of all spans sum to 1 at every pixel."""

    @property
    def image(self) -> slice:
        """The pixels that count, in the image."""
        return slice(self.first, self.last)

    @property
    def own(self) -> slice:
        """The pixels that count, in the window."""
        return slice(self.first - self.start, self.last - self.start)


def spans(length: int, tiling: Tiling, origin: int = 0) -> list[Span]:
    """Cut one axis of an image into overlapping spans.

    Args:
        length: Pixels of the axis, at least 1.
        tiling: How.
        origin: Row or column of the first pixel in its tile.

    >>> [(span.start, span.stop) for span in spans(3660, Tiling(window=1024, halo=32, stride=32))]
    [(0, 992), (896, 1888), (1792, 2784), (2688, 3680)]
    """
    low = -(origin % tiling.stride)
    whole = -((low - length) // tiling.stride) * tiling.stride  # from `low`, in whole strides
    size, starts = _starts(whole, tiling)
    raw = np.stack([_rise(start, size, whole, tiling) for start in starts])[:, -low : length - low]
    weights = (raw / raw.sum(axis=0)).astype(np.float32)
    return [_span(low + start, size, weight) for start, weight in zip(starts, weights, strict=True)]


def blend(
    planes: Sequence[NDArray[np.floating]],
    predict: Predict,
    tiling: Tiling,
    *,
    keep: NDArray[np.bool_],
    tasks: int,
    origin: tuple[int, int] = (0, 0),
    batch: int = 1,
) -> Floats:
    """Predict a whole image window by window.

    Args:
        planes: The bands, each (H, W); not finite = no data.
        predict: The network.
        tiling: How windows are laid.
        keep: (H, W), True where an answer is wanted and there are data; windows without any are left out.
        tasks: Layers that the network gives.
        origin: Row and column of the upper left pixel in its tile.
        batch: Windows predicted together.

    Returns:
        (tasks, H, W) blended predictions, NaN where `keep` is False.
    """
    height, width = keep.shape
    rows, cols = spans(height, tiling, origin[0]), spans(width, tiling, origin[1])
    wanted = ((row, col) for row in rows for col in cols if keep[row.image, col.image].any())
    out = np.zeros((tasks, height, width), np.float32)
    while places := list(islice(wanted, batch)):
        answers = predict(np.stack([cut(planes, row, col) for row, col in places]))
        for (row, col), answer in zip(places, answers, strict=True):
            weight = row.weight[:, None] * col.weight
            out[:, row.image, col.image] += answer[:, row.own, col.own] * weight
    np.copyto(out, np.nan, where=~keep)
    return out


def cut(planes: Sequence[NDArray[np.floating]], row: Span, col: Span) -> Floats:
    """(B, h, w) of one window, mirrored beyond the image; what is not finite becomes NaN."""
    height, width = planes[0].shape
    down, across = _mirrored(row, height), _mirrored(col, width)
    inside = isinstance(down, slice) and isinstance(across, slice)
    chip = np.stack([plane[down, across] if inside else plane[down][:, across] for plane in planes], dtype=np.float32)
    chip[~np.isfinite(chip)] = np.nan
    return chip


def _starts(whole: int, tiling: Tiling) -> tuple[int, list[int]]:
    """Size of all spans of an axis of whole strides, and where they start: evenly, in whole strides."""
    window, overlap, stride = tiling.window, tiling.overlap, tiling.stride
    if whole <= window:
        return (window if tiling.exact else whole), [0]
    count = -((overlap - whole) // (window - overlap))
    size = window
    if not tiling.exact:
        size = -(-(whole + (count - 1) * overlap) // (count * stride)) * stride
    cells = (whole - size) // stride
    return size, [number * cells // (count - 1) * stride for number in range(count)]


def _rise(start: int, size: int, whole: int, tiling: Tiling) -> NDArray[np.float64]:
    """(whole,) weight of one span before it shares with others: from 0 smoothly to 1 and down; full at the ends."""
    pixel = np.arange(whole) + 0.5
    left = np.inf if start == 0 else pixel - start - tiling.halo
    right = np.inf if start + size >= whole else start + size - tiling.halo - pixel
    share = np.clip(np.minimum(left, right) / tiling.ramp, 0, 1) * np.ones(whole)
    return share * share * (3 - 2 * share)


def _span(start: int, size: int, weight: Floats) -> Span:
    counts = np.flatnonzero(weight)
    first, last = int(counts[0]), int(counts[-1]) + 1
    return Span(start=start, stop=start + size, first=first, last=last, weight=weight[first:last])


def _mirrored(span: Span, length: int) -> slice | NDArray[np.intp]:
    """Where the pixels of a span lie in an axis that repeats as ... 2 1 0 0 1 2 ... n-1 n-1 ..."""
    if span.start >= 0 and span.stop <= length:
        return slice(span.start, span.stop)
    place = np.arange(span.start, span.stop) % (2 * length)
    return np.where(place < length, place, 2 * length - 1 - place)
