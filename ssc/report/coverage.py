"""What became of the granules, day by day."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import pandas as pd
from markupsafe import Markup

from ssc.report.colours import STATUS
from ssc.report.svg import group, picture, tag
from ssc.report.words import STATUSES

LETTERS: Final = {"estimated": "E", "cloudy": "C", "no_water": "W", "no_reach": "R", "set_aside": "!"}
"""Written into the cells, so that colour is not the only sign."""
DAYS_UNTIL: Final = 26
"""Up to so many months a row is a month and a cell a day; beyond, a row is a year and a cell a month."""
LEFT, TOP, CELL, ROW = 74.0, 22.0, 22.0, 22.0
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def calendar_of(granules: pd.DataFrame) -> Markup:
    """Cells coloured by status, shared out where there were several granules.

    Args:
        granules: acquired (UTC) and status; at least one row.
    """
    months = granules["acquired"].dt.strftime("%Y-%m")
    daily = pd.period_range(months.min(), months.max(), freq="M").size <= DAYS_UNTIL
    return _daily(granules, months) if daily else _monthly(granules)


def _daily(granules: pd.DataFrame, months: pd.Series[Any]) -> Markup:
    rows = [str(month) for month in pd.period_range(months.min(), months.max(), freq="M")]
    columns = [str(day) for day in range(1, 32)]
    days = granules["acquired"].dt.day.astype(str)
    lengths = {str(month): month.days_in_month for month in pd.period_range(rows[0], rows[-1], freq="M")}
    empty = {(month, day) for month in rows for day in columns if int(day) > lengths[month]}
    return _grid(rows, columns, _count(months, days, granules["status"]), empty, CELL)


def _monthly(granules: pd.DataFrame) -> Markup:
    years = granules["acquired"].dt.year
    rows = [str(year) for year in range(years.min(), years.max() + 1)]
    months = granules["acquired"].dt.month.map(lambda month: _MONTHS[month - 1])
    counts = _count(years.astype(str), months, granules["status"])
    return _grid(rows, list(_MONTHS), counts, set(), CELL * 31 / 12)


Cell = tuple[str, str]


def _count(rows: pd.Series[Any], columns: pd.Series[Any], statuses: pd.Series[Any]) -> dict[Cell, Counter[str]]:
    counts: dict[Cell, Counter[str]] = {}
    for row, column, status in zip(rows, columns, statuses, strict=True):
        counts.setdefault((row, column), Counter())[status] += 1
    return counts


def _grid(
    rows: list[str], columns: list[str], counts: dict[Cell, Counter[str]], missing: set[Cell], width: float
) -> Markup:
    every = 1 if len(columns) <= 12 else 5
    heads = [
        tag("text", column, x=LEFT + (number + 0.5) * width, y=TOP - 7, class_="middle faint")
        for number, column in enumerate(columns)
        if number == 0 or (number + 1) % every == 0
    ]
    sides = [
        tag("text", row, x=LEFT - 10, y=TOP + (number + 0.5) * ROW + 4, class_="end") for number, row in enumerate(rows)
    ]
    cells = [
        _cell(LEFT + across * width, TOP + down * ROW, width, f"{row} {column}", counts.get((row, column), Counter()))
        for down, row in enumerate(rows)
        for across, column in enumerate(columns)
        if (row, column) not in missing
    ]
    total = sum(map(len, [list(counter.elements()) for counter in counts.values()]))
    label = f"Calendar of {total} granules from {rows[0]} to {rows[-1]}, coloured by status"
    size = (LEFT + len(columns) * width + 4, TOP + len(rows) * ROW + 4)
    return picture(*size, label, group(heads), group(sides), group(cells), class_="figure calendar")


def _cell(x: float, y: float, width: float, when: str, found: Counter[str]) -> Markup:
    """One day or month: statuses share its width by their numbers; a letter where one has it alone."""
    wide, high = width - 2, ROW - 2
    if not found:
        return tag("rect", x=x, y=y, width=wide, height=high, rx=2, class_="none")
    text = f"{when}: " + ", ".join(f"{n} {STATUSES[status][0]}" for status, n in found.most_common())
    parts, left, total = [], x, found.total()
    for status in STATUSES:
        share = wide * found[status] / total
        if share:
            parts.append(tag("rect", x=left, y=y, width=share, height=high, rx=2, fill=STATUS[status]))
        left += share
    if len(found) == 1:
        letter = LETTERS[next(iter(found))]
        parts.append(tag("text", letter, x=x + wide / 2, y=y + high / 2 + 4, class_="letter middle"))
    return tag("g", tag("title", text), *parts)
