"""Days of the year, counted so that January is winter in both hemispheres."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np

YEAR = 365.25


def turn(day: date, *, southern: bool = False) -> float:
    """Share of the year gone, 0 to 1; in the south half a year is added, so that 0.04 is always midwinter.

    >>> round(turn(date(2024, 7, 1)), 1), round(turn(date(2024, 7, 1), southern=True), 1)
    (0.5, 0.0)
    """
    return (day.timetuple().tm_yday / YEAR + (0.5 if southern else 0.0)) % 1.0


def wave(day: date, peak: int, *, southern: bool = False) -> float:
    """A yearly cosine, 1 on a day of the (northern) year, -1 half a year away."""
    return float(np.cos(2 * np.pi * (turn(day, southern=southern) - peak / YEAR)))


def spread(start: date, count: int) -> list[date]:
    """So many days, evenly over one year.

    >>> [day.isoformat() for day in spread(date(2024, 5, 6), 3)]
    ['2024-05-06', '2024-09-04', '2025-01-04']
    """
    return [start + timedelta(days=365 * number // count) for number in range(count)]
