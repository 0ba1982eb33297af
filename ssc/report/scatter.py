"""Estimate against observation, both logarithmic, on the same scale."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from markupsafe import Markup

from ssc.report.series import bars
from ssc.report.svg import LogAxis, group, marker, picture, tag
from ssc.report.words import amount

SIDE = 420.0
CROWD: Final = 150
"""With more pairs than this their intervals are drawn fainter."""
LEFT, RIGHT, TOP, BOTTOM = 58.0, 408.0, 12.0, 362.0


def scatter_of(pairs: pd.DataFrame, what: str) -> Markup:
    """Pairs (`skill.pair`) with their 90 % intervals, the 1:1 line and a factor of two about it.

    Args:
        pairs: At least one.
        what: Name of the horizontal axis: "in-situ sample", "simulated truth".
    """
    both = np.concatenate([pairs["ssc"], pairs["observed"]]).astype(float)
    low, high = both.min() / 2, both.max() * 2
    across = LogAxis(low=low, high=high, start=LEFT, end=RIGHT)
    up = LogAxis(low=low, high=high, start=BOTTOM, end=TOP)
    x, y = across.at(pairs["observed"]), up.at(pairs["ssc"])
    marks = (
        marker(row["product"], x[n], y[n], hollow=row["ssc_quality"] > 0, hint=_hint(row, what))
        for n, row in enumerate(pairs.to_dict("records"))
    )
    crowd = "crowded" if len(pairs) > CROWD else None
    label = f"{len(pairs)} estimates against {what}, both in mg/L on logarithmic axes"
    return picture(
        SIDE,
        SIDE,
        label,
        _frame(across, up),
        _factors(across),
        _names(what),
        group([bars(x, pairs, up)], class_=crowd),
        group(marks),
    )


def _hint(row: dict[Any, Any], what: str) -> str:
    return (
        f"reach {row['reach_id']}, {row['time']:%Y-%m-%d}: estimate {amount(row['ssc'])} mg/L, "
        f"{what} {amount(row['observed'])} mg/L"
    )


def _frame(across: LogAxis, up: LogAxis) -> Markup:
    parts = []
    for value in across.ticks():
        x, y = float(across.at(value)), float(up.at(value))
        parts += [
            tag("path", d=f"M{LEFT:g} {y:.1f}H{RIGHT:g}M{x:.1f} {TOP:g}V{BOTTOM:g}", class_="grid"),
            tag("text", f"{value:,}", x=LEFT - 6, y=y + 4, class_="end"),
            tag("text", f"{value:,}", x=x, y=BOTTOM + 18, class_="middle"),
        ]
    return group([*parts, tag("path", d=f"M{LEFT:g} {TOP:g}V{BOTTOM:g}H{RIGHT:g}", class_="axis")])


def _factors(across: LogAxis) -> Markup:
    """The 1:1 line, and dashed ones where the estimate is twice or half the observation."""
    shift = float(across.at(2 * across.low)) - LEFT
    equal = tag("path", d=f"M{LEFT:g} {BOTTOM:g}L{RIGHT:g} {TOP:g}", class_="axis")
    twice = f"M{LEFT:g} {BOTTOM - shift:.1f}L{RIGHT - shift:.1f} {TOP:g}"
    half = f"M{LEFT + shift:.1f} {BOTTOM:g}L{RIGHT:g} {TOP + shift:.1f}"
    return group([equal, tag("path", d=twice + half, class_="dashed")])


def _names(what: str) -> Markup:
    middle = (TOP + BOTTOM) / 2
    return group(
        [
            tag("text", f"{what}, mg/L", x=(LEFT + RIGHT) / 2, y=SIDE - 14, class_="middle"),
            tag("text", "estimate, mg/L", transform=f"translate(14 {middle:g}) rotate(-90)", class_="middle"),
        ]
    )
