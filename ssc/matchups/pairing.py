"""Samples beside what satellites saw of their reach: one row per sample and granule.

    paired = pair(samples, store.query(masker="default"))
    paired.matchups      paired.lost

A sample is paired with every usable granule of its reach within a day. The nearest is its own; the others stay as
replicates, and all rows of a site and day are one group that shares one weight: ten looks at one bottle are one
measurement. Samples that found nothing stay too, with the reason: high SSC comes with rain and rain with cloud, so who
leaves them out unseen cannot tell how biased the rest is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssc.errors import InputError
from ssc.matchups.columns import SAMPLE_COLUMNS, TIME, conform, lag_h
from ssc.schema import SAMPLE

FEATURES: Final = tuple(column.name for column in SAMPLE)
"""Columns of a results row that go into a match-up."""
LOOK: Final = ("acquisition", "platform", "product", "granule_id")
"""Columns that say which granule it was."""
FURTHER: Final = ("group", "rank", "width_m", "width_class")
"""Columns that follow those of `ssc.matchups.columns`."""
_OF_SAMPLE: Final = tuple(column.name for column in SAMPLE_COLUMNS)
_ROW_NEEDED: Final = ("reach_id", "acquisition", "platform", "product", "n_px_used", "clear_frac")
_HIDING: Final = {
    "cloud_frac": "cloud",
    "cloud_shadow_frac": "cloud shadow",
    "snow_ice_frac": "snow or ice",
    "terrain_shadow_frac": "terrain shadow",
}
"""Reasons by the feature that tells of them."""
_DEGREES_PER_HOUR: Final = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PairRule:
    """When a granule and a sample belong together (notes on SSC, 4.2)."""

    within_h: float = 24.0
    """Longest time between them in hours, that time included; AquaSat (Ross et al. 2019) takes a day.
    Longer only where the flow is known to be steady."""
    same_day_weight: float = 1.0
    """Same solar day at the site: a UTC day would part an afternoon sample in America from its morning overpass."""
    half_day_weight: float = 0.7
    """Another day, but less than 12 hours apart."""
    day_weight: float = 0.4
    """12 hours apart or more."""
    least_px: int = 8
    """Fewer used pixels are no look; AquaMatch siteSR asks for 8."""
    least_width_m: float = 60.0
    """Narrower reaches have no pixel without bank."""
    wide_m: float = 90.0
    """Narrower reaches are a class of their own, not for training (Dethier et al. 2020)."""
    hidden_share: float = 0.5
    """Share of the corridor under something from which on it is what cost the look."""

    def __post_init__(self) -> None:
        """Refuses a window or a count that cannot be."""
        if not self.within_h >= 0 or self.least_px < 1:
            raise InputError(f"pairing: found within_h {self.within_h}, least_px {self.least_px}, wanted >= 0 and >= 1")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Paired:
    """What became of the samples."""

    matchups: pd.DataFrame
    """A row per sample and granule, in the order of the samples, a sample's own granule first: the columns of a
    match-up table and `FURTHER`. group: site and solar day; rank: 0 the sample's own granule, 1 and on its replicates;
    width_class: wide, narrow or unknown."""
    lost: pd.DataFrame
    """Samples without a granule: the columns of a sample table, reason, n_looks (granules within the window)."""

    def counts(self) -> dict[str, int]:
        """Samples paired, rows beyond one per sample, samples lost by reason."""
        own = self.matchups["rank"] == 0
        reasons = {str(why): int(n) for why, n in self.lost["reason"].value_counts().items()}
        return {"paired": int(own.sum()), "replicates": int((~own).sum()), **reasons}


def pair(samples: pd.DataFrame, rows: pd.DataFrame, rule: PairRule = PairRule()) -> Paired:
    """Pair samples with the rows of a results store.

    Args:
        samples: A sample table with reach_id (-1: none); width_m (m) and reason (why there is no reach) where known.
        rows: Of a results store, of one masker: `ssc.schema` columns. Several regressors count once, since features do
            not depend on them.
        rule: When they belong together.

    Raises:
        DataError: Not a sample table.
        InputError: Rows without a needed column, or of several maskers.
    """
    taken = _with_width(conform(samples, "sample"))
    looks = _looks(rows)
    refused = _refusals(taken, rule)
    pairs = windows(taken[refused == ""], looks, rule.within_h)
    seen = looks.iloc[pairs["look"]].assign(sample=pairs["sample"].to_numpy())
    return finish(taken, refused, seen, group_of(taken), rule)


def finish(
    samples: pd.DataFrame, refused: pd.Series[Any], seen: pd.DataFrame, group: pd.Series[Any], rule: PairRule
) -> Paired:
    """Match-ups and lost samples from all that was seen.

    Args:
        samples: A sample table with width_m.
        refused: Why a sample is not to be paired, "" where it is; index as of `samples`, like the next but one.
        seen: A row per sample and granule in its window: sample (of the index), `LOOK`, `FEATURES`.
        group: Whose weight samples share.
        rule: Least pixels, weights.
    """
    table = _compose(samples, seen[seen["n_px_used"] >= rule.least_px], group, rule)
    return Paired(matchups=settle(table, rule), lost=_lost(samples, refused, seen, rule))


def solar_day(times: pd.Series[Any], longitude: pd.Series[Any]) -> pd.Series[Any]:
    """The day by the sun at a longitude (degrees; NaN: Greenwich), as a midnight without zone.

    >>> solar_day(pd.Series(pd.to_datetime(["2021-09-08T01:00Z"])), pd.Series([-90.0])).dt.strftime("%F").tolist()
    ['2021-09-07']
    """
    shift = pd.to_timedelta(longitude.fillna(0.0).to_numpy(dtype=float) / _DEGREES_PER_HOUR, unit="h")
    return (times.dt.tz_convert(None) + shift).dt.floor("D")


def group_of(samples: pd.DataFrame) -> pd.Series[Any]:
    """Site and solar day of each sample as one text."""
    day = solar_day(samples["sample_time"], samples["longitude"]).dt.strftime("%Y-%m-%d")
    return samples["site"].astype(str) + " " + day


def settle(table: pd.DataFrame, rule: PairRule = PairRule()) -> pd.DataFrame:
    """Rank the looks of each sample and turn weights of samples into weights of rows.

    The weight of a row is that of the sample, times that of the time apart, divided by the rows of its group. The
    nearest look is the sample's own; of equally near ones that which shows more of the channel.

    Args:
        table: A row per pair: the columns of a match-up table but dt_h, `sample` (a number) and `group`.
        rule: Weights by time.

    Returns:
        A match-up table with `rank`, without `sample`.
    """
    lag = lag_h(table)
    ordered = table.assign(dt_h=lag, _apart=lag.abs(), _hidden=-table["clear_frac"].astype(float).fillna(-1.0))
    order = ["sample", "_apart", "_hidden", "acquisition", "platform", "granule_id"]
    ordered = ordered.sort_values(order, kind="stable", ignore_index=True)
    rows_of_group = ordered.groupby("group")["sample"].transform("size")
    weight = ordered["weight"] * time_weight(ordered, rule) / rows_of_group
    ranked = ordered.assign(rank=ordered.groupby("sample").cumcount(), weight=weight)
    return conform(ranked.drop(columns=["_apart", "_hidden", "sample"]), "matchup")


def time_weight(table: pd.DataFrame, rule: PairRule = PairRule()) -> NDArray[np.float64]:
    """(n,) weight of pairs by the time between sample_time and acquisition."""
    same = solar_day(table["sample_time"], table["longitude"]) == solar_day(table["acquisition"], table["longitude"])
    far = np.where(lag_h(table).abs() < 12, rule.half_day_weight, rule.day_weight)
    return np.where(same, rule.same_day_weight, far)


def windows(times: pd.DataFrame, looks: pd.DataFrame, within_h: float) -> pd.DataFrame:
    """Every pair (sample, look) of one reach within some hours of each other, those included.

    For each sample the first look that is not before its window and the last that is not after it: two merges, no loop.

    Args:
        times: sample_time (UTC) and reach_id; the index names the samples.
        looks: acquisition (UTC) and reach_id, ordered by reach_id, then acquisition.
        within_h: Half of the window.

    Returns:
        sample (of the index), look (row of `looks`), in the order of the samples.
    """
    half = pd.Timedelta(hours=within_h)
    first, last = _edge(times, looks, -half, "forward"), _edge(times, looks, half, "backward")
    count = np.where((first >= 0) & (last >= 0), np.maximum(last - first + 1, 0), 0)
    step = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    sample = np.repeat(times.index.to_numpy(dtype=np.int64), count)
    return pd.DataFrame({"sample": sample, "look": np.repeat(first, count) + step}).astype(np.int64)


def _edge(
    times: pd.DataFrame, looks: pd.DataFrame, shift: pd.Timedelta, direction: Literal["forward", "backward"]
) -> NDArray[np.int64]:
    """(n,) look of the same reach nearest to the shifted time in a direction, -1 without any.

    Of looks at one moment merge_asof takes the first forward and the last backward, so none is left out.
    """
    at = (times["sample_time"] + shift).astype(TIME)
    wanted = pd.DataFrame({"at": at, "reach_id": times["reach_id"], "order": np.arange(len(times))})
    known = pd.DataFrame({"at": looks["acquisition"], "reach_id": looks["reach_id"], "look": np.arange(len(looks))})
    by_time = (wanted.sort_values("at", kind="stable"), known.sort_values("at", kind="stable"))
    found = pd.merge_asof(*by_time, on="at", by="reach_id", direction=direction).sort_values("order")
    return found["look"].fillna(-1).to_numpy(dtype=np.int64)


def _with_width(samples: pd.DataFrame) -> pd.DataFrame:
    """With width_m (NaN unknown) and reason ("" none)."""
    width = samples["width_m"].astype(float) if "width_m" in samples else np.nan
    reason = samples["reason"].astype(object).where(samples["reason"].notna(), "") if "reason" in samples else ""
    return samples.assign(width_m=width, reason=reason)


def _looks(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per reach, acquisition and platform: reach_id, `LOOK` and `FEATURES`, ordered by reach and time."""
    if missing := [name for name in _ROW_NEEDED if name not in rows]:
        raise InputError(f"results without {' '.join(missing)}: found columns {', '.join(map(str, rows.columns))}")
    names = " ".join(sorted(rows["masker"].unique())) if "masker" in rows else ""
    if " " in names:
        raise InputError(f"results of several maskers: found {names}, wanted those of one")
    looks = rows.drop_duplicates(["reach_id", "acquisition", "platform"])
    ids = [" ".join(map(str, one)) for one in looks["granule_ids"]] if "granule_ids" in looks else ""
    looks = looks.assign(acquisition=pd.to_datetime(looks["acquisition"], utc=True).astype(TIME), granule_id=ids)
    looks = looks.reindex(columns=["reach_id", *LOOK, *FEATURES]).astype({"reach_id": np.int64})
    return looks.sort_values(["reach_id", "acquisition", "platform"], ignore_index=True)


