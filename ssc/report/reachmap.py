"""Where the reaches run and how much sediment they carry."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import shapely
from markupsafe import Markup
from numpy.typing import NDArray

from ssc.lonlat import unwrap
from ssc.report.colours import LogScale, ramp
from ssc.report.svg import group, log_ticks, path_of, picture, tag
from ssc.report.words import amount, reach_name

WIDTH: Final = 760.0
HEIGHTS: Final = (300.0, 620.0)
MARGIN: Final = 34.0
KM_PER_DEGREE: Final = 111.2
LABELS: Final = 10
"""Names on the map at most."""
KEPT: Final = 4
"""Names that stay where the map is as small as a phone."""
HINTS: Final = 1500
"""With more reaches than this none gets a hint, and all of one colour are one element."""
_KILOMETRES: Final = [step * 10.0**power for power in range(-3, 5) for step in (1, 2, 5)]
_LETTER, _LINE = 7.6, 18.0
"""Room a label takes, in pixels: per letter, and from line to line."""


def map_of(reaches: pd.DataFrame, scale: LogScale) -> Markup:
    """Reaches coloured by median SSC, those without an estimate dashed grey.

    Args:
        reaches: Indexed by reach_id: geometry (EPSG:4326 lines), river_name, ssc (median, mg/L, NaN without estimate)
            and n (number of estimates). At least one.
        scale: Colours of concentrations.
    """
    lines = _one_turn(unwrap(reaches["geometry"].to_numpy()))
    frame = _Frame.around(lines)
    paths = [frame.path(line) for line in lines]
    classes = scale.classes(reaches["ssc"].to_numpy(dtype=np.float64))
    estimated = int((classes >= 0).sum())
    label = f"Map of {len(reaches)} reaches, {estimated} of them coloured by median SSC on a logarithmic scale in mg/L"
    drawn = _each(reaches, paths, classes) if len(reaches) <= HINTS else _by_colour(paths, classes)
    return picture(
        WIDTH,
        frame.height,
        label,
        frame.graticule(),
        group(drawn, class_="reaches" if len(reaches) <= HINTS else "reaches many"),
        _labels(reaches, lines, frame),
        frame.scale_bar(),
    )


def legend_of(scale: LogScale) -> Markup:
    """The colours with their concentrations."""
    left, width, colours = 12.0, 300.0, ramp()
    step = width / len(colours)
    boxes = [
        tag("rect", x=left + number * step, y=4.0, width=step + 0.6, height=14.0, fill=colour)
        for number, colour in enumerate(colours)
    ]
    ticks = [
        tag("path", d=f"M{x:.1f} 18v4", class_="axis") + tag("text", f"{value:,}", x=x, y=35.0, class_="middle")
        for value in log_ticks(scale.low, scale.high)
        for x in [left + width * scale.share(value)]
    ]
    label = f"Colour scale from {amount(scale.low)} to {amount(scale.high)} mg/L, logarithmic"
    return picture(left * 2 + width, 40.0, label, *boxes, *ticks, class_="figure legend-bar")


def _one_turn(lines: NDArray[Any]) -> NDArray[Any]:
    """Lines on both sides of the antimeridian brought to one side, where that makes the map narrower."""
    middles = shapely.bounds(lines)[:, [0, 2]].mean(axis=1)
    if np.ptp(middles) <= 180 or np.ptp(middles % 360) >= np.ptp(middles):
        return lines
    turns = np.where(middles < 0, 360.0, 0.0)
    coordinates, owner = shapely.get_coordinates(lines, return_index=True)
    coordinates[:, 0] += turns[owner]
    return np.asarray(shapely.set_coordinates(lines.copy(), coordinates))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """A plate carrée whose middle latitude keeps its shape; north is up."""

    west: float
    north: float
    x_scale: float
    """Pixels per degree of longitude."""
    y_scale: float
    """Pixels per degree of latitude."""
    height: float

    @classmethod
    def around(cls, lines: NDArray[Any]) -> _Frame:
        """The frame that holds all lines, at least 0.05 degrees (5 km) wide and high."""
        west, south, east, north = shapely.total_bounds(lines)
        shrink = max(np.cos(np.radians((south + north) / 2)), 0.05)
        wide, high = max((east - west) * shrink, 0.05), max(north - south, 0.05)
        height = float(np.clip((WIDTH - 2 * MARGIN) * high / wide + 2 * MARGIN, *HEIGHTS))
        scale = min((WIDTH - 2 * MARGIN) / wide, (height - 2 * MARGIN) / high)
        return cls(
            west=(west + east) / 2 - WIDTH / 2 / scale / shrink,
            north=(south + north) / 2 + height / 2 / scale,
            x_scale=scale * shrink,
            y_scale=scale,
            height=height,
        )

    def at(self, lonlat: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 2) pixel positions of longitudes and latitudes."""
        return (lonlat - (self.west, self.north)) * (self.x_scale, -self.y_scale)

    def path(self, line: shapely.Geometry) -> str:
        """A line, or all parts of one, without detail below half a pixel."""
        parts = shapely.get_parts(shapely.simplify(line, 0.5 / self.y_scale))
        return "".join(path_of(self.at(shapely.get_coordinates(part))) for part in parts)

    def graticule(self) -> Markup:
        """Meridians and parallels with their degrees."""
        step = _degree_step(max(WIDTH / self.x_scale, self.height / self.y_scale))
        east, south = self.west + WIDTH / self.x_scale, self.north - self.height / self.y_scale
        parts = []
        for degree in np.arange(np.ceil(self.west / step), np.floor(east / step) + 1) * step:
            x = float(self.at(np.array([degree, self.north]))[0])
            parts.append(tag("path", d=f"M{x:.1f} 0V{self.height:g}", class_="grid"))
            parts += [_degrees(degree, x, None, "EW")] if MARGIN < x < WIDTH - MARGIN else []
        for degree in np.arange(np.ceil(south / step), np.floor(self.north / step) + 1) * step:
            y = float(self.at(np.array([self.west, degree]))[1])
            parts += [tag("path", d=f"M0 {y:.1f}H{WIDTH:g}", class_="grid"), _degrees(degree, None, y, "NS")]
        return group(parts, class_="graticule")

    def scale_bar(self) -> Markup:
        """A bar of a round number of kilometres, true at the middle latitude."""
        per_pixel = KM_PER_DEGREE / self.y_scale
        km = max(value for value in _KILOMETRES if value / per_pixel <= 180)
        right, bottom = WIDTH - 14, self.height - 14
        bar = tag("path", d=f"M{right - km / per_pixel:.1f} {bottom - 5:.1f}v5H{right:g}v-5", class_="scale")
        return bar + tag("text", f"{km:g} km", x=right, y=bottom - 10, class_="end halo")


