"""Sediment from turbidity sensors, by a rating of each site: labels of second rank, for times without a sample.

log10 SSC = a + b log10 T, fitted by least squares on pairs of a sample and the sensor value nearest to it, and turned
back with the smearing factor of Duan (1983), the mean of 10^residual, without which sums are too low. A rating belongs
to its site and is not followed beyond the turbidity of its pairs.

Sources:
    Rasmussen, Gray, Glysson, Ziegler 2009, USGS Techniques and Methods 3-C4: the rating and its smearing.
    USGS memoranda SW2016.07 and WQ2016.10: at least so many pairs, over the whole range.
    Duan 1983, J. Am. Stat. Assoc. 78, 605.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ssc.errors import DataError
from ssc.matchups.columns import conform, empty
from ssc.matchups.harmonise import WEIGHTS, Attrition, Harmonised

MIN_PAIRS: Final = 10
WITHIN: Final = pd.Timedelta(minutes=15)
"""A sample is paired with a sensor value this near: the interval of most sensors."""
LABEL: Final = "turbidity_surrogate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rating:
    """From turbidity (FNU) to SSC (mg/L) at one site."""

    site: str
    intercept: float
    """a, log10 of mg/L."""
    slope: float
    """b, 1."""
    smearing: float
    """Duan's factor, 1 or more but for rounding."""
    residual_sd: float
    """Standard deviation of log10 residuals, n - 2."""
    n: int
    """Pairs."""
    lowest: float
    """FNU, least turbidity of the pairs."""
    highest: float
    """FNU, greatest."""

    def ssc(self, turbidity: ArrayLike) -> NDArray[np.float64]:
        """SSC (mg/L) of turbidity (FNU) of any shape; NaN outside of what the pairs cover."""
        given = np.asarray(turbidity, dtype=np.float64)
        covered = (given >= self.lowest) & (given <= self.highest)
        level = np.log10(np.where(covered, given, 1.0))
        return np.where(covered, self.smearing * 10 ** (self.intercept + self.slope * level), np.nan)


def fit_rating(site: str, turbidity: ArrayLike, ssc: ArrayLike) -> Rating:
    """The rating of a site.

    Args:
        site: Its name.
        turbidity: (n,) FNU.
        ssc: (n,) mg/L of the same moments. Pairs that are not both above 0 are left out.

    Raises:
        DataError: Fewer than 10 pairs, one turbidity only, or less sediment where it is more turbid.
    """
    x, y = np.asarray(turbidity, dtype=np.float64), np.asarray(ssc, dtype=np.float64)
    both = (x > 0) & (y > 0) & np.isfinite(x) & np.isfinite(y)
    x, y = np.log10(x[both]), np.log10(y[both])
    if len(x) < MIN_PAIRS or np.ptp(x) == 0:
        found = f"{len(x)} pairs of {len(np.unique(x))} turbidities"
        raise DataError(f"no rating of {site}: found {found}, wanted {MIN_PAIRS} pairs over a range")
    slope, intercept = np.polyfit(x, y, 1)
    if slope <= 0:
        raise DataError(f"no rating of {site}: found slope {slope:.3f} of log10 SSC on log10 turbidity, wanted above 0")
    residuals = y - intercept - slope * x
    return Rating(
        site=site,
        intercept=float(intercept),
        slope=float(slope),
        smearing=float(np.mean(10**residuals)),
        residual_sd=float(np.sqrt(np.sum(residuals**2) / (len(x) - 2))),
        n=len(x),
        lowest=float(10 ** x.min()),
        highest=float(10 ** x.max()),
    )


def pair_samples(samples: pd.DataFrame, sensor: pd.DataFrame, *, within: pd.Timedelta = WITHIN) -> pd.DataFrame:
    """Samples with the sensor value of their site nearest in time.

    Args:
        samples: A sample table; censored rows and those whose time is not known to `within` are no pairs.
        sensor: Columns site, time and value (FNU), as of `usgs.read_continuous`.
        within: How far apart they may be.

    Returns:
        site, sample_id, sample_time, ssc_mg_l, turbidity; only of samples that have a value near.
    """
    sure = samples[~samples["censored"] & (samples["dt_uncertain_h"] <= within / pd.Timedelta(hours=1))]
    left = sure[["site", "sample_id", "sample_time", "ssc_mg_l"]].sort_values("sample_time")
    right = sensor[["site", "time", "value"]].dropna().sort_values("time")
    right = right.rename(columns={"time": "sensor_time", "value": "turbidity"})
    paired = pd.merge_asof(
        left, right, left_on="sample_time", right_on="sensor_time", by="site", tolerance=within, direction="nearest"
    )
    return paired.dropna(subset="turbidity").drop(columns="sensor_time").reset_index(drop=True)


def fit_ratings(pairs: pd.DataFrame) -> tuple[dict[str, Rating], dict[str, str]]:
    """The rating of each site that has one, and why others have none.

    Args:
        pairs: As of `pair_samples`.
    """
    ratings: dict[str, Rating] = {}
    refused: dict[str, str] = {}
    for site, rows in pairs.groupby("site"):
        try:
            ratings[str(site)] = fit_rating(str(site), rows["turbidity"], rows["ssc_mg_l"])
        except DataError as error:
            refused[str(site)] = str(error)
    return ratings, refused


def surrogate_samples(ratings: Mapping[str, Rating], sensor: pd.DataFrame, sites: pd.DataFrame) -> Harmonised:
    """Samples that a rating makes of sensor values, labelled turbidity_surrogate and of half weight.

    They share the site of the samples that made the rating and so stay in one fold with them; a validation that counts
    them as truth would test the rating.

    Args:
        ratings: By site.
        sensor: Columns site, time and value (FNU), best at overpasses only (`usgs.read_nearest`).
        sites: Columns site, longitude, latitude and basin: a sample table, or one row per site.
    """
    rows = sensor.reset_index(drop=True)
    ssc = pd.Series(np.nan, index=rows.index)
    for site, rating in ratings.items():
        here = rows["site"] == site
        ssc[here] = rating.ssc(rows.loc[here, "value"])
    rated, known = rows["site"].isin(list(ratings)), ssc.notna()
    dropped = {"no_rating": int((~rated).sum()), "outside_rating": int((rated & ~known).sum())}
    made = rows[known].assign(ssc_mg_l=ssc, label_source=LABEL, weight=WEIGHTS[LABEL])
    made = made.rename(columns={"time": "sample_time"})
    once = made.drop_duplicates(["site", "sample_time"])
    attrition = Attrition(start=len(rows), dropped={**dropped, "duplicate": len(made) - len(once)})
    places = sites.drop_duplicates("site")[["site", "longitude", "latitude", "basin"]]
    table = once[["site", "sample_time", "ssc_mg_l", "label_source", "weight"]].merge(places, "left", "site")
    table = table.assign(sample_id=_ids(table))
    return Harmonised(samples=conform(table, "sample") if len(table) else empty("sample"), attrition=attrition)


def _ids(table: pd.DataFrame) -> pd.Series:
    return table["site"] + "@" + table["sample_time"].dt.strftime("%Y-%m-%dT%H:%M:%SZ") + "~turbidity"