def _refusals(samples: pd.DataFrame, rule: PairRule) -> pd.Series[Any]:
    """Why a sample is not paired whatever was seen, "" where it may be."""
    no_reach = "no reach" + samples["reason"].where(samples["reason"] == "", ": " + samples["reason"])
    narrow = samples["width_m"] < rule.least_width_m
    return no_reach.where(samples["reach_id"] < 1, pd.Series(np.where(narrow, "too narrow", ""), index=samples.index))


def _compose(samples: pd.DataFrame, seen: pd.DataFrame, group: pd.Series[Any], rule: PairRule) -> pd.DataFrame:
    left = samples.loc[seen["sample"], [*_OF_SAMPLE, "width_m"]].reset_index(drop=True)
    width = left["width_m"].to_numpy(dtype=float)
    kind = np.where(np.isnan(width), "unknown", np.where(width < rule.wide_m, "narrow", "wide"))
    left = left.assign(group=group.loc[seen["sample"]].to_numpy(), width_class=kind.astype(object))
    return pd.concat([left, seen[["sample", *LOOK, *FEATURES]].reset_index(drop=True)], axis=1)


def _lost(samples: pd.DataFrame, refused: pd.Series[Any], seen: pd.DataFrame, rule: PairRule) -> pd.DataFrame:
    """`Paired.lost`: of a sample with looks, the one with the most used pixels tells what was wrong."""
    best = seen.sort_values(["sample", "n_px_used"], ascending=[True, False], kind="stable").drop_duplicates("sample")
    best = best.set_index("sample")
    why = refused.astype(object).mask(refused == "", "no granule")
    why.loc[best.index] = _what_was_wrong(best, rule)
    paired = best.index[best["n_px_used"] >= rule.least_px]
    lost = samples.loc[~samples.index.isin(paired), list(_OF_SAMPLE)]
    n_looks = seen.groupby("sample").size().reindex(lost.index, fill_value=0)
    return lost.assign(reason=why.loc[lost.index], n_looks=n_looks).reset_index(drop=True)


def _what_was_wrong(looks: pd.DataFrame, rule: PairRule) -> NDArray[Any]:
    """What cost looks their pixels: the edge of the swath, what hid most of the corridor, or size."""
    number = {name: looks[name].to_numpy(dtype=float) for name in ("n_px_valid", "n_px_channel", *_HIDING)}
    outside = number["n_px_valid"] < rule.hidden_share * number["n_px_channel"]
    shares = np.nan_to_num(np.column_stack([number[name] for name in _HIDING]).reshape(len(looks), len(_HIDING)))
    hidden = shares.sum(axis=1) >= rule.hidden_share
    worst = np.array(list(_HIDING.values()), dtype=object)[shares.argmax(axis=1)]
    return np.select([outside, hidden], ["outside the swath", worst], "too few pixels")
