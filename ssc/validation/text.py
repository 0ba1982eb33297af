"""The report of a validation as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ssc.validation import tables
from ssc.validation.groups import ALL, COMMON, LAG_H, NEAR
from ssc.validation.learning import noise_floor
from ssc.validation.metrics import METRICS

if TYPE_CHECKING:
    from ssc.validation.evaluation import Report

HELD: Final = {
    "site": "whole sites held out, in turn",
    "basin": "one basin held out at a time",
    "date": "one day of sampling held out at a time (sites are seen)",
    "locked": "locked sites, never used before",
}
CAPTIONS: Final = {
    "scatter.png": "Estimate against observation; 1:1 line, and a factor of two dashed.",
    "residuals.png": "Estimate over observation against the estimate; heavy line: running median.",
    "coverage.png": "Observations inside their 90 % interval, by class of observed SSC.",
    "learning.png": "Error by number of local samples; band: range of the random draws.",
}


def report_text(report: Report, pictures: list[str]) -> str:
    """The whole page, with pictures named relative to it."""
    parts = [
        _head(report),
        *_scores(report),
        *_groups(report),
        *_differences(report),
        *_curve(report),
        *(f"![{CAPTIONS[name]}]({name})\n\n{CAPTIONS[name]}" for name in pictures),
        _meanings(report),
    ]
    return "\n\n".join(parts) + "\n"


def _head(report: Report) -> str:
    rows = report.contest.rows
    held = HELD.get(report.split, report.split)
    facts = f"{len(rows)} rows of {rows['site'].nunique()} sites; {held}; seed {report.seed}"
    hashes = f"settings {report.hashes['settings']}, rows {report.hashes['data']}"
    listed = tables.markdown(
        ["contender", "what it is"], [[name, told or "-"] for name, told in report.contenders.items()]
    )
    lines = ["# SSC estimates against samples", f"{facts}; {hashes}.", *report.notes, listed]
    return "\n\n".join(lines)


def _scores(report: Report) -> list[str]:
    titles = {
        ALL: "## All rows",
        COMMON: "## Rows that every contender answered",
        NEAR: f"## Rows with sample and acquisition at most {LAG_H:g} hours apart",
    }
    present = set(report.scores["group"])
    brackets = "In brackets: 95 % of the draws of sites with replacement."
    tabled = [
        f"{title}\n\n{tables.scores_table(report.scores, group)}" for group, title in titles.items() if group in present
    ]
    return [*tabled, brackets]


def _groups(report: Report) -> list[str]:
    names = [name for name in dict.fromkeys(report.scores["group"]) if name not in {ALL, COMMON, NEAR}]
    shown = [metric for metric in tables.BY_GROUP if report.scores[metric].notna().any()]
    made = [tables.groups_table(report.scores, names, metric) for metric in shown]
    return ["## By group", "Classes and thirds are of the observed SSC.", *made]


def _differences(report: Report) -> list[str]:
    if report.differences.empty:
        return []
    head = "## Paired differences\n\nOn the rows that both answered and the same draws of sites; below 0 is better."
    return [head, tables.differences_table(report.differences)]


def _curve(report: Report) -> list[str]:
    if report.curve.empty:
        return []
    told = (
        "MdSA in percent after adapting to so many random samples of each held-out site; mean of the draws and their "
        "range. Where an estimator refuses so few samples its estimate stays as it was. Scored on the rows left:"
    )
    floors = {name: noise_floor(report.contest.pairs(name)) for name in report.curve["contender"].unique()}
    floor = ", ".join(f"{name} {value:.1f}" for name, value in floors.items())
    return [
        "## Local samples",
        told,
        tables.curve_table(report.curve, "rest"),
        "Scored on the same rows for all numbers:",
        tables.curve_table(report.curve, "same"),
        f"Noise floor, MdSA in percent less each site's median error, known from all of its own rows: {floor}.",
    ]


def _meanings(report: Report) -> str:
    told = [
        f"- {METRICS[name].title}: {METRICS[name].meaning}." for name in METRICS if report.scores[name].notna().any()
    ]
    return "## Figures\n\n" + "\n".join(told)
