"""Where the sun stands, and what true north is on a map grid.

The position is that of the NOAA solar calculator (Meeus, Astronomical Algorithms, 2nd ed. 1998, ch. 25 and 28): good to
about 0.01 degrees for this century. Geometric, without refraction, as HLS sun tags are.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Final

from ssc.errors import InputError

_J2000: Final = datetime(2000, 1, 1, 12, tzinfo=UTC)


def sun_position(when: datetime, lat_deg: float, lon_deg: float) -> tuple[float, float]:
    """Sun zenith and azimuth, degrees; azimuth clockwise from true north, 0 to 360.

    Args:
        when: Aware time.
        lat_deg: Latitude, degrees north.
        lon_deg: Longitude, degrees east.

    Raises:
        InputError: A time without a time zone.

    >>> zenith, azimuth = sun_position(datetime(2024, 4, 29, 21, 12, 11, tzinfo=UTC), 64.42852, -147.93729)
    >>> round(90 - zenith, 2), round(azimuth, 2)
    (39.99, 168.36)
    """
    if when.tzinfo is None:
        raise InputError(f"time of a sun position: found {when.isoformat()} without a zone, wanted an aware time")
    days = (when - _J2000).total_seconds() / 86_400
    declination, right_ascension = _equatorial(days)
    sidereal_deg = 280.46061837 + 360.98564736629 * days + lon_deg  # Meeus (12.4), without its centuries squared
    hour_angle = math.radians(sidereal_deg) - right_ascension
    lat = math.radians(lat_deg)
    east = -math.cos(declination) * math.sin(hour_angle)
    north = math.sin(declination) * math.cos(lat) - math.cos(declination) * math.sin(lat) * math.cos(hour_angle)
    up = math.sin(declination) * math.sin(lat) + math.cos(declination) * math.cos(lat) * math.cos(hour_angle)
    zenith = math.degrees(math.atan2(math.hypot(east, north), up))
    return zenith, math.degrees(math.atan2(east, north)) % 360


def _equatorial(days: float) -> tuple[float, float]:
    """Apparent declination and right ascension of the sun, radians, so many days after J2000 (Meeus ch. 25)."""
    t = days / 36_525
    mean_longitude = 280.46646 + t * (36_000.76983 + 0.0003032 * t)
    anomaly = math.radians(357.52911 + t * (35_999.05029 - 0.0001537 * t))
    center = (
        math.sin(anomaly) * (1.914602 - t * (0.004817 + 0.000014 * t))
        + math.sin(2 * anomaly) * (0.019993 - 0.000101 * t)
        + math.sin(3 * anomaly) * 0.000289
    )
    node = math.radians(125.04 - 1934.136 * t)  # of the moon's orbit: nutation
    longitude = math.radians(mean_longitude + center - 0.00569 - 0.00478 * math.sin(node))
    obliquity = math.radians(23.4392911 - 0.0130042 * t + 0.00256 * math.cos(node))
    declination = math.asin(math.sin(obliquity) * math.sin(longitude))
    return declination, math.atan2(math.cos(obliquity) * math.sin(longitude), math.cos(longitude))


def convergence(lat_deg: float, lon_deg: float, central_meridian_deg: float) -> float:
    """Grid convergence, degrees: how far grid north of a transverse Mercator lies east of true north.

    Spherical formula, good to 0.01 degrees inside a UTM zone; positive east of the central meridian in the north.

    >>> round(convergence(60, 12, 9), 3)
    2.599
    """
    offset = math.radians(lon_deg - central_meridian_deg)
    return math.degrees(math.atan(math.tan(offset) * math.sin(math.radians(lat_deg))))


def grid_azimuth(true_azimuth_deg: float, lat_deg: float, lon_deg: float, central_meridian_deg: float) -> float:
    """Azimuth clockwise from grid north, 0 to 360 degrees, of one clockwise from true north."""
    return (true_azimuth_deg - convergence(lat_deg, lon_deg, central_meridian_deg)) % 360
