"""What the tags of HLS files say: directions of sun and view, sensing time, platform, cloud cover.

Tags are text. An L30 tile made of two scenes joins theirs, "a; b" (times, product ids) or "a, b" (angles), so every
number and time is a list here. Any tag may be absent: the angle layers of 2021 carry nearly none.
Source: HLS User Guide v2.0, table of metadata; names and separators read off real L30 and S30 files of 2020-2024.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from ssc.bands import Layer
from ssc.errors import DataError
from ssc.granules import Granule

MEANS: Final = {
    Layer.SUN_ZENITH: "MEAN_SUN_ZENITH_ANGLE",
    Layer.SUN_AZIMUTH: "MEAN_SUN_AZIMUTH_ANGLE",
    Layer.VIEW_ZENITH: "MEAN_VIEW_ZENITH_ANGLE",
    Layer.VIEW_AZIMUTH: "MEAN_VIEW_AZIMUTH_ANGLE",
}
"""The tag that holds the mean of an angle layer."""

_LONGEST_GAP: Final = timedelta(days=1)
"""Name and SENSING_TIME differ by seconds (L30) or up to 17 minutes (S30): a day means another granule's file."""

Tags = Mapping[str, str]


def mean_angle(tags: Tags, layer: Layer) -> float:
    """Mean of an angle layer as the tags tell it, degrees; NaN when they do not, or not in numbers.

    >>> mean_angle({"MEAN_SUN_AZIMUTH_ANGLE": "359.0, 2.0"}, Layer.SUN_AZIMUTH)
    0.5
    """
    return mean_direction(_numbers(tags.get(MEANS[layer], "")), layer)


def mean_direction(degrees: ArrayLike, layer: Layer) -> float:
    """Mean of angles, degrees, NaN left out; azimuths are averaged on the circle and lie in 0-360. NaN of nothing."""
    angles = np.asarray(degrees, dtype=np.float64)
    angles = angles[np.isfinite(angles)]
    if angles.size == 0:
        return math.nan
    if layer in {Layer.SUN_AZIMUTH, Layer.VIEW_AZIMUTH}:
        radians = np.radians(angles)
        mean = math.degrees(math.atan2(np.sin(radians).mean(), np.cos(radians).mean())) % 360
        return round(mean, 9)  # the way round the circle leaves 145.00000000000003
    return float(angles.mean())


def sensed(tags: Tags, granule: Granule) -> datetime:
    """When the tile was seen, aware UTC: mean of SENSING_TIME, else the time in the granule's name.

    Raises:
        DataError: SENSING_TIME is of another day than the name, so the file is another granule's.
    """
    times = [time for text in _parts(tags.get("SENSING_TIME", "")) if (time := _time(text)) is not None]
    if not times:
        return granule.acquired
    mean = times[0] + sum((time - times[0] for time in times), timedelta()) / len(times)
    if abs(mean - granule.acquired) > _LONGEST_GAP:
        raise DataError(
            f"files of another granule in {granule.name}: found SENSING_TIME {tags['SENSING_TIME']}, "
            f"wanted a time within a day of {granule.acquired:%Y-%m-%dT%H:%M:%SZ}"
        )
    return mean


def platform(tags: Tags, granule: Granule) -> str:
    """Which satellite: "L8", "L9", "S2A", "S2B", "S2C"; the product when the tags do not say.

    >>> from ssc.granules import parse
    >>> granule = parse("HLS.L30.T06WVS.2024120T211159.v2.0")
    >>> platform({"LANDSAT_PRODUCT_ID": "LC09_L1TP_069014_20240429_20240430_02_RT"}, granule), platform({}, granule)
    ('L9', 'L30')
    """
    if found := re.search(r"Sentinel-(2[A-Z])", tags.get("SPACECRAFT_NAME", "")):
        return f"S{found[1]}"
    if found := re.match(r"\s*(S2[A-Z])_", tags.get("PRODUCT_URI", "")):
        return found[1]
    if found := re.match(r"\s*L[COT]0(\d)_", tags.get("LANDSAT_PRODUCT_ID", "")):
        return f"L{found[1]}"
    return granule.product.value


def cloud_cover(tags: Tags) -> float:
    """The cloud_coverage tag, percent 0-100; NaN when absent or not a number."""
    numbers = _numbers(tags.get("cloud_coverage", ""))
    return numbers[0] if numbers else math.nan


def _parts(text: str) -> list[str]:
    return [part.strip() for part in re.split(r"[;,]", text) if part.strip()]


def _numbers(text: str) -> list[float]:
    return [float(part) for part in _parts(text) if re.fullmatch(r"[-+]?\d+(\.\d*)?([eE][-+]?\d+)?", part)]


def _time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
