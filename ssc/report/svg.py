"""Vector graphics as escaped text: elements, axes and the marks all figures share."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from markupsafe import Markup, escape
from numpy.typing import ArrayLike, NDArray

from ssc.bands import Product

Pixels = NDArray[np.float64]


def tag(name: str, *children: str, **attributes: object) -> Markup:
    """An element; text is escaped unless it is markup already, None attributes are left out.

    >>> tag("text", "a < b", class_="note", font_size=12.0, x=None)
    Markup('<text class="note" font-size="12">a &lt; b</text>')
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_plain(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inside = Markup().join(children)
    return Markup(f"<{name}{written}>{inside}</{name}>" if inside else f"<{name}{written}/>")  # noqa: S704 escaped


def _plain(value: object) -> str:
    """Coordinates need a tenth of a pixel, not fifteen digits."""
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)


def picture(width: float, height: float, label: str, *children: str, class_: str = "figure") -> Markup:
    """A whole drawing; `label` is what a screen reader says."""
    return tag("svg", *children, class_=class_, viewBox=f"0 0 {width:g} {height:g}", role="img", aria_label=label)


def group(children: Iterable[str], **attributes: object) -> Markup:
    """Elements with common attributes; nothing when there are none."""
    listed = list(children)
    return tag("g", *listed, **attributes) if listed else Markup()


def path_of(points: NDArray[np.float64]) -> str:
    """A line through (n, 2) pixel positions, whole tenths, without repeated positions.

    >>> path_of(np.array([[0, 0], [0.01, 0], [10, 5.25]]))
    'M0 0L10 5.2'
    """
    rounded = np.round(points, 1)
    kept = rounded[np.append(True, (np.diff(rounded, axis=0) != 0).any(axis=1))]
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogAxis:
    """Concentrations along a line of pixels."""

    low: float
    """mg/L at `start`."""
    high: float
    """mg/L at `end`."""
    start: float
    end: float

    def at(self, values: ArrayLike) -> Pixels:
        """Pixel positions; what lies beyond the axis is moved to its end, NaN stays NaN."""
        inside = np.clip(np.asarray(values, dtype=np.float64), self.low, self.high)
        return self.start + (self.end - self.start) * np.log(inside / self.low) / math.log(self.high / self.low)

    def ticks(self) -> list[float]:
        """Round values on the axis."""
        return log_ticks(self.low, self.high)


def log_ticks(low: float, high: float) -> list[float]:
    """Round values from low to high: powers of ten, with 2 and 5 between them where there is room.

    >>> log_ticks(3, 70), log_ticks(0.9, 2000)
    ([5, 10, 20, 50], [1, 10, 100, 1000])
    """
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if high / low < 200 else (1,)
    values = [step * 10.0**exponent for exponent in exponents for step in steps]
    return [int(value) if value >= 1 else round(value, 6) for value in values if low <= value <= high]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeAxis:
    """UTC times along a line of pixels."""

    first: pd.Timestamp
    last: pd.Timestamp
    start: float
    end: float

    @classmethod
    def over(cls, times: pd.Series[Any], start: float, end: float) -> TimeAxis:
        """An axis that holds all times with a margin; at least four days wide."""
        first, last = times.min(), times.max()
        margin = max((last - first) * 0.04, pd.Timedelta(days=2))
        return cls(first=first - margin, last=last + margin, start=start, end=end)

    def at(self, times: pd.Series[Any]) -> Pixels:
        """Pixel positions."""
        share = (times - self.first) / (self.last - self.first)
        return np.asarray(self.start + (self.end - self.start) * share.to_numpy(dtype=np.float64))

    def ticks(self, most: int = 4) -> list[tuple[float, str]]:
        """Pixel positions and texts of round dates, at most `most` of them where that is possible."""
        dates, form = next(
            (found, form)
            for step, form in _TIME_STEPS
            if len(found := pd.date_range(self.first.ceil("D"), self.last, freq=step)) <= most or step == "25YS"
        )
        return list(zip(self.at(dates.to_series()).tolist(), dates.strftime(form), strict=True))


_TIME_STEPS: Final = (
    *(("D", "%d %b"), ("2D", "%d %b"), ("W-MON", "%d %b"), ("2W-MON", "%d %b"), ("MS", "%b %Y"), ("2MS", "%b %Y")),
    *(("QS", "%b %Y"), ("2QS", "%b %Y"), ("YS", "%Y"), ("2YS", "%Y"), ("5YS", "%Y"), ("25YS", "%Y")),
)
"""Pandas frequencies from fine to coarse, and how their dates are written."""


def marker(kind: str, x: float, y: float, *, hollow: bool = False, hint: str = "") -> Markup:
    """One observation: L30 a disc, S30 a square, in situ a cross, truth a diamond; hollow when flagged."""
    return tag("path", *_hints(hint), d=f"M{x:.1f} {y:.1f}{_SHAPES[kind]}", class_=f"m {kind}{' flagged' * hollow}")


def _hints(hint: str) -> list[Markup]:
    return [tag("title", hint)] if hint else []


_SHAPES: Final = {
    Product.L30.value: "m-3.6 0a3.6 3.6 0 1 0 7.2 0a3.6 3.6 0 1 0-7.2 0z",
    Product.S30.value: "m-3.3-3.3h6.6v6.6h-6.6z",
    "insitu": "m-3.8-3.8l7.6 7.6m0-7.6l-7.6 7.6",
    "truth": "m0-4.2l4.2 4.2l-4.2 4.2l-4.2-4.2z",
}
"""Shapes relative to their centre; the style sheet gives each its colour."""
