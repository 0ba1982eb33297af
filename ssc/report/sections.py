"""The sections of the page: values and drawings under the names the template knows them by."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import pandas as pd
from markupsafe import Markup

from ssc.report import content, pictures
from ssc.report import method as methods
from ssc.report.colours import LogScale
from ssc.report.coverage import calendar_of
from ssc.report.frames import Frames
from ssc.report.reachmap import legend_of, map_of
from ssc.report.scatter import scatter_of
from ssc.report.series import NONE_OBSERVED, series_of
from ssc.report.skill import INSITU_WITHIN, TRUTH_WITHIN, Skill, pair, skills
from ssc.report.svg import marker, tag
from ssc.report.words import STATUSES, amount

PANELS: Final = 9
"""Reaches whose time series are drawn."""
MOST_FAILURES: Final = 200
"""Granules set aside that are listed one by one."""
Section = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Estimates beside samples or truth."""

    name: str
    within: str
    """Longest time apart, in words."""
    figure: Markup | None
    """None when nothing could be paired."""
    skills: list[Skill]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One quick-look with its caption."""

    granule: str
    caption: str
    source: str
    """Data address."""


def summary(frames: Frames) -> Section:
    """Head of the page, and what became of the granules."""
    kinds, failures = content.set_aside(frames.ledger)
    estimates = frames.rows[frames.rows["ssc"].notna()]
    return {
        "period": content.period(frames),
        "key_figures": content.key_figures(frames, content.reach_medians(frames.rows, frames.reaches)),
        "statuses": content.status_lines(frames.ledger),
        "reasons": kinds,
        "failures": failures,
        "most_failures": MOST_FAILURES,
        "n_granules": len(frames.ledger),
        "n_rows": len(frames.rows),
        "n_estimates": len(estimates),
        "n_good": int((estimates["ssc_quality"] == 0).sum()),
    }


def map_section(frames: Frames) -> Section:
    """Where the reaches are and what they carry."""
    medians = content.reach_medians(frames.rows, frames.reaches)
    placed = medians[medians["geometry"].notna()]
    scale = LogScale.over(medians["ssc"].to_numpy(dtype=float))
    return {
        "map": map_of(placed, scale) if len(placed) else None,
        "map_legend": legend_of(scale) if medians["n"].any() else None,
        "n_reaches": len(medians),
        "n_unseen": len(frames.reaches.index.difference(medians.index)),
        "n_unplaced": len(medians) - len(placed),
        "reaches": content.reach_lines(medians),
    }


def series(frames: Frames, samples: pd.DataFrame | None, known: pd.DataFrame | None) -> Section:
    """(river, reach id, numbers, drawing) of the reaches with most estimates, and the key to all marks of the page."""
    medians = content.reach_medians(frames.rows, frames.reaches)
    best = medians[medians["n"] > 0].sort_values("n", ascending=False, kind="stable").head(PANELS)
    insitu, truth = (NONE_OBSERVED if table is None else table for table in (samples, known))
    drawings = series_of(frames.rows, best.index.tolist(), insitu, truth) if len(best) else []
    panels = [
        (row["river_name"] or "Reach", row["reach_id"], _numbers(row), drawing)
        for row, drawing in zip(best.reset_index().to_dict("records"), drawings, strict=True)
    ]
    return {"panels": panels, "keys": _keys(insitu=samples is not None, truth=known is not None)}


def _numbers(row: Mapping[Any, Any]) -> str:
    return f"{row['n']} estimates, {row['n_good']} unflagged, median {amount(row['ssc'])} mg/L"


def _keys(*, insitu: bool, truth: bool) -> list[tuple[Markup, str]]:
    marks = [
        (marker("L30", 0, 0), "L30 (Landsat 8, 9)"),
        (marker("S30", 0, 0), "S30 (Sentinel-2)"),
        (marker("L30", -4, 0, hollow=True) + marker("S30", 4, 0, hollow=True), "hollow: at least one quality flag"),
        (tag("path", d="M0 -6V6", class_="bar L30"), "90 % interval"),
        *([(marker("insitu", 0, 0), "in-situ sample")] if insitu else []),
        *([(marker("truth", 0, 0), "truth")] if truth else []),
    ]
    return [(tag("svg", mark, viewBox="-9 -7 18 14", class_="key", aria_hidden="true"), text) for mark, text in marks]


def comparisons(frames: Frames, samples: pd.DataFrame | None, known: pd.DataFrame | None) -> Section:
    """Estimates beside truth and samples, where there are any."""
    kinds = (("truth", known, TRUTH_WITHIN, "1 hour"), ("in-situ samples", samples, INSITU_WITHIN, "24 hours"))
    made = []
    for name, table, within, text in kinds:
        if table is not None:
            pairs = pair(frames.rows, table, within)
            figure = scatter_of(pairs, name) if len(pairs) else None
            made.append(Comparison(name=name, within=text, figure=figure, skills=skills(pairs)))
    return {"comparisons": made}


def calendar(frames: Frames) -> Section:
    """Granules by day and by month."""
    dated = frames.ledger[frames.ledger["acquired"].notna()]
    return {
        "calendar": calendar_of(dated) if len(dated) else None,
        "months": content.months(dated),
        "n_undated": len(frames.ledger) - len(dated),
        "status_names": {status: name for status, (name, _) in STATUSES.items()},
    }


def looks(frames: Frames, folder: Path | None) -> Section:
    """Quick-looks in order of time; those of granules with estimates when there are too many."""
    if folder is None:
        return {"looks": [], "asked_for_looks": False}
    order = ["acquired", "granule_id"]
    ranked = frames.ledger.assign(bare=frames.ledger["n_estimated"] == 0).sort_values(["bare", *order])
    files = pictures.picture_files(folder, ranked["granule_id"])
    shown = frames.ledger[frames.ledger["granule_id"].isin(list(files))].sort_values(order)
    with ThreadPoolExecutor() as pool:
        embed = partial(pictures.embed, most_bytes=pictures.share(len(files)))
        sources = dict(zip(files, pool.map(embed, files.values()), strict=True))
    made = [
        Look(granule=row["granule_id"], caption=_caption(row), source=sources[row["granule_id"]])
        for row in shown.to_dict("records")
    ]
    return {"looks": made, "asked_for_looks": True}


def _caption(row: Mapping[Any, Any]) -> str:
    status = STATUSES[row["status"]][0]
    return f"{status}; SSC for {row['n_estimated']} of {row['n_reaches']} reaches" if row["n_reaches"] else status


def about(frames: Frames, method: tuple[str, str], facts: Mapping[str, object]) -> Section:
    """Flags, method, sources and provenance."""
    masker, regressor = method
    return {
        "method": method,
        "flags": content.flag_lines(frames.rows),
        "masker_text": methods.of_masker(masker),
        "regressor_text": methods.of_regressor(regressor),
        "untrained": methods.is_untrained(regressor),
        "sources": methods.sources(masker, regressor),
        "provenance": content.provenance(frames, method, facts),
    }