def _degree_step(span: float) -> float:
    return next(
        step for step in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 90) if span / step <= 5 or step == 90
    )


def _degrees(degree: float, x: float | None, y: float | None, sides: str) -> Markup:
    turned = round((degree + 180) % 360 - 180 if y is None else degree, 2)
    side = "" if abs(turned) in {0, 180} else sides[int(turned < 0)]
    text = f"{abs(turned):g}°{side}"
    if y is None:
        return tag("text", text, x=x, y=5.0, dominant_baseline="hanging", class_="middle halo faint")
    return tag("text", text, x=5.0, y=y - 4, class_="halo faint")


def _each(reaches: pd.DataFrame, paths: list[str], classes: NDArray[np.int64]) -> list[Markup]:
    """One element per reach with a hint; rich ones last, so that they lie on top."""
    order = np.argsort(classes, kind="stable")
    rows = reaches[["river_name", "ssc", "n"]].to_records()
    return [_reach(paths[at], int(classes[at]), _hint(rows[at])) for at in order]


def _by_colour(paths: list[str], classes: NDArray[np.int64]) -> list[Markup]:
    """One element per colour; reaches that fall on the same pixels count once."""
    grouped: dict[int, dict[str, None]] = defaultdict(dict)
    for path, number in zip(paths, classes.tolist(), strict=True):
        grouped[number][path] = None
    return [_reach("".join(grouped[number]), number, "") for number in sorted(grouped)]


def _reach(path: str, number: int, hint: str) -> Markup:
    title = [tag("title", hint)] if hint else []
    if number < 0:
        return tag("path", *title, d=path, class_="absent")
    edge = tag("path", d=path, class_="edge")
    return tag("g", *title, edge, tag("path", d=path, class_="reach", stroke=ramp()[number]))


def _hint(row: Any) -> str:
    name = reach_name(int(row.reach_id), row.river_name)
    return f"{name}: median {amount(row.ssc)} mg/L of {row.n} estimates" if row.n else f"{name}: no estimate"


def _labels(reaches: pd.DataFrame, lines: NDArray[Any], frame: _Frame) -> Markup:
    """Each river once, at its reach with most estimates; ids where none has a name. Phones keep the first."""
    places = frame.at(shapely.get_coordinates(shapely.line_interpolate_point(_longest(lines), 0.5, normalized=True)))
    names = reaches["river_name"] if (reaches["river_name"] != "").any() else reaches.index.astype(str)
    table = pd.DataFrame(
        {"text": np.asarray(names), "n": reaches["n"].to_numpy(), "x": places[:, 0], "y": places[:, 1]}
    )
    ranked = table[table["text"] != ""].sort_values("n", ascending=False, kind="stable").drop_duplicates("text")
    spots: list[_Spot] = []
    for text, x, y in ranked.head(5 * LABELS)[["text", "x", "y"]].itertuples(index=False):
        spot = _Spot(text=str(text), x=float(x), y=max(float(y) - 13, 34.0))
        if len(spots) < LABELS and not any(spot.touches(other) for other in spots):
            spots.append(spot)
    return group(spot.label(minor=number >= KEPT) for number, spot in enumerate(spots))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spot:
    """Where a label stands: it grows away from the side of the map it is near to."""

    text: str
    x: float
    y: float

    @property
    def side(self) -> int:
        """0 left, 1 middle, 2 right third of the map."""
        return int(np.clip(self.x * 3 // WIDTH, 0, 2))

    def touches(self, other: _Spot) -> bool:
        """True when one label would stand on the other."""
        (left, right), (from_, to) = self.extent(), other.extent()
        return left < to and from_ < right and abs(self.y - other.y) < _LINE

    def extent(self) -> tuple[float, float]:
        """First and last pixel across."""
        length = len(self.text) * _LETTER
        start = self.x - length * self.side / 2
        return start, start + length

    def label(self, *, minor: bool) -> Markup:
        side = ("", " middle", " end")[self.side]
        return tag("text", self.text, x=self.x, y=self.y, class_=f"halo name{side}{' minor' * minor}")


def _longest(lines: NDArray[Any]) -> NDArray[Any]:
    """(n,) simple lines: of a line in several parts the longest."""
    return np.array([max(shapely.get_parts(line), key=shapely.length) for line in lines], dtype=object)
