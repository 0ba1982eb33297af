"""Concentration against time, one small drawing per reach, all on the same axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from markupsafe import Markup
from numpy.typing import NDArray

from ssc.report.svg import LogAxis, TimeAxis, group, marker, path_of, picture, tag
from ssc.report.words import amount, estimate_hint

WIDTH, HEIGHT = 360.0, 220.0
LEFT, RIGHT, TOP, BOTTOM = 46.0, 350.0, 14.0, 192.0
HINTS: Final = 1500
"""With more marks than this in all panels none gets a hint: the page would grow by megabytes."""
BEYOND: Final = 4.0
"""Intervals may reach this factor beyond the values before they are cut: a wild one must not flatten the rest."""
NONE_OBSERVED: Final = pd.DataFrame(
    {"reach_id": pd.Series(dtype="int64"), "time": pd.to_datetime([], utc=True), "observed": pd.Series(dtype="float64")}
)


def series_of(
    rows: pd.DataFrame,
    reach_ids: Sequence[int],
    insitu: pd.DataFrame = NONE_OBSERVED,
    truth: pd.DataFrame = NONE_OBSERVED,
) -> list[Markup]:
    """One drawing per reach.

    Args:
        rows: Results rows of one masker and regressor.
        reach_ids: Reaches to draw, in this order; each has at least one estimate.
        insitu: Samples (`skill.read_observed`).
        truth: Truth (`skill.read_observed`).
    """
    rows = rows[rows["reach_id"].isin(reach_ids) & (rows["ssc"] > 0)]
    insitu, truth = (table[table["reach_id"].isin(reach_ids)] for table in (insitu, truth))
    panels = _Panels(
        times=TimeAxis.over(pd.concat([rows["time"], insitu["time"], truth["time"]]), LEFT, RIGHT),
        values=_common_axis(rows, np.concatenate([rows["ssc"], insitu["observed"], truth["observed"]])),
        hints=len(rows) + len(insitu) + len(truth) <= HINTS,
    )
    return [
        panels.draw(reach_id, *(table[table["reach_id"] == reach_id] for table in (rows, insitu, truth)))
        for reach_id in reach_ids
    ]


def _common_axis(rows: pd.DataFrame, values: NDArray[np.float64]) -> LogAxis:
    low, high = float(values.min()), float(values.max())
    lowest, highest = float(rows["ssc_lo90"].fillna(low).min()), float(rows["ssc_hi90"].fillna(high).max())
    return LogAxis(
        low=min(low, max(lowest, low / BEYOND)) / 1.3,
        high=max(high, min(highest, high * BEYOND)) * 1.3,
        start=BOTTOM,
        end=TOP,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Panels:
    """What all drawings share."""

    times: TimeAxis
    values: LogAxis
    hints: bool

    def draw(self, reach_id: int, rows: pd.DataFrame, insitu: pd.DataFrame, truth: pd.DataFrame) -> Markup:
        label = (
            f"SSC of reach {reach_id} against time, logarithmic axis in mg/L: {len(rows)} estimates from "
            f"{amount(rows['ssc'].min())} to {amount(rows['ssc'].max())} mg/L"
        )
        return picture(
            WIDTH,
            HEIGHT,
            label,
            self.axes(),
            self.line(truth),
            self.observed("truth", "truth", truth),
            self.observed("insitu", "in-situ sample", insitu),
            bars(self.times.at(rows["time"]), rows, self.values),
            self.estimates(rows),
            class_="figure panel",
        )

    def axes(self) -> Markup:
        levels = [_level(f"{value:,}", float(self.values.at(value))) for value in self.values.ticks()]
        dates = [_date(text, x) for x, text in self.times.ticks()]
        frame = tag("path", d=f"M{LEFT:g} {TOP:g}V{BOTTOM:g}H{RIGHT:g}", class_="axis")
        return group([*levels, *dates, frame, tag("text", "mg/L", x=2.0, y=10.0)])

    def estimates(self, rows: pd.DataFrame) -> Markup:
        x, y = self.times.at(rows["time"]), self.values.at(rows["ssc"])
        return group(
            marker(
                row["product"], x[n], y[n], hollow=row["ssc_quality"] > 0, hint=estimate_hint(row) if self.hints else ""
            )
            for n, row in enumerate(rows.to_dict("records"))
        )

    def observed(self, kind: str, noun: str, table: pd.DataFrame) -> Markup:
        x, y = self.times.at(table["time"]), self.values.at(table["observed"])
        return group(
            marker(kind, x[n], y[n], hint=_observed_hint(noun, row) if self.hints else "")
            for n, row in enumerate(table.to_dict("records"))
        )

    def line(self, truth: pd.DataFrame) -> Markup:
        if len(truth) < 2:
            return Markup()
        points = np.column_stack([self.times.at(truth["time"]), self.values.at(truth["observed"])])
        return tag("path", d=path_of(points), class_="truth line")


def _level(text: str, y: float) -> Markup:
    grid = tag("path", d=f"M{LEFT:g} {y:.1f}H{RIGHT:g}", class_="grid")
    return grid + tag("text", text, x=LEFT - 6, y=y + 4, class_="end")


def _date(text: str, x: float) -> Markup:
    """A tick and its text, which stays inside the drawing."""
    tick = tag("path", d=f"M{x:.1f} {BOTTOM:g}v4", class_="axis")
    return tick + tag("text", text, x=min(max(x, LEFT + 20), RIGHT - 22), y=BOTTOM + 18, class_="middle")


def _observed_hint(noun: str, row: dict[Any, Any]) -> str:
    return f"{noun} {row['time']:%Y-%m-%d %H:%M} UTC: {amount(row['observed'])} mg/L"


def bars(x: NDArray[np.float64], rows: pd.DataFrame, values: LogAxis) -> Markup:
    """90 % intervals as upright bars, coloured by product, cut at the axis.

    Args:
        x: (n,) pixel positions.
        rows: (n) rows with product, ssc_lo90 and ssc_hi90 (mg/L, NaN where there is no interval).
        values: The upright axis.
    """
    low, high = values.at(rows["ssc_lo90"]), values.at(rows["ssc_hi90"])
    products = rows["product"].to_numpy(dtype=str)
    drawn = np.isfinite(low) & np.isfinite(high)
    return group(
        tag("path", d=_strokes(x[chosen], low[chosen], high[chosen]), class_=f"bar {product}")
        for product in np.unique(products[drawn])
        for chosen in [drawn & (products == product)]
    )


def _strokes(x: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]) -> str:
    return "".join(f"M{at:.1f} {a:.1f}V{b:.1f}" for at, a, b in zip(x, low, high, strict=True))
